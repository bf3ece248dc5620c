from __future__ import annotations

import gzip
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convbench.datasets.adapters import load_card
from convbench.errors import DataError, MissingFileError, RunFileError
from convbench.io.runfile import write_run
from convbench.io.trec_run import write_trec_run
from convbench.meter import Meter
from convbench.systems.base import Settings, Stage, System, Workplace
from convbench.systems.replay import ReplayConfig, ReplayStage, read_records, replay_name
from convbench.types import Ranking, Turn, TurnRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

RECORDS = [
    TurnRecord("1_1", "who", (("b", 2.0), ("a c", 1.5)), "A sailor.", ("b",), usage={"tokens_in": 7}, ledger={"kept": ["x"]}),
    TurnRecord("1_2", "why", (("a", 1.0),), None, abstained=True),
]
TURNS = [Turn("1_1", "who"), Turn("1_2", "why"), Turn("1_3", "when")]


def replayed(path: Path, turns: Sequence[Turn] = TURNS) -> list[TurnRecord | None]:
    """What the system hands out, through its stage and back."""
    system = ReplayConfig(kind="replay", name="run", run=path).build(Settings(load_card("topiocqa"), offline=True, seed=0))
    (stage,) = system.stages()
    stage.check(turns)
    stage.open(Workplace(None, path, Meter()))
    return [system.record(row["turn_id"], {"replay": row}) for row in stage.run(turns, {})]


@pytest.mark.parametrize("name", ["turns.jsonl", "run.jsonl.gz", "folder"])
def test_a_joint_run_comes_back_whole(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    file = path / "turns.jsonl" if name == "folder" else tmp_path / "turns.jsonl"
    write_run(file, {"system": "x"}, RECORDS)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(file.read_bytes()))
    assert replayed(path) == [*RECORDS, None]


