"""Every file of a run folder is damaged in every way: what each command does is right, or it says in one line which file and what to do."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from command_line import Finished, content_without_cost, convbench, succeed
from mixed_run import leftovers, quick_command

Damage = Callable[[bytes], bytes | None]

METRICS = ("--metrics", "retrieval,token-f1", "--offline")
BOARDS = Path(__file__).parents[2] / "leaderboards"


def cut(share: float) -> Damage:
    return lambda content: content[: int(len(content) * share)]


def without_line(place: float) -> Damage:
    def damage(content: bytes) -> bytes | None:
        lines = content.splitlines(keepends=True)
        return b"".join(lines[: int(place * (len(lines) - 1))] + lines[int(place * (len(lines) - 1)) + 1 :]) if len(lines) > 1 else None

    return damage


def another_digit(content: bytes) -> bytes | None:
    """A number that is still one."""
    found = [match.start() + 3 for match in re.finditer(rb"\d\.\d{3,}", content)]
    if not found:
        return None
    at = found[len(found) // 2]
    return content[:at] + (b"3" if content[at : at + 1] != b"3" else b"7") + content[at + 1 :]


def flipped(seed: int) -> Damage:
    def damage(content: bytes) -> bytes:
        chance, changed = random.Random(seed), bytearray(content)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(7)
        return bytes(changed)

    return damage


DAMAGES: dict[str, Damage] = {
    "empty": lambda _: b"",
    "half": cut(0.5),
    "without its end": lambda content: content[:-2],
    "without its last line": without_line(1.0),
    "without a line": without_line(0.5),
    "without its first line": without_line(0.0),
    "last line twice": lambda content: content + content.splitlines(keepends=True)[-1],
    "zeros": lambda content: bytes(len(content)),
    "something else": lambda content: random.Random(3).randbytes(len(content)),
    "another digit": another_digit,
    **{f"a bit of byte {seed}": flipped(seed) for seed in range(4)},
}
"""None: it cannot have this damage. A file that is gone is damaged too, apart from these."""
GONE = "gone"


class Case:
    """A folder with ``run`` and ``other``."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self._said: dict[str, Any] = {}

    def said(self, command: str) -> Any:
        """What a command gives where nothing is damaged."""
        if command not in self._said:
            again = self.base.parent / "undamaged" / command / "runs"
            shutil.copytree(self.base, again)
            self._said[command] = result_of(command, succeed(*commands(again)[command]), again)
        return self._said[command]


def commands(base: Path) -> dict[str, tuple[object, ...]]:
    run = base / "run"
    columns = "run, turn_id, protocol, measure, value, reason, query, response, passages"
    sql = f"SELECT {columns} FROM scores JOIN turns USING (run, turn_id) ORDER BY ALL"
    packing = ("--track", "topiocqa-mini", "--root", base / "boards", "--trained-on", "nothing", "--id", "x")
    return {
        "compare": ("compare", run, base / "other", "-o", base / "compared", "--resamples", 100, "--no-figures", "--json"),
        "diff": ("diff", run, base / "other", "--json"),
        "list": ("runs", "list", base, "--json"),
        "show": ("runs", "show", run, "--json"),
        "sql": ("runs", "sql", sql, "--folder", base, "--limit", 1_000_000, "--json"),
        "export": ("runs", "export", run, "--out", base / "bundle"),
        "export-ids": ("runs", "export", run, "--without-texts", "--out", base / "bundle"),
        "submit": ("leaderboard", "submit", run, *packing),
        "validate": ("validate", run),
        "score": ("score", run, *METRICS),
        "run": ("run", "bm25-query", "-d", "topiocqa", "--out", run, *METRICS),
    }


WRITES = {"export": "bundle", "export-ids": "bundle", "submit": "boards", "score": "run", "run": "run"}
"""Command -> the folder that holds what it made."""


def result_of(name: str, found: Finished, base: Path) -> Any:
    """What a command gives: its output, or the files that it writes; without sizes and places, which damage may change."""
    if name in ("score", "run"):
        if name == "score":
            (base / "run" / "retrieval.trec").touch()
        content = content_without_cost(base / "run") | {"cost": None}
        return content if name == "run" else {key: content[key] for key in ("turns.jsonl", "scores.jsonl", "results.json")}
    if name in WRITES:
        folder = base / WRITES[name]
        files = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        parsed = {"results.json": without_seal, "retrieval.trec": rankings}
        others = ("bundle.json", "run.json", "report.md", "report.html")
        return {path: parsed.get(path.name, bytes)(content) for path, content in files.items() if path.name not in others}
    if name == "show":
        return {key: found.json[key] for key in ("system", "dataset", "split", "tier", "seed", "turns", "conditions", "metrics", "cost")}
    text = re.sub(r'"bytes": \d+|"files": \{[^}]*\}', "", found.out)
    return text.replace(str(base), "BASE")


