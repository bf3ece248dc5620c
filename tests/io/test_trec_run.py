from __future__ import annotations

import gzip
import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.errors import DataError, RunFileError
from convbench.io.trec_run import escape_id, read_score, read_trec_run, unescape_id, write_trec_run
from convbench.types import Ranking

# What a passage id may hold: everything printable and every blank, but no control character, line break or tab (corpora refuse those).
IDS = st.text(st.characters(blacklist_categories=["Cc", "Cs", "Zl", "Zp"], blacklist_characters="\N{OPEN BOX}"), min_size=1).filter(
    lambda text: bool(text.strip())
)
SCORES = st.floats(allow_nan=False, allow_infinity=False)
RUNS = st.dictionaries(
    st.from_regex(r"[A-Za-z0-9-]{1,9}_[1-9]", fullmatch=True), st.dictionaries(IDS, SCORES, min_size=1, max_size=4), max_size=3
)

NO_SCORES = (
    "1_0",
    "\N{FULLWIDTH DIGIT ONE}",
    "\N{ARABIC-INDIC DIGIT FOUR}.5",
    "0x1p3",
    "1e",
    "e5",
    ".",
    "1,5",
    "--1",
    "1.5.2",
)


def written(tmp_path: Path, text: str, name: str = "run.trec") -> Path:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@given(RUNS)
def test_what_is_written_reads_back(tmp_path_factory: pytest.TempPathFactory, run: dict[str, dict[str, float]]) -> None:
    path = tmp_path_factory.mktemp("run") / "run.trec"
    write_trec_run(path, [Ranking(turn_id, tuple(passages.items())) for turn_id, passages in run.items()], "tag")
    read = read_trec_run(path)
    assert {turn_id: dict(pairs) for turn_id, pairs in read.items()} == run
    assert [list(pairs) for pairs in read.values()] == [list(passages.items()) for passages in run.values()]


@given(IDS)
def test_an_id_is_one_column_for_trec_eval(passage_id: str) -> None:
    assert not set(escape_id(passage_id)) & set(" \t\n\r\v\f")
    assert unescape_id(escape_id(passage_id)) == passage_id


def test_the_lines_are_trec(tmp_path: Path) -> None:
    ranking = Ranking("Q_1", (("Rio Grande:3", 0.1 + 0.2), ("p", -1e-9)))
    write_trec_run(tmp_path / "run.trec", [ranking, Ranking("Q_2", ())], "bm25")
    expected = "Q_1 Q0 Rio␣Grande:3 1 0.30000000000000004 bm25\nQ_1 Q0 p 2 -1e-09 bm25\n"
    assert (tmp_path / "run.trec").read_text(encoding="utf-8") == expected


@pytest.mark.parametrize("name", ["run.trec", "run.trec.gz"])
def test_reads_tabs_crlf_blank_lines_and_file_order(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, "1_1\tQ0\tp\t9\t1\tx\r\n\n  \n1_2 0 p 1 1.5e0 x\n1_1  Q0  q  1  2  x\n", name)
    assert read_trec_run(path) == {"1_1": [("p", 1.0), ("q", 2.0)], "1_2": [("p", 1.5)]}


def test_only_ascii_blanks_separate(tmp_path: Path) -> None:
    passage_id = "Rio\N{NO-BREAK SPACE}Grande\N{IDEOGRAPHIC SPACE}3"
    assert read_trec_run(written(tmp_path, f"1_1 Q0 {passage_id} 1 2 x\n")) == {"1_1": [(passage_id, 2.0)]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1_1 Q0 p 1 0.5", "expected 6 columns 'turn_id Q0 passage_id rank score tag', found 5"),
        ("1_1 Q0 Rio Grande 1 0.5 x", "expected 6 columns .*, found 7"),
        ("1_1 Q0 p 1 nan x", "turn 1_1: score 'nan' is not a finite number"),
        ("1_1 Q0 p 1 -inf x", "turn 1_1: score '-inf' is not a finite number"),
        ("1_1 Q0 p 1 1e999 x", "turn 1_1: score '1e999' is not a finite number"),
        *((f"1_1 Q0 p 1 {score} x", f"turn 1_1: score '{score}' is not a finite number such as 12.5") for score in NO_SCORES),
        ("1_1 Q0 p 1 high x", "turn 1_1: score 'high' is not a finite number"),
        ("0_9 Q0 p 2 0.4 x", "turn 0_9: passage 'p' appears twice"),
    ],
)
def test_bad_lines_name_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    path = written(tmp_path, f"0_9 Q0 p 1 0.5 x\n\n{line}\n")
    error = RunFileError if "finite" in message else DataError
    with pytest.raises(error, match=rf"run\.trec:3: {message}"):
        read_trec_run(path)


@pytest.mark.parametrize("score", ["1", "+1", "-1.5", "1.", ".5", "1e5", "1.5E-05", "-0", "007", "1e-400", "9" * 60])
def test_scores_are_decimal_numbers(tmp_path: Path, score: str) -> None:
    assert read_trec_run(written(tmp_path, f"1_1 Q0 p 1 {score} x\n")) == {"1_1": [("p", float(score))]}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_score_that_is_written_is_read(score: float) -> None:
    assert read_score(repr(score)) == score


@given(st.text(st.sampled_from("0123456789.eE+-_ x\N{FULLWIDTH DIGIT ONE}"), max_size=8))
def test_what_is_read_is_what_python_reads_of_ascii(text: str) -> None:
    try:
        expected = float(text) if not set(text) & set("_ \N{FULLWIDTH DIGIT ONE}") else math.nan
    except ValueError:
        expected = math.nan
    assert read_score(text) == expected or (math.isnan(expected) and math.isnan(read_score(text)))


def test_an_endless_score_is_refused_at_once_and_shown_short(tmp_path: Path) -> None:
    start = time.process_time()
    with pytest.raises(RunFileError) as caught:
        read_trec_run(written(tmp_path, f"1_1 Q0 p 1 {'1' * 1_000_000}x x\n"))
    assert time.process_time() - start < 1
    assert len(str(caught.value)) < 400


def test_an_escaped_id_is_the_same_passage(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"run\.trec:2: turn 1_1: passage 'a b' appears twice"):
        read_trec_run(written(tmp_path, "1_1 Q0 a␣b 1 2 x\n1_1 Q0 a␣b 2 1 x\n"))


def test_a_failing_ranking_leaves_the_old_run(tmp_path: Path) -> None:
    path = written(tmp_path, "1_1 Q0 p 1 2 x\n")

    def rankings() -> object:
        yield Ranking("1_1", (("q", 1.0),))
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        write_trec_run(path, rankings(), "x")  # type: ignore[arg-type]
    assert read_trec_run(path) == {"1_1": [("p", 2.0)]}
