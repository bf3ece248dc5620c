"""The documentation is true: links lead somewhere, commands parse, options and exit codes are all listed, examples run."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from convbench import errors
from convbench.backends.placement import ModelConfig
from convbench.cli.main import cli
from convbench.cli.stopping import INTERRUPTED, TERMINATED
from convbench.cli.train import RecipeGroup, train_command
from convbench.config import parse_yaml
from convbench.datasets import DATASETS
from convbench.datasets.adapters import load_card
from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.metrics import METRICS
from convbench.metrics.protocol import protocol_names
from convbench.systems.catalog import baseline_names
from convbench.training.adapting import LoraSettings
from convbench.training.recipe import Evaluation, Recipe, build_recipe
from convbench.training.step import StepSettings
from convbench.training.train_settings import TrainSettings
from convbench.training.trainable import TrainableSettings

ROOT = Path(__file__).parents[1]
DOCS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "baselines/**/*.md", "leaderboards/*.md", "convbench/datasets/mini/*.md")
    for path in ROOT.glob(pattern)
)
CLI = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
EXAMPLE_FILE = re.compile(r"^File `([^`]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"(?<![\w-])(--[a-z-]+|-[a-z])\b")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(path: Path) -> set[str]:
    """What GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands() -> Iterator[tuple[str, str]]:
    for path in DOCS:
        for language, block in FENCE.findall(path.read_text(encoding="utf-8")):
            if language == "sh":
                for line in block.replace("\\\n", " ").splitlines():
                    if line.startswith("convbench "):
                        yield name(path), line


def leaf(arguments: list[str]) -> tuple[click.Command, list[str]]:
    """The command that arguments name, and the arguments that are left for it."""
    command: click.Command = cli
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        _, found, arguments = command.resolve_command(click.Context(command), arguments)
        assert found is not None
        command = found
    return command, arguments


def leaves(command: click.Command, path: str = "convbench") -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, RecipeGroup):
        yield path, train_command
    if isinstance(command, click.Group):
        for sub in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), sub)
            assert found is not None
            yield from leaves(found, f"{path} {sub}")
    else:
        yield path, command


def options(command: click.Command) -> set[str]:
    return {text for parameter in command.params if isinstance(parameter, click.Option) for text in parameter.opts}