def rankings(content: bytes) -> list[list[bytes]]:
    """What counts of a TREC run; where it is gone, ``turns.jsonl`` says the same."""
    return [[columns[0], columns[2], columns[4]] for columns in map(bytes.split, content.splitlines())]


def without_seal(content: bytes) -> dict[str, Any]:
    values = json.loads(content)
    return {key: value for key, value in values.items() if key not in ("cost", "check")}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    base = tmp_path_factory.mktemp("case") / "runs"
    for name, system in (("run", "bm25-query"), ("other", "bm25-rewrite")):
        succeed("run", system, "-d", "topiocqa", "--out", base / name, *METRICS)
    (base / "boards" / "topiocqa-mini" / "submissions").mkdir(parents=True)
    shutil.copy(BOARDS / "topiocqa-mini" / "track.yaml", base / "boards" / "topiocqa-mini")
    return Case(base)


def damaged(case: Case, tmp_path: Path, file: str, way: str, command: str) -> Path | None:
    """A copy of the folder with one file damaged; None where the file cannot have this damage."""
    before = (case.base / "run" / file).read_bytes()
    after = None if way == GONE else DAMAGES[way](before)
    if way != GONE and after in (None, before):
        return None
    base = tmp_path / f"{command}-{way}".replace(" ", "-") / "runs"
    shutil.copytree(case.base, base)
    path = base / "run" / file
    if after is None:
        path.unlink()
    else:
        path.write_bytes(after)
    return base


def check(case: Case, base: Path, file: str, way: str, command: str) -> str:
    """``right``, ``refused`` or ``left out``; anything else fails."""
    found = convbench(*commands(base)[command])
    about = (file, way, command, found)
    assert "Traceback" not in found.err, about
    if command == "validate":
        said = found.out + found.err
        assert found.code in (0, 4), about
        if found.code == 0:
            assert Path(file).name not in CHECKED or way in HARMLESS, about
        return "right" if found.code == 0 else "refused"
    if found.code == 0:
        given, whole = result_of(command, found, base), case.said(command)
        if given == whole or (file == "retrieval.trec" and way == GONE and given.items() < whole.items()):
            return "right"
        said = [line for line in found.err.splitlines() if line.startswith("warning: ") and Path(file).name in line]
        assert command in ("list", "sql"), about  # of many runs, one that cannot be read is left out, with a warning
        assert len(said) == 1, about
        return "left out"
    said = [line for line in found.err.splitlines() if line.startswith(("error: ", "refused: "))]
    assert len(said) == 1, about
    assert Path(file).name in said[0] or (str(base / "run") in said[0] and (way == GONE or file == "run.json")), about
    assert re.search(r"again|remove|put it back|choose another|expected", said[0]), about
    return "refused"


CHECKED = ("run.json", "results.json", "scores.jsonl", "turns.jsonl", "retrieval.trec")
"""What ``validate`` looks at, stages apart."""
HARMLESS = ("without its end", "another digit", "without a line", *(way for way in DAMAGES if way.startswith("a bit")))
"""Such damage may hit what is no part of the evaluation: a date or version in ``run.json``, the tag of a TREC run."""

FILES = (
    "run.json",
    "results.json",
    "scores.jsonl",
    "turns.jsonl",
    "retrieval.trec",
    "report.md",
    "report.html",
    *(f"stages/{stage}.{kind}" for stage in ("rewrite", "search", "generate") for kind in ("jsonl", "cost.jsonl", "manifest.json")),
    "stages/score-*.jsonl",
    "stages/score-*.manifest.json",
)


def of(case: Case, pattern: str) -> str:
    return sorted(path.relative_to(case.base / "run").as_posix() for path in (case.base / "run").glob(pattern))[0]


def reading(file: str) -> list[str]:
    """The commands that a file could matter to."""
    return ["run", "score", "validate", "export"] if file.startswith(("stages/", "report.")) else [*commands(Path())]


@pytest.mark.slow
@pytest.mark.parametrize("way", [*DAMAGES, GONE])
@pytest.mark.parametrize("pattern", FILES)
def test_every_command(case: Case, tmp_path: Path, pattern: str, way: str) -> None:
    file = of(case, pattern)
    for command in reading(file):
        if (base := damaged(case, tmp_path, file, way, command)) is not None:
            came = check(case, base, file, way, command)
            if command == "run" and file != "run.json":
                assert came == "right", (file, way)
            shutil.rmtree(base.parent)


QUICK = [
    ("scores.jsonl", "without its last line", "compare", "refused"),
    ("scores.jsonl", "half", "run", "right"),
    ("scores.jsonl", "another digit", "sql", "refused"),
    ("results.json", "another digit", "list", "left out"),
    ("turns.jsonl", "without a line", "score", "refused"),
    ("retrieval.trec", "without its last line", "export", "refused"),
    ("stages/generate.cost.jsonl", "another digit", "run", "right"),
]


