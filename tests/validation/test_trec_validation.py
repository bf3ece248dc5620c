"""TREC runs: a good one has no problems, one fault is one problem at its line, and nothing that the strict reader refuses gets through."""

from __future__ import annotations

import gzip
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convbench.errors import DataError, RunFileError
from convbench.io.trec_run import read_trec_run, write_trec_run
from convbench.retrieval.canonical import canonical, is_canonical
from convbench.types import Ranking
from convbench.validation.problems import Findings, Problem
from convbench.validation.rankings import check_rankings
from convbench.validation.trec_files import scan_trec_run

TURNS, DEPTH = 4, 6

# As in the tests of the writer: everything printable and every blank, but no control character or line break.
IDS = st.text(st.characters(blacklist_categories=["Cc", "Cs", "Zl", "Zp"], blacklist_characters="\N{OPEN BOX}"), min_size=1).filter(
    lambda text: bool(text.strip())
)
RANKINGS = st.lists(
    st.lists(st.tuples(IDS, st.floats(-1e6, 1e6, allow_subnormal=False)), min_size=3, max_size=3, unique_by=lambda pair: pair[0]),
    max_size=4,
)


def problems(path: Path) -> list[Problem]:
    findings = Findings()
    check_rankings(scan_trec_run(path, findings), findings)
    return findings.problems()


