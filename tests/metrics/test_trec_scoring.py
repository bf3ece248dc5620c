from __future__ import annotations

import random
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convbench
from convbench.errors import DataError, MissingFileError, RunFileError, UsageError
from convbench.io import trec_columns
from convbench.metrics import trec_scoring
from convbench.metrics.trec_scoring import TrecScores, score_trec

OURS = ["nDCG@3", "nDCG", "RR", "R@10", "P@5", "Success@5", "MAP"]
THEIRS = ["nDCG@3", "nDCG", "RR(rel={})", "R(rel={})@10", "P(rel={})@5", "Success(rel={})@5", "AP(rel={})"]


@pytest.fixture(params=["arrays", "line by line"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trec_columns, "WORTH_IT", 0)
    if request.param == "arrays":
        monkeypatch.setattr(trec_scoring, "read_trec_lines", lambda path: pytest.fail("read line by line"))
    else:
        monkeypatch.setattr(trec_scoring, "read_columns", lambda path: None)


def write(folder: Path, run: str, qrels: str) -> tuple[Path, Path]:
    paths = folder / "run.trec", folder / "qrels.txt"
    for path, text in zip(paths, (run, qrels), strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def random_files(folder: Path, *, rising: bool) -> tuple[Path, Path]:
    """Ties, some of 32-bit floats only, grades from -1 to 3, turns that one file lacks, and ids that sort otherwise than their numbers."""
    chance = random.Random(int(rising))
    run, qrels = [], []
    for number in range(60):
        found = chance.sample(range(400), chance.choice([1, 5, 100, 300]))
        scores = sorted((round(chance.uniform(-3, 3), 1) + chance.choice([0, 0, 1e-9, 2e-9]) for _ in found), reverse=not rising)
        if number % 7:
            run += [f"c_{number} Q0 wiki:{id_} 1 {score} x\n" for id_, score in zip(found, scores, strict=True)]
        if number % 5:
            judged = chance.sample(range(400), chance.choice([1, 3, 60]))
            qrels += [f"c_{number} 0 wiki:{id_} {chance.randint(-1, 3)}\n" for id_ in judged]
    return write(folder, "".join(run), "".join(qrels))


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("rising", [False, True])
@pytest.mark.parametrize("relevant_from", [1, 2])
def test_values_are_those_of_ir_measures(tmp_path: Path, rising: bool, relevant_from: int) -> None:
    run, qrels = random_files(tmp_path, rising=rising)
    scores = score_trec(run, qrels, OURS, relevant_from=relevant_from)
    measures = [ir_measures.parse_measure(name.format(relevant_from)) for name in THEIRS]
    judgements = list(ir_measures.read_trec_qrels(str(qrels)))
    expected = ir_measures.calc_aggregate(measures, judgements, ir_measures.read_trec_run(str(run)))
    assert list(scores.means().values()) == pytest.approx([expected[measure] for measure in measures], abs=1e-12)
    values = np.zeros_like(scores.values)
    for metric in ir_measures.iter_calc(measures, judgements, ir_measures.read_trec_run(str(run))):
        values[scores.turn_ids.index(metric.query_id), measures.index(metric.measure)] = metric.value
    np.testing.assert_allclose(scores.values, values, rtol=0, atol=1e-12)
    assert len(scores.turn_ids) == 48
    assert values.all(axis=1).any()


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("20.00000001", "20.0"),
        ("20.0", "20.00000001"),
        ("20.000002", "20.0"),
        ("1e-46", "-0"),
        ("-1e-46", "0.0"),
        ("1e-45", "0.0"),
        ("16777217", "16777216"),
    ],
)
def test_scores_tie_where_they_do_for_trec_eval(tmp_path: Path, one: str, other: str) -> None:
    for relevant in "ab":
        run, qrels = write(tmp_path, f"1_1 Q0 a 1 {one} x\n1_1 Q0 b 2 {other} x\n", f"1_1 0 {relevant} 1\n")
        expected = ir_measures.calc_aggregate(
            [ir_measures.RR], ir_measures.read_trec_qrels(str(qrels)), ir_measures.read_trec_run(str(run))
        )
        assert score_trec(run, qrels, ["RR"]).means() == {"RR": expected[ir_measures.RR]}


