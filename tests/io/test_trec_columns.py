from __future__ import annotations

import gzip
import itertools
import math
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from convbench.errors import ConvbenchError
from convbench.io import bounds, trec_columns, trec_ranks, trec_run
from convbench.io import text_keys as text_keys_module
from convbench.io.text_keys import text_keys
from convbench.io.trec_columns import RunColumns, is_large, read_columns
from convbench.io.trec_ranks import ranks_of
from convbench.io.trec_run import read_rankings, read_score, read_trec_lines, read_trec_run, write_trec_run
from convbench.retrieval.canonical import canonical
from convbench.types import Ranking

Rankings = dict[str, list[tuple[str, float]]]


@pytest.fixture(autouse=True)
def _every_file_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trec_columns, "WORTH_IT", 0)


def written(folder: Path, data: bytes, name: str = "run.trec") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def outcome(read: object, path: Path) -> object:
    try:
        return [(turn_id, [(id_, repr(score)) for id_, score in pairs]) for turn_id, pairs in read(path).items()]  # type: ignore[operator]
    except ConvbenchError as error:
        return type(error), str(error)


def assert_alike(folder: Path, data: bytes, name: str = "run.trec") -> RunColumns | None:
    path = written(folder, data, name)
    expected = outcome(read_trec_lines, path)
    assert outcome(read_trec_run, path) == expected
    columns = read_columns(path)
    if columns is not None:
        assert outcome(lambda _: read_rankings(columns), path) == expected
    return columns


REGULAR = b"1_1 Q0 p 1 2.5 x\n1_1 Q0 q 2 1e0 x\n1_2 0 p 1 -0 y\n"

TURNS = st.sampled_from(["1_1", "1_2", "\N{LATIN SMALL LETTER E WITH ACUTE}_1", "1_10", '"1_1"'])
PASSAGES = st.sampled_from(["p", "q", "wiki:1", "a␣b", "Ünï", "日本", "NA", "null", '"', "'p'", "\\n", "p\x85", "\u2028", "p,q", "#"])
TEXTS = st.sampled_from(["1", "2.5", "-0", "+3", "1e5", ".5", "7.", "0.1000000000000000055", "1e-400", "12345678901234567890", "16777217"])
LINES = st.tuples(st.sampled_from(["Q0", "0"]), PASSAGES, st.sampled_from(["1", "x", "é"]), TEXTS, st.sampled_from(["tag", "ταγ"]))
ODD_BLANKS = ["\t", " ", "  ", " \t", "\N{NO-BREAK SPACE}", "\v", "\x1c", "\x85", "\x00", "\x7f"]
ODD_ENDS = ["\n", "\r", "\r\n", " \n", "\n\n", "\n \n"]
ODD_TEXTS = ["nan", "inf", "1e999", "e", "_0", "0x1", "-", "٣", ",5", "1" * 40, "f", ".", "Q0 0", "1_1 Q0 p 1 2 x\n", "\ufeff", '"']


@st.composite
def files(draw: st.DrawFn) -> str:
    """A regular file, as like as not with something odd somewhere."""
    turns = draw(st.dictionaries(TURNS, st.lists(LINES, min_size=1, max_size=4, unique_by=lambda line: line[1]), max_size=3))
    rows = [[turn_id, *line] for turn_id, ranking in turns.items() for line in ranking]
    text = "".join(" ".join(row) + "\n" for row in rows)
    for odd in draw(st.lists(st.sampled_from([*ODD_BLANKS, *ODD_ENDS, *ODD_TEXTS]), max_size=2)):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + odd + text[at + draw(st.integers(0, 1)) :]
    return text


@settings(max_examples=300)
@given(files(), st.sampled_from([b""] * 6 + [b"\xef\xbb\xbf", b"\xff"]), st.sampled_from(["run.trec", "run.trec.gz"]))
def test_whatever_the_file_both_readers_give_the_same(tmp_path_factory: pytest.TempPathFactory, text: str, first: bytes, name: str) -> None:
    assert_alike(tmp_path_factory.mktemp("run"), first + text.encode(), name)