def found(path: Path) -> dict[str, tuple[int, ...]]:
    """The lines of each check's first cases."""
    return {problem.check: problem.lines for problem in problems(path)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def good_lines() -> list[str]:
    generator = random.Random(7)
    lines = []
    for turn in range(1, TURNS + 1):
        scores = sorted((generator.uniform(1, 30) for _ in range(DEPTH)), reverse=True)
        lines += [f"9_{turn} Q0 p{turn}{rank} {rank} {score!r} bm25" for rank, score in enumerate(scores, 1)]
    return lines


def written(folder: Path, lines: list[str], name: str = "run.trec") -> Path:
    path = folder / name
    content = "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


@given(RANKINGS)
def test_what_is_written_has_no_problems(folder: Path, rankings: list[list[tuple[str, float]]]) -> None:
    path = folder / "written.trec"
    write_trec_run(path, [canonical(f"Q_{n}", passages) for n, passages in enumerate(rankings, 1)], "bm25")
    expected = {} if rankings else {"empty": ()}
    # Scores that fall by chance as ranks rise are told, never as more than a fact.
    assert {check: lines for check, lines in found(path).items() if check != "scores-from-ranks"} == expected


def column(index: int, value: Callable[[str], str] | str) -> Callable[[list[str], int], None]:
    """Changes one column of the line."""

    def change(lines: list[str], at: int) -> None:
        columns = lines[at].split(" ")
        columns[index] = value if isinstance(value, str) else value(columns[index])
        lines[at] = " ".join(columns)

    return change


def of_turn(index: int, value: Callable[[int], str]) -> Callable[[list[str], int], None]:
    """Changes one column of all lines of the line's turn; ``value`` gets the rank."""

    def change(lines: list[str], at: int) -> None:
        first = at // DEPTH * DEPTH
        for rank in range(1, DEPTH + 1):
            column(index, value(rank))(lines, first + rank - 1)

    return change


def repeat(lines: list[str], at: int) -> None:
    lines.insert(at + 1, lines[at])


def passage_above(lines: list[str], at: int) -> None:
    column(2, lines[at - 1].split(" ")[2])(lines, at)


def score_above(lines: list[str], at: int) -> None:
    column(4, lines[at - 1].split(" ")[4])(lines, at)


def higher_score(lines: list[str], at: int) -> None:
    column(4, repr(float(lines[at - 1].split(" ")[4]) + 1))(lines, at)


def cut_turn(lines: list[str], at: int) -> None:
    del lines[at // DEPTH * DEPTH + DEPTH - 1]


SAME, NEXT, TURN = "the line", "the line after", "the turn's first line"
FAULTS = {
    "a column less": ("columns", SAME, lambda lines, at: lines.__setitem__(at, lines[at].rpartition(" ")[0])),
    "a column more": ("columns", SAME, column(5, "my tag")),
    "prose": ("columns", SAME, lambda lines, at: lines.__setitem__(at, "end of file")),
    "NaN": ("scores", SAME, column(4, "nan")),
    "infinite": ("scores", SAME, column(4, "-inf")),
    "too large for 32 bits": ("scores", SAME, column(4, "1e308")),
    "no number": ("scores", SAME, column(4, "high")),
    "number of Python's own": ("scores", SAME, column(4, "1_0")),
    "digits of another script": ("scores", SAME, column(4, "\N{FULLWIDTH DIGIT ONE}")),
    "passage id of a blank": ("fields", SAME, column(2, "\N{OPEN BOX}")),
    "line twice": ("duplicate-lines", NEXT, repeat),
    "passage twice": ("duplicate-passages", SAME, passage_above),
    "blank in a passage id": ("id-blanks", SAME, column(2, "Rio Grande:3")),
    "blank in a turn id": ("id-blanks", SAME, column(0, "9 1")),
    "blank that is not ASCII in a turn id": ("id-blanks", TURN, of_turn(0, lambda _: "x\N{NO-BREAK SPACE}y_1")),
    "control character": ("control-characters", SAME, column(2, "p\x1b[31m")),
    "line separator": ("control-characters", SAME, column(2, "p\N{LINE SEPARATOR}")),
    "not UTF-8": ("encoding", SAME, column(2, "caf\udce9")),
    "rank beyond the depth": ("rank-numbers", TURN, lambda lines, at: column(3, "100")(lines, at // DEPTH * DEPTH + DEPTH - 1)),
    "ranks from 0": ("rank-numbers", TURN, of_turn(3, lambda rank: str(rank - 1))),
    "one rank for all": ("rank-numbers", TURN, of_turn(3, lambda _: "1")),
    "rank that is no number": ("rank-column", SAME, column(3, "first")),
    "rank that is no whole number": ("rank-column", SAME, column(3, "1.5")),
    "huge rank": ("rank-column", SAME, column(3, "9" * 30)),
    "score above the one before": ("rank-order", TURN, higher_score),
    "distances": ("rank-order", TURN, of_turn(4, lambda rank: f"{rank / 7}")),
    "rank as score": ("rank-as-score", TURN, of_turn(4, str)),
    "one score for all": ("constant-scores", TURN, of_turn(4, lambda _: "1.0")),
    "tie": ("tied-scores", TURN, score_above),
    "passage missing": ("depth", TURN, cut_turn),
    "turn without number": ("turn-ids", TURN, of_turn(0, lambda _: "intro")),
    "turn counted from 0": ("turn-ids", TURN, of_turn(0, lambda _: "9_0")),
    "another tag": ("several-tags", SAME, column(5, "dense")),
}


@pytest.mark.parametrize("fault", FAULTS)
@given(turn=st.integers(0, TURNS - 1), rank=st.integers(2, DEPTH))
@settings(max_examples=8)
def test_one_fault_is_one_problem_at_its_line(folder: Path, fault: str, turn: int, rank: int) -> None:
    check, where, change = FAULTS[fault]
    lines, at = good_lines(), turn * DEPTH + rank - 1
    change(lines, at)
    line = {SAME: at + 1, NEXT: at + 2, TURN: turn * DEPTH + 1}[where]
    assert found(written(folder, lines)) == {check: (line,)}


def test_without_a_fault_there_is_no_problem(folder: Path) -> None:
    assert found(written(folder, good_lines())) == {}


def test_distances_without_ranks(folder: Path) -> None:
    lines = good_lines()
    for at in range(0, TURNS * DEPTH, DEPTH):
        of_turn(3, lambda _: "0")(lines, at)
    of_turn(4, lambda rank: f"{rank / 7}")(lines, DEPTH)
    assert found(written(folder, lines)) == {"rank-numbers": (1, 7, 13, 19), "rank-order": (7,)}


def test_scores_made_of_ranks(folder: Path) -> None:
    lines = good_lines()
    for at in range(0, TURNS * DEPTH, DEPTH):
        of_turn(4, lambda rank: str(200 - rank))(lines, at)
    (problem,) = problems(written(folder, lines))
    assert (problem.check, problem.severity, problem.count) == ("scores-from-ranks", "info", TURNS)
    assert problem.message == "4 turns scored 200 minus the rank: the system's own scores are lost"


@pytest.mark.parametrize("name", ["run.trec", "run.trec.gz"])
def test_the_order_of_lines_does_not_matter(folder: Path, name: str) -> None:
    lines = good_lines()
    random.Random(3).shuffle(lines)
    assert found(written(folder, lines, name)) == {}


def test_everything_is_counted_and_five_are_shown(folder: Path) -> None:
    lines = [line.replace(" bm25", "") for line in good_lines()]
    lines[0] += " bm25"
    (problem,) = problems(written(folder, lines))
    assert (problem.count, len(problem.examples), problem.lines) == (TURNS * DEPTH - 1, 5, (2, 3, 4, 5, 6))
    assert problem.to_line() == (
        "error    columns: 23 lines without the 6 columns 'turn_id Q0 passage_id rank score tag' "
        "(first: line 2: found 5, line 3: found 5, line 4: found 5, line 5: found 5, line 6: found 5)"
    )


def test_what_is_shown_is_printable(folder: Path) -> None:
    (problem,) = problems(written(folder, ["9_1 Q0 p 1 \x1b[2J tag"]))[:1]
    assert "\x1b" not in problem.to_line()
    (problem,) = problems(written(folder, ["\N{RIGHT-TO-LEFT OVERRIDE}_1 Q0 p 1 high tag"]))
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in problem.to_line()
    assert r"\u202e_1" in problem.to_line()


def test_a_file_without_a_turn(folder: Path) -> None:
    assert found(written(folder, ["", "  \t"])) == {"empty": ()}


LINES = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["1_1", "1_2", "\N{OPEN BOX}", "é\N{NO-BREAK SPACE}_1"]),
            st.sampled_from(["Q0", "0", "x"]),
            st.sampled_from(["a", "b", "a b", "a\N{OPEN BOX}b", "a\x00"]),
            st.sampled_from(["1", "2", "-1", "x", "9" * 25]),
            st.sampled_from(["1", "1.5", "nan", "1e39", "1e400", "", "x", "1_0"]),
            st.sampled_from(["tag", "a tag", ""]),
        ).flatmap(lambda columns: st.sampled_from([" ", "\t", "  "]).map(lambda blank: blank.join(columns))),
        st.text(max_size=12).filter(lambda text: "\n" not in text),
    ),
    max_size=8,
)