@pytest.mark.parametrize(("file", "way", "command", "expected"), QUICK)
def test_some_commands(case: Case, tmp_path: Path, file: str, way: str, command: str, expected: str) -> None:
    base = damaged(case, tmp_path, file, way, command)
    assert base is not None
    assert check(case, base, file, way, command) == expected


@pytest.fixture
def half(warm: Path, tmp_path: Path) -> Path:
    """A folder with the cache and a run that was killed within the second batch of its last stage."""
    shutil.copytree(warm / "cache", tmp_path / "cache")
    shutil.copytree(warm / "run", tmp_path / "run")
    run, stages = tmp_path / "run", tmp_path / "run" / "stages"
    written = ("turns.jsonl", "retrieval.trec", "scores.jsonl", "results.json", "report.md", "report.html")
    for path in (*(run / name for name in written), *stages.glob("score-*")):
        path.unlink()
    key = json.loads((stages / "generate.manifest.json").read_text(encoding="utf-8"))["key"]
    rows = (stages / "generate.jsonl").read_bytes().splitlines(keepends=True)
    assert len(rows) > 4
    batch = b"".join(rows[:4])
    (stages / f"generate.{key[:16]}.part").write_bytes(batch + rows[4][:20])
    (stages / f"generate.{key[:16]}.part.digests").write_text(f"{sha256(batch).hexdigest()}\n{'0' * 64}\n", encoding="utf-8")
    costs = (stages / "generate.cost.jsonl").read_bytes().splitlines(keepends=True)
    (stages / "generate.cost.jsonl").write_bytes(b"".join(costs[:3]))
    (stages / "generate.jsonl").unlink()
    (stages / "generate.manifest.json").unlink()
    info = json.loads((run / "run.json").read_text(encoding="utf-8"))
    info["status"], info["executions"] = "running", [{"started": info["executions"][0]["started"], "status": "running"}]
    (run / "run.json").write_text(json.dumps(info), encoding="utf-8")
    return tmp_path


def half_files(base: Path) -> Iterator[Path]:
    yield base / "run" / "run.json"
    yield from sorted((base / "run" / "stages").iterdir())


def go_on(warm: Path, base: Path, about: object) -> str:
    """Runs the command again; what became of it."""
    found = convbench(*quick_command(base))
    assert "Traceback" not in found.err, (about, found)
    if found.code:
        said = [line for line in found.err.splitlines() if line.startswith("error: ")]
        assert len(said) == 1, (about, found)
        assert "run.json" in said[0] or "holds another run" in said[0], (about, found)
        return "refused"
    ours, whole = content_without_cost(base / "run"), content_without_cost(warm / "run")
    if ours["cost"] != whole["cost"]:  # what is lost of it is said
        assert re.search(r"cost\.jsonl: (damaged in line \d+|lines are missing|no such file).*not known whole", found.err), (about, found)
    assert ours | {"cost": None} == whole | {"cost": None}, about
    assert leftovers(base / "run") == [], about
    assert not list((base / "run" / "stages").glob("*.digests")), about
    return "right"


def test_rows_that_were_changed_in_a_half_finished_run(warm: Path, half: Path) -> None:
    """A letter of a response: the row is one still."""
    (part,) = (half / "run" / "stages").glob("generate.*.part")
    changed = re.sub(rb'("text":")', rb"\1x", part.read_bytes(), count=1)
    assert changed != part.read_bytes()
    part.write_bytes(changed)
    assert go_on(warm, half, part.name) == "right"


@pytest.mark.slow
@pytest.mark.parametrize("way", [*DAMAGES, GONE])
def test_every_file_of_a_half_finished_run(warm: Path, half: Path, tmp_path: Path, way: str) -> None:
    for path in list(half_files(half)):
        if way != GONE and DAMAGES[way](path.read_bytes()) in (None, path.read_bytes()):
            continue
        base = tmp_path / "again"
        shutil.copytree(half / "run", base / "run")
        shutil.copytree(half / "cache", base / "cache")
        target = base / path.relative_to(half)
        if way == GONE:
            target.unlink()
        else:
            target.write_bytes(DAMAGES[way](path.read_bytes()) or b"")
        assert go_on(warm, base, (path.name, way)) == "right" or path.name == "run.json", (path.name, way)
        shutil.rmtree(base)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["compare", "diff", "list", "show", "sql", "export", "submit", "validate", "score"])
def test_what_others_say_of_a_half_finished_run(half: Path, case: Case, command: str) -> None:
    for name in ("other", "boards"):
        shutil.copytree(case.base / name, half / name)
    found = convbench(*commands(half)[command])
    if command in ("list", "show", "sql"):
        assert found.code == 0, found
        assert command == "sql" or '"stale"' in found.out
        return
    assert found.code != 0
    if command != "validate":
        said = [line for line in found.err.splitlines() if line.startswith(("error: ", "refused: "))]
        assert len(said) == 1, found
        assert re.search(r"no finished run|not finished|stale|running", said[0]), found