@settings(max_examples=200)
@given(st.binary(min_size=1, max_size=2), st.integers(0, len(REGULAR)), st.integers(0, 2))
@example(b"\r", REGULAR.index(b"\n"), 0)
@example(b"\xff", len(REGULAR) - 3, 1)
def test_a_regular_file_with_some_bytes_changed(tmp_path_factory: pytest.TempPathFactory, new: bytes, at: int, lost: int) -> None:
    assert_alike(tmp_path_factory.mktemp("run"), REGULAR[:at] + new + REGULAR[at + lost :])


@pytest.mark.parametrize(
    "data",
    [REGULAR, REGULAR[:-1], b"\xef\xbb\xbf" + REGULAR, REGULAR.replace(b" ", b"\t"), REGULAR.replace(b"p", "é␣".encode())],
)
@pytest.mark.parametrize("name", ["run.trec", "run.trec.gz"])
def test_regular_files_are_read_as_arrays(tmp_path: Path, data: bytes, name: str) -> None:
    columns = assert_alike(tmp_path, data, name)
    assert columns is not None
    assert columns.turn_ids == ("1_1", "1_2")
    assert columns.firsts.tolist() == [0, 2, 3]
    assert columns.scores.tolist() == [2.5, 1.0, 0.0]
    assert math.copysign(1, columns.scores[2]) == -1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        REGULAR + b"\n",
        REGULAR.replace(b"\n", b"\r\n"),
        b" " + REGULAR,
        REGULAR.replace(b" x", b" x "),
        REGULAR.replace(b"Q0 q", b"Q0  q"),
        REGULAR.replace(b" x", b""),
        REGULAR.replace(b" x", b" x y"),
        REGULAR.replace(b"q", b"p"),
        REGULAR + b"1_1 Q0 r 3 0.5 x\n",
        REGULAR.replace(b"2.5", b"nan"),
        REGULAR.replace(b"2.5", b"1e999"),
        REGULAR.replace(b"2.5", b"1e"),
        REGULAR.replace(b"\n", b"\r"),
        b"\xef\xbb\xbf" * 2 + REGULAR,
        REGULAR.replace(b" 1 2.5", b"\t1 2.5"),
        REGULAR.replace(b"Q0", b"Q\x1f0"),
        REGULAR.replace(b"Q0 q", b"\xff q"),
        REGULAR.replace(b" x\n", b" \x00\n"),
    ],
)
def test_what_is_not_regular_is_left_to_the_other_reader(tmp_path: Path, data: bytes) -> None:
    assert assert_alike(tmp_path, data) is None


@pytest.mark.parametrize("name", ["run.trec", "run.trec.gz"])
def test_a_file_that_is_missing_or_broken(tmp_path: Path, name: str) -> None:
    assert outcome(read_trec_run, tmp_path / name) == outcome(read_trec_lines, tmp_path / name)
    assert read_columns(tmp_path / name) is None
    assert not is_large(tmp_path / name)
    path = written(tmp_path, REGULAR * 3, name)
    path.write_bytes(path.read_bytes()[:-12])
    assert read_columns(path) is None
    assert outcome(read_trec_run, path) == outcome(read_trec_lines, path)


def test_lines_that_reach_into_the_next_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trec_columns, "_BLOCK", 40)
    monkeypatch.setattr(trec_columns, "_PART", 100)
    monkeypatch.setattr(bounds, "_BLOCK", 30)
    monkeypatch.setattr(trec_columns, "_CHECKED", 7)
    data = "".join(f"1_{number // 3} Q0 p{number % 10} 1 {number} tag\n" for number in range(100)).encode()
    assert assert_alike(tmp_path, data) is not None
    for change in (b"\n", b" \n", b"\n ", b"\n\n"):
        for at in range(70, 90):  # wherever blocks meet
            assert_alike(tmp_path, data[:at] + change + data[at:])
    assert assert_alike(tmp_path, data + b"1_99 Q0 " + b"p" * 100 + b" 1 2 x\n") is None


def test_small_files_are_read_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, REGULAR)
    monkeypatch.setattr(trec_run, "read_columns", lambda path: pytest.fail("not worth it"))
    monkeypatch.setattr(trec_columns, "WORTH_IT", len(REGULAR) + 1)
    assert set(read_trec_run(path)) == {"1_1", "1_2"}