@given(LINES)
def test_what_the_strict_reader_refuses_is_an_error(folder: Path, lines: list[str]) -> None:
    path = folder / "random.trec"
    path.write_bytes("\n".join(lines).encode())
    errors = {problem.check for problem in problems(path) if problem.severity == "error"}
    try:
        run = read_trec_run(path)
    except (DataError, RunFileError):
        assert errors
        return
    assert errors.isdisjoint({"columns", "duplicate-passages", "duplicate-lines", "encoding"})
    assert ("empty" in errors) == (not run) or errors & {"control-characters", "id-blanks"}
    if "scores" not in errors:
        for turn_id, pairs in run.items():
            canonical(turn_id, pairs)


@given(
    st.lists(
        st.sampled_from(["-3.4028235e38", "-3.4028234663852886e38", "-3.4028232635611926e38", "-3.4028230607370965e38", "-3e38", "3.4e38"]),
        max_size=6,
    )
)
def test_scores_that_cannot_be_told_apart_are_errors(folder: Path, scores: list[str]) -> None:
    path = folder / "lowest.trec"
    path.write_text("".join(f"1_1 Q0 p{n} {n} {score} x\n" for n, score in enumerate(scores)) + "2_1 Q0 p 1 1 x\n")
    try:
        for turn_id, pairs in read_trec_run(path).items():
            canonical(turn_id, pairs)
        usable = True
    except RunFileError:
        usable = False
    assert ("scores" in found(path)) != usable


@given(RANKINGS)
def test_ties_are_what_keeps_a_ranking_from_being_canonical(folder: Path, rankings: list[list[tuple[str, float]]]) -> None:
    path = folder / "ties.trec"
    ordered = [Ranking(f"Q_{n}", tuple(sorted(pairs, key=lambda pair: -pair[1]))) for n, pairs in enumerate(rankings, 1)]
    write_trec_run(path, ordered, "x")
    tied = sum(problem.count for problem in problems(path) if problem.check in ("tied-scores", "constant-scores"))
    assert tied == sum(not is_canonical(ranking) for ranking in ordered)


def test_a_big_run_is_quick(folder: Path) -> None:
    generator = random.Random(1)
    with (folder / "big.trec").open("w") as handle:
        for turn in range(2514):
            scores = sorted((generator.uniform(5, 30) for _ in range(100)), reverse=True)
            for rank, score in enumerate(scores, 1):
                handle.write(f"{turn}_1 Q0 {turn}-{rank} {rank} {score!r} bm25\n")
    start = time.process_time()
    assert problems(folder / "big.trec") == []
    assert time.process_time() - start < 4  # about 1 s on an idle core
