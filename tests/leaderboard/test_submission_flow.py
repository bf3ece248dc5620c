"""The workflow that checks submissions, and the templates: no rights beyond reading, fixed versions, commands that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import yaml

from convbench.cli.main import cli
from convbench.leaderboard.answers import Answers
from convbench.leaderboard.card import Card
from convbench.leaderboard.track import Track

GITHUB = Path(__file__).parents[2] / ".github"
TEXT = (GITHUB / "workflows" / "leaderboards.yml").read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load(TEXT)
STEPS = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


def test_it_may_only_read_and_sees_no_secret():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in WORKFLOW["jobs"].values())
    assert list(WORKFLOW[True]) == ["pull_request", "push"]  # YAML reads "on" as true
    assert WORKFLOW[True]["push"]["branches"] == ["main"]
    assert "secrets" not in TEXT.replace("secret.", "")


def test_it_runs_where_scores_may_change_and_when_a_label_is_given():
    for event in WORKFLOW[True].values():
        assert {"leaderboards/**", "convbench/**", "baselines/**", "constraints.txt", "pyproject.toml"} <= set(event["paths"])
        assert {path for path in event["paths"] if not path.endswith("/**") and not (GITHUB.parent / path).is_file()} == set()
    assert set(WORKFLOW[True]["pull_request"]["types"]) == {"opened", "synchronize", "reopened", "labeled"}


def test_an_approval_counts_for_the_event_that_gave_it():
    (judge,) = [step for step in STEPS if "leaderboard_changes.py" in step.get("run", "")]
    label = re.search(r'^LABEL = "(.+)"$', (GITHUB / "leaderboard_changes.py").read_text(encoding="utf-8"), re.MULTILINE)
    assert label is not None
    given = f"github.event.action == 'labeled' && github.event.label.name == '{label[1]}'"
    assert judge["env"] == {"APPROVED": f"${{{{ github.event_name == 'push' || ({given}) }}}}"}
    for guide in ("docs/leaderboards.md", "CONTRIBUTING.md"):
        assert f"`{label[1]}`" in (GITHUB.parent / guide).read_text(encoding="utf-8")


def test_actions_are_fixed_by_commit_and_leave_no_credentials():
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert len(used) == 3
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action) for action in used)
    checkouts = [step for step in STEPS if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_nothing_of_a_pull_request_is_pasted_into_a_command():
    assert not any("${{" in step.get("run", "") for step in STEPS)


def test_its_commands_exist_and_check():
    lines = [line.strip() for step in STEPS for line in step.get("run", "").splitlines() if "convbench " in line]
    found = [shlex.split(line.partition(" > ")[0])[1:] for line in lines if "convbench leaderboard" in line]
    assert [words[:2] for words in found] == [["leaderboard", "verify"], ["leaderboard", "build"]]
    for group, name, *arguments in found:
        boards = cli.get_command(click.Context(cli), group)
        command = boards.get_command(click.Context(boards), name)
        with command.make_context(name, arguments) as context:
            assert context.params["check"] is True
            assert context.params["root"] == Path("../proposed/leaderboards")


def test_the_templates_ask_for_training_data():
    form = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / "submission.yml").read_text(encoding="utf-8"))
    ids = [part["id"] for part in form["body"] if "id" in part]
    assert len(ids) == len(set(ids))
    assert "training" in ids
    template = (GITHUB / "PULL_REQUEST_TEMPLATE" / "submission.md").read_text(encoding="utf-8")
    assert "## Training data" in template
    assert "convbench leaderboard verify --track TRACK" in template


def test_the_guide_names_every_check_and_every_key_of_a_track():
    guide = (GITHUB.parent / "docs" / "leaderboards.md").read_text(encoding="utf-8")
    sources = "".join(path.read_text(encoding="utf-8") for path in (GITHUB.parent / "convbench" / "leaderboard").glob("*.py"))
    checks = set(re.findall(r'(?:refused\(|check=)\s*"([a-z-]+)"', sources))
    assert {"turns-missing", "scores-differ", "trained-on-test"} <= checks
    assert {check for check in checks if f"`{check}`" not in guide} == set()
    keys = set(re.findall(r"`(\w+)`", guide.split("The keys of a `track.yaml`:", 1)[1].split("\n\n", 2)[1]))
    assert set(Track.model_fields) <= keys
    assert {*Card.model_fields, *Answers.model_fields} - {"turnset_sha256", "collection_sha256"} <= set(re.findall(r"\b[a-z_]+\b", guide))