def table(text: str, title: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its header."""
    section = re.split(r"^## ", text.split(f"## {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


@pytest.mark.parametrize("path", DOCS, ids=name)
def test_links_lead_somewhere(path):
    for target in LINK.findall(FENCE.sub("", path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def test_every_guide_is_reached_from_the_readme():
    linked = set(LINK.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    assert {name(path) for path in (ROOT / "docs").glob("*.md")} <= linked


@pytest.mark.parametrize(("path", "line"), list(commands()))
def test_commands_parse(path, line):
    command, arguments = leaf(shlex.split(line)[1:])
    used = {argument.partition("=")[0] for argument in arguments if re.match(r"--?[a-z]", argument)}
    assert used <= options(command) | {"--help"}, line
    assert CliRunner().invoke(command, ["--help"]).exit_code == 0
    if "--help" not in used:
        with command.make_context(line, arguments):
            pass


def test_there_are_commands_to_check():
    assert len(list(commands())) > 30


@pytest.mark.parametrize(
    ("title", "command"), [("convbench", cli), *leaves(cli)], ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_option_is_listed_and_no_other(title, command):
    listed = {text for row in table(CLI, f"`{title}`") for text in OPTION.findall(row[0])}
    assert listed == options(command)


def test_every_command_is_listed():
    listed = re.findall(r"^\| \[`(convbench [a-z ]+)`\]", CLI, re.MULTILINE)
    assert listed == [path for path, _ in sorted(leaves(cli), key=lambda pair: listed.index(pair[0]))]


def test_exit_codes_are_those_of_the_errors():
    raised: dict[int, set[str]] = {0: set(), INTERRUPTED: set(), TERMINATED: set()}
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, errors.ConvbenchError):
            raised.setdefault(value.exit_code, set()).add(value.__name__)
    listed = {int(code): set(re.findall(r"`(\w+Error)`", classes)) for code, _, classes in table(CLI, "Exit codes")}
    assert listed == raised


def test_every_environment_variable_is_listed():
    sources = [*(ROOT / "convbench").rglob("*.py"), ROOT / "tests" / "conftest.py"]
    used = {found for path in sources for found in re.findall(r"CONVBENCH_[A-Z_]+", path.read_text(encoding="utf-8"))}
    assert {row[0].strip("`") for row in table(CLI, "Environment variables")} == used


def test_the_readme_begins_with_the_two_make_commands_and_is_short():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [block for _, block in FENCE.findall(text)[:2]] == ["make demo\n", "make test\n"]
    assert len(text.splitlines()) <= 220


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {target for path in DOCS for target in re.findall(r"(?:^|`)make ([a-z-]+)", path.read_text(encoding="utf-8"), re.MULTILINE)}
    assert named
    assert named <= targets


@pytest.mark.parametrize(
    "dataset", [name for name in DATASETS.names() if (ROOT / "convbench" / "datasets" / "cards" / f"{name}.yaml").exists()]
)
def test_datasets_are_described(dataset):
    section = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8").split(f"(`{dataset}`)\n", 1)[1].split("\n## ", 1)[0]
    adapter = DATASETS.get(dataset)
    splits = {*re.findall(r"`([\w-]+)`", table_row(section, "Splits"))}
    assert splits == set(adapter.splits)
    assert set(adapter.option_values) <= set(re.findall(r"`([\w-]+)`", table_row(section, "Options") if "| Options" in section else ""))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"| `{dataset}`" in readme
    for size in load_card(dataset).splits.values():
        assert size.turns is None or size.turns < 100 or f"/ {size.turns:,}" in readme, size


def test_every_key_of_a_recipe_is_listed_and_no_other():
    section = (ROOT / "docs" / "training.md").read_text(encoding="utf-8").split("## The recipe\n", 1)[1]
    rows = {part.strip("`"): set(re.findall(r"`(\w+)`", keys)) for part, keys in table("## The recipe\n" + section, "The recipe")}
    top = set(Recipe.model_fields)
    assert rows.pop("") | rows.keys() == top
    parts = {
        "tuning": {each.name for kind in (TrainableSettings, LoraSettings) for each in fields(kind)},
        "objectives": {each.name for each in fields(StepSettings)},
        "training": set(TrainSettings.model_fields),
        "evaluation": set(Evaluation.model_fields),
    }
    values = {"cosine", "linear", "constant", "fp32", "bf16"}
    for part, keys in parts.items():
        assert rows[part] - values == keys, part
    assert rows["model"] <= set(ModelConfig.model_fields)
    example = next(block for language, block in FENCE.findall(section) if language == "yaml")
    sources = [{"name": "topiocqa", "dataset": "topiocqa", "objectives": ["retrieval", "response", "identification"]}]
    values = parse_yaml(example, "docs/training.md") | {"mixture": {"sources": sources}}
    assert build_recipe(values, "docs/training.md").name == "mine"


def table_row(section: str, label: str) -> str:
    return next(line for line in section.splitlines() if line.startswith(f"| {label} |"))


@pytest.mark.parametrize("family", sorted(set(METRICS.names()) - {"bertscore", "entailment", "judge"}))
def test_every_measure_is_described(family):
    section = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8").split(f"## `{family}`\n", 1)[1].split("\n## ", 1)[0]
    for measure in METRICS.get(family)().measures():
        assert f"`{measure.name}`" in section


@pytest.mark.parametrize("name", protocol_names())
def test_every_protocol_is_described(name):
    assert f"| `{name}` |" in (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")


def test_every_baseline_is_described():
    listed = [path.parent.name for path in (ROOT / "baselines").glob("*/README.md")]
    assert sorted(listed) == baseline_names()
    index = (ROOT / "baselines" / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(([\w-]+)/README\.md\)", index)) == set(listed)


def test_the_mini_sets_have_the_sizes_that_are_printed():
    text = (ROOT / "convbench" / "datasets" / "mini" / "README.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == 5
    for label, _, *printed in rows:
        mini = open_dataset(DatasetRequest(label.strip("`")))
        several = [turn for turn in mini.turns if sum(reference.kind != "knowledge" for reference in turn.references) > 1]
        unanswered = sum(turn.labels.get("answerable") == "no" for turn in mini.turns)
        counts = [
            len(mini.conversations),
            len(mini.turns),
            len(mini.retrieval_turns().ids),
            sum(1 for _ in mini.adapter.collection().passages()),
            len({passage for turn in mini.turns for passage in turn.gold}),
            unanswered,
            len(several),
        ]
        assert [0 if cell == "–" else int(cell) for cell in printed] == counts, label


@pytest.fixture(scope="module")
def examples(tmp_path_factory) -> Path:
    """The files of the three guides beside a copy of the package, with their entry points in place."""
    root = tmp_path_factory.mktemp("examples")
    for folder in ("convbench", "baselines"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    points = ""
    for kind in ("dataset", "system", "metric"):
        for path, content in EXAMPLE_FILE.findall((ROOT / "docs" / f"add-a-{kind}.md").read_text(encoding="utf-8")):
            if path == "pyproject.toml":
                points += "".join(
                    f"[{group}]\n{lines}\n" for group, lines in re.findall(r'\[project\.entry-points\."([\w.]+)"\]\n(.+)', content)
                )
            else:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(content, encoding="utf-8")
    metadata = root / "examples-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: examples\nVersion: 0.1\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(points.replace('"', ""), encoding="utf-8")
    return root


def in_examples(root: Path, *arguments: str) -> str:
    command = [sys.executable, "-c", "from convbench.cli.main import main; main()", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_three_guides_examples_work_together(examples):
    arguments = ("-d", "faq", "--data", "data", "--metrics", "retrieval,token-recall", "--cache", "cache", "--out", "out", "--json")
    overlap, oracle = json.loads(in_examples(examples, "run", "overlap.yaml", "oracle", *arguments))
    assert overlap["dataset"]["name"] == "faq"
    assert (overlap["dataset"]["n_turns"], overlap["dataset"]["n_judged"], overlap["dataset"]["passages"]) == (3, 2, 3)
    assert overlap["system"] == {"kind": "word-overlap", "name": "overlap", "description": overlap["system"]["description"], "k": 50}
    values = {metric["name"]: metric["value"] for metric in overlap["metrics"]}
    assert values["RR@100"] == 1.0  # both questions share most words with their passage
    assert values["recall-max"] == 0.0  # these passages have no titles
    assert {metric["name"]: metric["value"] for metric in oracle["metrics"]}["recall-max"] == 1.0