@pytest.mark.usefixtures("_way")
def test_a_depth_cuts_rankings(tmp_path: Path) -> None:
    files = write(tmp_path, "1_1 Q0 a 1 3 x\n1_1 Q0 b 2 2 x\n1_1 Q0 c 3 1 x\n", "1_1 0 c 1\n")
    assert score_trec(*files, ["RR"]).means() == {"RR": 1 / 3}
    assert score_trec(*files, ["RR"], depth=2).means() == {"RR": 0.0}
    assert score_trec(*files, ["RR@2", "RR@3"], depth=3).means() == {"RR@2": 0.0, "RR@3": 1 / 3}


IDS = st.text(st.sampled_from("ab␣é日1"), min_size=1, max_size=3)
SCORES = st.sampled_from(["0", "-0", "1", "1.0", "1.00000001", "2e0", "-1e30", "200", "200.000001", "3e38"])


@given(
    st.dictionaries(st.sampled_from(["1_1", "1_2", "1_3"]), st.dictionaries(IDS, SCORES, min_size=1, max_size=9)),
    st.dictionaries(st.sampled_from(["1_1", "1_2", "9_9"]), st.dictionaries(IDS, st.integers(-1, 4), min_size=1, max_size=6), min_size=1),
)
def test_both_ways_give_the_same(
    tmp_path_factory: pytest.TempPathFactory, rankings: dict[str, dict[str, str]], judgements: dict[str, dict[str, int]]
) -> None:
    run = "".join(f"{turn} Q0 {id_} 1 {score} x\n" for turn, passages in rankings.items() for id_, score in passages.items())
    qrels = "".join(f"{turn} 0 {id_} {grade}\n" for turn, grades in judgements.items() for id_, grade in grades.items())
    files = write(tmp_path_factory.mktemp("files"), run, qrels)

    def scored(worth_it: int) -> TrecScores:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trec_columns, "WORTH_IT", worth_it)
            return score_trec(*files, OURS, depth=10)

    arrays, lines = scored(0), scored(1 << 40)
    assert arrays.turn_ids == lines.turn_ids == tuple(judgements)
    np.testing.assert_allclose(arrays.values, lines.values, rtol=0, atol=1e-12)


def test_in_a_notebook(tmp_path: Path) -> None:
    write(tmp_path, "1_1 Q0 a 1 3 x\n1_2 Q0 b 1 2 x\n1_2 Q0 c 2 1 x\n", "1_1 0 a 1\n1_2 0 c 1\n")
    scores = convbench.score_trec(f"{tmp_path}/run.trec", f"{tmp_path}/qrels.txt", ["RR", "R@100"], relevant_from=1)
    assert scores.means() == {"RR": 0.75, "R@100": 1.0}
    assert scores.values[scores.turn_ids.index("1_2")].tolist() == [0.5, 1.0]


@pytest.mark.parametrize("worth_it", [0, 1 << 40])
def test_what_is_wrong_is_said_by_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worth_it: int) -> None:
    monkeypatch.setattr(trec_columns, "WORTH_IT", worth_it)
    run, qrels = write(tmp_path, "1_1 Q0 a 1 2 x\n1_1 Q0 b 2 high x\n", "1_1 0 a 1\n")
    with pytest.raises(RunFileError, match=r"run\.trec:2: turn 1_1: score 'high'"):
        score_trec(run, qrels, ["RR"])
    run.write_text("1_1 Q0 a 1 1e39 x\n", encoding="utf-8")
    with pytest.raises(RunFileError, match="turn 1_1: passage 'a' has the score 1e\\+39"):
        score_trec(run, qrels, ["RR"])
    with pytest.raises(UsageError, match="no measure 'MRR'"):
        score_trec(run, qrels, ["MRR"])
    with pytest.raises(MissingFileError):
        score_trec(tmp_path / "none.trec", qrels, ["RR"])
    for text, message in (("", "no judgements here"), ("1_1 0 a 10001\n", "turn 1_1: passage 'a' has the grade 10001; expected 10000")):
        qrels.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=message):
            score_trec(run, qrels, ["RR"])