def test_scores_are_those_of_python(tmp_path: Path) -> None:
    chance = random.Random(0)
    texts = ["".join(made) for made in itertools.product("01.+-eE", repeat=4)]
    texts += [repr(chance.choice([1, -1]) * chance.random() * 10 ** chance.randint(-320, 307)) for _ in range(3000)]
    texts += ["".join(chance.choices("0123456789.e-", k=chance.randint(1, 32))) for _ in range(3000)]
    texts = [text for text in texts if math.isfinite(read_score(text))]
    columns = assert_alike(tmp_path, "".join(f"1_1 Q0 p{number} 1 {text} x\n" for number, text in enumerate(texts)).encode())
    assert columns is not None
    assert [repr(score) for score in columns.scores.tolist()] == [repr(float(text)) for text in texts]


IDS = st.text(st.characters(blacklist_categories=["Cc", "Cs", "Zs", "Zl", "Zp"], blacklist_characters="␣"), min_size=1, max_size=3)
SCORES = st.sampled_from([0.0, -0.0, 1.0, 1 + 1e-9, 200.0, 200 + 1e-6]) | st.floats(-1e30, 1e30)


@given(
    st.dictionaries(st.sampled_from(["1_1", "1_2", "é_1"]), st.dictionaries(IDS, SCORES, min_size=1, max_size=25), min_size=1),
    st.dictionaries(st.sampled_from(["1_1", "1_2", "é_1", "9_9"]), st.lists(IDS, unique=True, max_size=4)),
    st.randoms(use_true_random=False),
)
def test_ranks_are_those_of_canonical_rankings_of_32_bit_scores(
    tmp_path_factory: pytest.TempPathFactory, run: dict[str, dict[str, float]], strangers: dict[str, list[str]], chance: random.Random
) -> None:
    path = tmp_path_factory.mktemp("run") / "run.trec"
    write_trec_run(path, [Ranking(turn_id, tuple(passages.items())) for turn_id, passages in run.items()], "tag")
    columns = read_columns(path)
    assert columns is not None
    known = {turn_id: chance.choices(list(run.get(turn_id, ["p"])), k=4) for turn_id in strangers}
    wanted = {turn_id: list(dict.fromkeys([*ids, *known[turn_id]])) for turn_id, ids in strangers.items()}
    expected = []
    for turn_id, ids in wanted.items():
        singles = {id_: float(np.float32(score)) for id_, score in run.get(turn_id, {}).items()}
        order = [id_ for id_, _ in canonical(turn_id, singles.items()).passages]
        expected += [order.index(id_) + 1 if id_ in order else 0 for id_ in ids]
    assert ranks_of(columns, wanted).tolist() == expected


def test_keys_that_are_equal_by_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = "".join(f"1_1 Q0 p{number} 1 {number % 7} x\n" for number in range(200)).encode()
    columns = read_columns(written(tmp_path, data))
    assert columns is not None
    expected = ranks_of(columns, {"1_1": {f"p{number}": 1 for number in range(200)}})
    assert sorted(expected.tolist()) == list(range(1, 201))
    monkeypatch.setattr(trec_ranks, "text_keys", lambda text, ends, groups: columns.keys[: len(groups)])
    assert ranks_of(columns, {"1_1": ["q0", "p1", "q2"]}).tolist() == [0, expected[1], 0]
    monkeypatch.setattr(trec_columns, "text_keys", lambda text, ends, groups: np.zeros(len(groups), np.uint64))
    assert assert_alike(tmp_path, data) is None


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 40), st.randoms(use_true_random=False))
def test_keys_that_appear_twice_within_a_turn(sizes: list[int], different: int, chance: random.Random) -> None:
    firsts = np.cumsum([0, *sizes])
    shift = chance.choice([0, 40])  # with 40 all are at one place of the table
    rows = [[chance.randrange(different) << shift | turn << 32 for _ in range(size)] for turn, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trec_columns, "_PLACES", 64)
        found = trec_columns._any_twice(np.array([key for row in rows for key in row], dtype=np.uint64), firsts)
    assert found == any(len(set(row)) < len(row) for row in rows)


@given(st.lists(st.tuples(st.integers(0, 2), st.text(st.sampled_from("ab日"), max_size=20)), max_size=50))
def test_text_keys(texts: list[tuple[int, str]]) -> None:
    encoded = [text.encode() for _, text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_keys_module, "_TOGETHER", 7)
        keys = text_keys(b"".join(encoded), ends, np.array([group for group, _ in texts], dtype=np.int64)).tolist()
    assert len(set(zip(texts, keys, strict=True))) == len(set(texts)) == len(set(keys))