@pytest.mark.parametrize("name", ["run.trec", "run.run", "run.txt", "run.trec.gz"])
def test_a_trec_run_has_rankings_only(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_trec_run(path, [Ranking(record.turn_id, record.passages) for record in RECORDS], "tag")
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert replayed(path) == [*(TurnRecord(record.turn_id, passages=record.passages) for record in RECORDS), None]


def test_rankings_become_canonical(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    path.write_text("1_1 Q0 a 1 1 x\n1_1 Q0 c 2 5 x\n1_1 Q0 b 3 5 x\n")
    passages = read_records(path)["1_1"].passages
    assert [passage_id for passage_id, _ in passages] == ["c", "b", "a"]
    assert passages[0][1] == 5.0 > passages[1][1] > 1.0


def test_scores_beyond_32_bits_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    path.write_text("1_1 Q0 a 1 1e39 x\n")
    with pytest.raises(RunFileError, match=r"turn 1_1: passage 'a' has the score 1e\+39"):
        read_records(path)


BAD_IDS = {
    "p3 1 9 t\nd1_2 Q0 p2": "control character or line break",
    "a\tb": "control character",
    "a\x00": "control character",
    "a\N{LINE SEPARATOR}b": "control character",
    "a\N{OPEN BOX}b": "U+2423, which stands for a blank",
    "": "the passage id is empty",
    " \N{NO-BREAK SPACE}": "the passage id is empty",
}


@pytest.mark.parametrize("passage_id", BAD_IDS)
def test_passage_ids_that_would_break_a_trec_run_are_refused(tmp_path: Path, passage_id: str) -> None:
    write_run(tmp_path / "turns.jsonl", {}, [*RECORDS, TurnRecord("1_3", passages=(("fine", 2.0), (passage_id, 1.0)))])
    for path in (tmp_path, tmp_path / "turns.jsonl"):
        with pytest.raises(DataError) as caught:
            read_records(path)
        message = str(caught.value)
        assert message.startswith(f"{tmp_path / 'turns.jsonl'}: turn '1_3': ")
        assert BAD_IDS[passage_id] in message
        assert message.isprintable()


@pytest.mark.parametrize("column", ["\N{OPEN BOX}", "a\x0bb", "a\x00"])
def test_such_ids_of_a_trec_run_are_refused_too(tmp_path: Path, column: str) -> None:
    (tmp_path / "run.trec").write_text(f"1_1 Q0 {column} 1 1 x\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"run\.trec: turn '1_1': "):
        read_records(tmp_path / "run.trec")


def test_many_ids_are_checked_quickly(tmp_path: Path) -> None:
    passages = tuple((f"Rio Grande {n}", -float(n)) for n in range(1000))
    write_run(tmp_path / "turns.jsonl", {}, [TurnRecord(f"{n}_1", passages=passages) for n in range(250)])
    start = time.process_time()
    assert len(read_records(tmp_path)) == 250
    assert time.process_time() - start < 5  # about 1.5 s on an idle core


def test_ties_at_the_lowest_scores_are_read_again_as_they_are(tmp_path: Path) -> None:
    write_run(tmp_path / "turns.jsonl", {}, [TurnRecord("1_1", passages=(("a", -3e38), ("b", -3e38)))])
    once = read_records(tmp_path)
    write_run(tmp_path / "turns.jsonl", {}, once.values())
    assert read_records(tmp_path) == once


def test_a_run_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "turns.jsonl"
    write_run(path, {}, RECORDS)
    with pytest.raises(RunFileError, match=r"turns\.jsonl: none of its turns \(1_1, 1_2 \.\.\.\) is a turn of this dataset \(9_1 \.\.\.\)"):
        replayed(path, [Turn("9_1", "who")])


def test_an_empty_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "turns.jsonl"
    path.write_text("")
    with pytest.raises(RunFileError, match="the run holds no turns"):
        replayed(path)


def test_a_missing_or_broken_file(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"nothing\.jsonl: no such file"):
        replayed(tmp_path / "nothing.jsonl")
    with pytest.raises(MissingFileError, match=r"nothing\.trec: no such file"):
        replayed(tmp_path / "nothing.trec")
    (tmp_path / "half.jsonl").write_text('{"turn_id": "1_1"}\n{"turn_id"')
    with pytest.raises(DataError, match=r"half\.jsonl:2: not valid JSON"):
        replayed(tmp_path / "half.jsonl")


def test_its_identity_is_the_content_not_the_name(tmp_path: Path) -> None:
    write_run(tmp_path / "one.jsonl", {}, RECORDS)
    write_run(tmp_path / "folder" / "turns.jsonl", {}, RECORDS)
    write_run(tmp_path / "other.jsonl", {}, RECORDS[:1])
    one, folder, other = (ReplayStage(tmp_path / name).describe() for name in ("one.jsonl", "folder", "other.jsonl"))
    assert one == folder
    assert one != other


def test_it_needs_no_passages_and_keeps_the_protocols(tmp_path: Path) -> None:
    system = ReplayConfig(kind="replay", name="run", run=tmp_path).build(Settings(load_card("topiocqa"), offline=True, seed=0))
    assert isinstance(system, System)
    assert all(isinstance(stage, Stage) for stage in system.stages())
    assert not system.needs_passages
    assert system.conditions()["history"] == "unknown"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("runs/best.jsonl.gz", "best"),
        ("minilm.v2.trec", "minilm.v2"),
        ("runs/bm25-k1-0.9", "bm25-k1-0.9"),
        ("my own run (2).run", "my-own-run-2-"),
        (".hidden.jsonl", "hidden"),
        ("東京.trec", "run"),
    ],
)
def test_the_file_names_the_system(path: str, name: str) -> None:
    assert replay_name(Path(path)) == name
    assert ReplayConfig(kind="replay", name=name, run=Path(path)).name == name


def test_a_folder_given_by_dots_has_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "best").mkdir()
    monkeypatch.chdir(tmp_path / "best")
    assert replay_name(Path()) == "best"
