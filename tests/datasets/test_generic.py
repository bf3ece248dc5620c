from __future__ import annotations

import gzip
import json
import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convbench.config import load_config
from convbench.datasets.base import DatasetAdapter, DatasetSource
from convbench.datasets.collection import prepare_store
from convbench.datasets.declaration import Declaration, DeclaringAdapter
from convbench.datasets.generic import Generic
from convbench.datasets.loading import Dataset, DatasetRequest, open_dataset
from convbench.datasets.own_turns import MOST_TURNS
from convbench.errors import ConvbenchError, DataError, MissingFileError, UsageError
from convbench.types import Exchange, Passage, Reference, Turn

OTTERS = {"conversation_id": "otters", "turn": 1, "query": "how do otters sleep?", "response": "On their backs.", "gold": ["p1"]}
PASSAGES = [{"id": "p1", "text": "Otters sleep on their backs."}, {"_id": "p2", "contents": "Beavers build dams.", "title": "Beavers"}]


def jsonl(path: Path, values: Iterable[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values), encoding="utf-8")
    return path


def folder(root: Path, *turns: Mapping[str, Any], **files: str) -> Path:
    """A folder with conversations, the two passages, and other files by name (``__`` stands for a dot, ``_in_`` for a slash)."""
    jsonl(root / "conversations.jsonl", turns or [OTTERS])
    jsonl(root / "collection.jsonl", PASSAGES)
    for name, text in files.items():
        path = root / name.replace("__", ".").replace("_in_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def opened(root: Path, split: str | None = None, corpus: Path | None = None) -> Dataset:
    return open_dataset(DatasetRequest("generic", root, split=split, corpus=corpus))


def passages(dataset: Dataset) -> list[Passage]:
    return list(dataset.adapter.collection().passages())


def test_is_an_adapter_that_declares_and_whose_constructor_opens_nothing(tmp_path: Path) -> None:
    made = Generic(DatasetSource(tmp_path / "absent", "all"))
    assert isinstance(made, DatasetAdapter)
    assert isinstance(Generic, DeclaringAdapter)
    with pytest.raises(MissingFileError, match="no such folder"):
        made.files()


class TestTurns:
    def test_everything_a_turn_may_hold(self, tmp_path: Path) -> None:
        first = {
            **OTTERS,
            "additional_responses": ["They float.", " "],
            "rewrite": "How do sea otters sleep?",
            "topic": "Otters",
            "labels": {"answerable": "yes"},
            "knowledge": "Otters float.",
            "metadata": {"free": 1},
            "gold": {"p1": 2, "p2": 0},
        }
        second = {"conversation_id": "otters", "turn": 2, "query": "and beavers?", "response": ""}
        dataset = opened(folder(tmp_path, first, second))
        one, two = dataset.turns
        references = (Reference("On their backs."), Reference("They float.", "additional"), Reference("Otters float.", "knowledge"))
        assert one == Turn(
            "otters_1", "how do otters sleep?", (), references, {"p1": 2}, "How do sea otters sleep?", "Otters", {"answerable": "yes"}
        )
        assert two.history == (Exchange("otters_1", "how do otters sleep?", "On their backs.", "How do sea otters sleep?"),)
        assert (two.references, two.gold, two.rewrite, two.topic) == ((), {}, None, None)
        assert dataset.adapter.qrels() == {"otters_1": {"p1": 2, "p2": 0}}
        assert dataset.retrieval_turns().ids == ("otters_1",)
        assert passages(dataset) == [Passage("p1", "Otters sleep on their backs."), Passage("p2", "Beavers build dams.", "Beavers")]

    def test_one_object_a_conversation_says_the_same(self, tmp_path: Path) -> None:
        second = {"query": "and beavers?", "gold": ["p2"]}
        flat = opened(folder(tmp_path / "flat", OTTERS, {"conversation_id": "otters", "turn": 2, **second}))
        whole = {"conversation_id": "otters", "turns": [{k: v for k, v in OTTERS.items() if k not in ("conversation_id", "turn")}, second]}
        assert opened(folder(tmp_path / "nested", whole)).turns == flat.turns

    def test_whole_numbers_are_ids_too(self, tmp_path: Path) -> None:
        root = folder(tmp_path, {"conversation_id": 31, "turn": 1, "query": "why?"})
        jsonl(root / "collection.jsonl", [{"id": 7, "text": "Because."}])
        dataset = opened(root)
        assert (dataset.turns[0].id, passages(dataset)) == ("31_1", [Passage("7", "Because.")])

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"respones": "x"}, r"conversations\.jsonl:1: unknown field 'respones'\. Did you mean 'response'\? Known: conversation_id, "),
            ({"turn": 2}, r"conversation 'otters': found turn 2, expected turn 1"),
            ({"turn": True}, r"field 'turn': expected an integer, found bool True"),
            ({"query": " \n"}, r"field 'query' is empty; expected what the user said"),
            ({"query": "half \ud800"}, r"half of a surrogate pair"),
            ({"conversation_id": "a b"}, r"found 'a b', expected an id without white space"),
            ({"conversation_id": ""}, r"found '', expected an id"),
            ({"conversation_id": None}, r"field 'conversation_id': expected a string, found null"),
            ({"gold": {"p1": 1.5}}, r"passage 'p1' has the grade 1\.5; expected an integer"),
            ({"gold": {"p1": True}}, r"passage 'p1' has the grade True; expected an integer"),
            ({"gold": {"p1": 10_001}}, r"passage 'p1' has the grade 10001; expected an integer of at most 10000"),
            ({"gold": "p1"}, r"field 'gold': expected an object, found str 'p1'"),
            ({"gold": [1]}, r"field 'gold'\[0\]: expected a string, found int 1"),
            ({"gold": [""]}, r"the passage id is empty"),
            ({"labels": {"answerable": "maybe"}}, r"answerable is 'maybe'; expected 'yes' or 'no'"),
            ({"labels": {"source": 3}}, r"field 'labels': 'source' is 3; expected a string"),
            ({"additional_responses": "x"}, r"field 'additional_responses': expected a list"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path: Path, change: dict[str, Any], message: str) -> None:
        root = folder(tmp_path)
        (root / "conversations.jsonl").write_text(json.dumps({**OTTERS, **change}))
        with pytest.raises(DataError, match=message):
            opened(root)

    def test_turns_of_a_conversation_stand_together(self, tmp_path: Path) -> None:
        other = {**OTTERS, "conversation_id": "b"}
        with pytest.raises(DataError, match=r":3: conversation 'otters' goes on here after others"):
            opened(folder(tmp_path, OTTERS, other, {**OTTERS, "turn": 2}))

    def test_a_thousand_turns_are_read_in_no_time_and_far_too_many_are_refused(self, tmp_path: Path) -> None:
        def long(count: int) -> Path:
            return folder(tmp_path / str(count), {"conversation_id": "c", "turns": [{"query": "why?"}] * count})

        rewrites = jsonl(tmp_path / "rewrites.jsonl", [{"turn_id": f"c_{n}", "rewrite": f"why {n}?"} for n in range(1, 1001)])
        start = time.perf_counter()
        turns = open_dataset(DatasetRequest("generic", long(1000), rewrites=rewrites)).turns
        assert time.perf_counter() - start < 5  # a tenth of a second on an idle machine
        assert [len(turn.history) for turn in turns] == list(range(1000))
        assert turns[-1].history[0] is turns[1].history[0]
        assert turns[-1].history[998].rewrite == "why 999?"
        with pytest.raises(DataError, match=f"conversation 'c' has more than {MOST_TURNS} turns; cut it into several"):
            opened(long(MOST_TURNS + 1))


class TestJudgements:
    TREC = "otters_1 0 p1 2\notters_1 0 p2 0\n"

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("qrels__txt", TREC),
            ("qrels__tsv", "otters_1\tp1\t2\notters_1\tp2\t0\n"),
            ("qrels__tsv", "query-id\tcorpus-id\tscore\notters_1\tp1\t2\notters_1\tp2\t0\n"),
        ],
    )
    def test_forms(self, tmp_path: Path, name: str, text: str) -> None:
        bare = {key: value for key, value in OTTERS.items() if key != "gold"}
        dataset = opened(folder(tmp_path, bare, **{name: text}))
        assert dataset.adapter.qrels() == {"otters_1": {"p1": 2, "p2": 0}}
        assert dataset.turns[0].gold == {"p1": 2}
        assert len(dataset.files) == 2

    def test_blanks_in_trec_columns(self, tmp_path: Path) -> None:
        assert opened(folder(tmp_path, qrels__txt="otters_1 0 a␣b 1\n")).turns[0].gold == {"p1": 1, "a b": 1}

    def test_file_and_field_add_up_and_must_not_contradict(self, tmp_path: Path) -> None:
        assert opened(folder(tmp_path / "a", qrels__txt="otters_1 0 p2 3\notters_1 0 p1 1\n")).turns[0].gold == {"p1": 1, "p2": 3}
        with pytest.raises(DataError, match=r"qrels\.txt: turn otters_1: passage 'p1' has grade 2, but 1 in the turn's 'gold'"):
            opened(folder(tmp_path / "b", qrels__txt=self.TREC))

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("qrels__txt", "otters_2 0 p1 1\n", r"turn 'otters_2' is in no conversation; a turn's id is <conversation_id>_<turn>"),
            ("qrels__txt", f"otters_1 0 p2 {10**30}\n", r"has the grade 1000000000000000000000000000000; expected at most 10000"),
            ("qrels__tsv", "otters_1 p1 1\n", r"qrels\.tsv:1: expected turn_id, passage_id and grade with tabs between"),
            ("qrels__tsv", "otters_1\tp1\thigh\n", r"grade 'high' is not an integer"),
            ("qrels__tsv", "otters_1\tp2\t1\notters_1\tp2\t2\n", r":2: turn otters_1: passage 'p2' has the grades 1 and 2"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path: Path, name: str, text: str, message: str) -> None:
        with pytest.raises(DataError, match=message):
            opened(folder(tmp_path, **{name: text}))


class TestCollection:
    def test_tsv_and_folders_of_files(self, tmp_path: Path) -> None:
        root = folder(tmp_path)
        (root / "collection.jsonl").unlink()
        with pytest.raises(MissingFileError, match=r"no passages here: expected collection\.jsonl, .* set --corpus"):
            opened(root).adapter.collection()
        (root / "collection.tsv").write_text("id\ttext\ttitle\np1\tOtters sleep.\tOtters\n")
        assert passages(opened(root)) == [Passage("p1", "Otters sleep.", "Otters")]
        (root / "collection.tsv").unlink()
        jsonl(root / "corpus" / "b.jsonl", PASSAGES[1:])
        jsonl(root / "corpus" / "a.jsonl", PASSAGES[:1])
        assert [passage.id for passage in passages(opened(root))] == ["p1", "p2"]
        elsewhere = jsonl(tmp_path / "elsewhere.json_lines", [{"id": "x", "text": "y"}])
        assert passages(opened(root, corpus=elsewhere)) == [Passage("x", "y")]

    def test_two_candidates(self, tmp_path: Path) -> None:
        root = folder(tmp_path, corpus__tsv="")
        with pytest.raises(MissingFileError, match=r"2 files could be meant: collection\.jsonl, corpus\.tsv; keep one"):
            opened(root)

    def test_fields_that_are_not_read(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        root = folder(tmp_path)
        rows = [{"id": f"p{n}", "text": "x", "url": "u", "metadata": {}} for n in range(3)]
        jsonl(root / "collection.jsonl", rows)
        with caplog.at_level(logging.WARNING):
            assert len(passages(opened(root))) == 3
        assert [record.message.rpartition("/")[2] for record in caplog.records] == ["collection.jsonl:1: fields not read: 'url'"]
        jsonl(root / "collection.jsonl", [{"id": "p", "text": "x", "tilte": "y"}])
        with pytest.raises(DataError, match=r"unknown field 'tilte'\. Did you mean 'title'\?"):
            passages(opened(root))
        jsonl(root / "collection.jsonl", [{"id": "p", "text": "x", "contents": "y"}])
        with pytest.raises(DataError, match=r"has both 'text' and 'contents'; keep one"):
            passages(opened(root))


class TestSplits:
    def two(self, root: Path, **files: str) -> Path:
        folder(root, qrels__dev__txt="d_1 0 p2 1\n", **files)
        (root / "conversations.jsonl").rename(root / "conversations.train.jsonl")
        jsonl(root / "conversations.dev.jsonl", [{"conversation_id": "d", "turn": 1, "query": "who builds dams?"}])
        return root

    def test_by_suffix(self, tmp_path: Path) -> None:
        root = self.two(tmp_path)
        dev, train = opened(root, "dev"), opened(root, "train")
        assert (dev.split, dev.turns[0].gold, dev.conversations[0].split) == ("dev", {"p2": 1}, "dev")
        assert (train.turns[0].gold, train.files) == ({"p1": 1}, (root / "conversations.train.jsonl",))
        with pytest.raises(UsageError, match=r"has several splits and declares none as default_split: .*Known: dev, train$"):
            opened(root)
        with pytest.raises(UsageError, match=r"has no split 'dve'\. Did you mean 'dev'\?"):
            opened(root, "dve")
        (root / "dataset.yaml").write_text("default_split: train\n")
        assert opened(root).split == "train"

    def test_by_folder_with_shared_judgements_and_passages(self, tmp_path: Path) -> None:
        root = folder(tmp_path, qrels__txt="otters_1 0 p2 1\nd_1 0 p2 3\n")
        (root / "train").mkdir()
        (root / "conversations.jsonl").rename(root / "train" / "conversations.jsonl")
        jsonl(root / "dev" / "conversations.jsonl", [{"conversation_id": "d", "turn": 1, "query": "who?"}])
        jsonl(root / "dev" / "collection.jsonl", [{"id": "own", "text": "Dev's own."}])
        assert opened(root, "dev").adapter.qrels() == {"d_1": {"p2": 3}}
        assert opened(root, "train").adapter.qrels() == {"otters_1": {"p1": 1, "p2": 1}}
        assert [len(passages(opened(root, split))) for split in ("dev", "train")] == [1, 2]
        (root / "qrels.txt").write_text("nobody_1 0 p2 1\n")
        with pytest.raises(DataError, match="turn 'nobody_1' is in no conversation"):
            opened(root, "dev")

    def test_judgements_of_no_split(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"judges split 'dve', which has no conversations\. Did you mean 'dev'\?"):
            opened(self.two(tmp_path, qrels__dve__txt=""), "dev")

    def test_one_file_of_each_split(self, tmp_path: Path) -> None:
        root = self.two(tmp_path)
        jsonl(root / "dev" / "conversations.jsonl", [OTTERS])
        with pytest.raises(MissingFileError, match="two files for the conversations of split 'dev'"):
            opened(root, "dev")

    def test_a_file_alone_and_gzipped(self, tmp_path: Path) -> None:
        path = tmp_path / "talks.jsonl.gz"
        path.write_bytes(gzip.compress(json.dumps(OTTERS).encode()))
        dataset = opened(path)
        assert (dataset.name, dataset.split, len(dataset.turns), dataset.card.files) == ("own-talks", "all", 1, ["talks.jsonl.gz"])


class TestDeclaration:
    TEXT = """
name: helpdesk
title: Help desk talks
licence: CC BY 4.0
citation: "@misc{helpdesk}"
relevant_from: 2
retrieval_turns: is judged
bm25: {k1: 1.2, b: 0.7}
splits:
  test: {conversations: 1, turns: 1, verified: true}
"""

    def test_what_it_says_is_what_results_show(self, tmp_path: Path) -> None:
        bare = {key: value for key, value in OTTERS.items() if key != "gold"}
        dataset = opened(folder(tmp_path, bare, dataset__yaml=self.TEXT, qrels__txt="otters_1 0 p1 0\n"))
        assert (dataset.name, dataset.card.name, dataset.split, dataset.licence) == ("helpdesk", "helpdesk", "test", "CC BY 4.0")
        assert dataset.conversations[0].dataset == "helpdesk"
        assert (dataset.card.title, dataset.card.bm25) == ("Help desk talks", {"k1": 1.2, "b": 0.7})
        assert (dataset.card.splits["test"].relevant_from, dataset.card.splits["test"].turns) == (2, 1)
        assert dataset.retrieval_turns().ids == ("otters_1",)
        assert dataset.retrieval_turns().rule == "is judged"
        assert dataset.card.files == ["conversations.jsonl", "qrels.txt", "collection.jsonl"]

    def test_protocols(self, tmp_path: Path) -> None:
        assert opened(folder(tmp_path, dataset__yaml="protocols: [cast]\n")).card.protocols == ["cast"]
        (tmp_path / "dataset.yaml").unlink()
        assert opened(tmp_path).card.protocols  # what scores any dataset

    def test_two_folders_that_say_nothing_differ_by_name(self, tmp_path: Path) -> None:
        cache = tmp_path / "cache"
        one, two = opened(folder(tmp_path / "Help Desk")), opened(folder(tmp_path / "faq"))
        assert (one.name, two.name) == ("own-help-desk", "own-faq")
        assert one.identity(cache) != two.identity(cache)
        assert prepare_store(one, one.adapter.collection(), cache).folder.name.startswith("own-help-desk-")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("nmae: x\n", r"dataset\.yaml:1: nmae: extra inputs are not permitted"),
            ("name: topiocqa\n", r"name: 'topiocqa' is a dataset that convbench knows; .* choose another"),
            ("name: ../up\n", r"name: string should match pattern"),
            ("splits: {dev: {}, tset: {}}\n", r"declares split 'dev', which has no conversations\. Found: all"),
            ("retrieval_turns: all\n", r"retrieval_turns: input should be 'has a gold passage' or 'is judged'"),
            ("relevant_from: 0\n", r"relevant_from: input should be greater than or equal to 1"),
            ("[1]\n", r"expected a mapping, found list"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path: Path, text: str, message: str) -> None:
        with pytest.raises(DataError, match=message):
            opened(folder(tmp_path, dataset__yaml=text))

    def test_the_example_of_cast_in_the_guide(self) -> None:
        guide = (Path(__file__).parents[2] / "docs" / "your-own-dataset.md").read_text(encoding="utf-8")
        example = guide.split("File `cast/dataset.yaml`:\n\n```yaml\n", 1)[1].split("```", 1)[0]
        with TemporaryDirectory() as scratch:
            path = Path(scratch) / "dataset.yaml"
            path.write_text(example, encoding="utf-8")
            declared = load_config(Declaration, path)
        assert (declared.retrieval_turns, declared.splits["2020"].relevant_from) == ("is judged", 2)


class TestOtherFiles:
    @pytest.mark.parametrize(
        "name", ["qrel__txt", "conversation__jsonl", "dataset__yml", "conversations__json", "qrles__txt", "qrels__dev__csv"]
    )
    def test_a_slip_in_a_name_is_an_error(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(DataError, match=r"not a file that this layout has\. Did you mean "):
            opened(folder(tmp_path, **{name: ""}))

    def test_other_files_are_named_and_the_usual_ones_are_not(self, tmp_path: Path) -> None:
        files = {"README__md": "x", "LICENSE": "x", "notes__txt": "x", "pictures_in_a__png": "x", "__hidden": "x"}
        assert opened(folder(tmp_path, **files)).notes == ("files not read: notes.txt, pictures",)

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(
            MissingFileError, match=r"no conversations\.jsonl, conversations\.<split>\.jsonl or <split>/conversations\.jsonl"
        ):
            opened(tmp_path)


def own_form(dataset: Dataset, root: Path) -> Path:
    """Another adapter's turns and judgements in convbench's own layout."""
    rows = [
        {"conversation_id": turn.conversation_id, "turn": turn.number, "query": turn.query, "rewrite": turn.rewrite}
        for turn in dataset.turns
    ]
    jsonl(root / "conversations.jsonl", rows)
    grades = ((turn_id, passage, grade) for turn_id, given in dataset.adapter.qrels().items() for passage, grade in given.items())
    (root / "qrels.txt").write_text("".join(f"{turn_id} 0 {passage} {grade}\n" for turn_id, passage, grade in grades))
    (root / "dataset.yaml").write_text("name: cast-again\nretrieval_turns: is judged\n")
    return root


@pytest.mark.parametrize(("split", "counts"), [("2019", (479, 173, 29350)), ("2020", (216, 208, 40451))])
def test_cast_in_this_layout_is_the_same_dataset(real_data: Path, tmp_path: Path, split: str, counts: tuple[int, int, int]) -> None:
    cast = open_dataset(DatasetRequest("cast", real_data / "trec_cast", split=split))
    own = opened(own_form(cast, tmp_path))
    assert own.turns == cast.turns
    assert own.adapter.qrels() == cast.adapter.qrels()
    assert own.retrieval_turns() == cast.retrieval_turns()
    judgements = sum(map(len, own.adapter.qrels().values()))
    assert (len(own.turns), len(own.retrieval_turns().ids), judgements) == counts


TEXTS = st.text(max_size=20)
VALUES = st.one_of(TEXTS, st.none(), st.integers(), st.booleans(), st.floats(allow_nan=False), st.lists(TEXTS, max_size=3))
GOLD = st.one_of(st.lists(TEXTS, max_size=3), st.dictionaries(TEXTS, st.integers(), max_size=3), VALUES)
FIELDS = {
    "conversation_id": st.one_of(st.sampled_from(["a", "b", "0"]), VALUES),
    "turn": st.one_of(st.integers(1, 2), VALUES),
    "query": st.one_of(TEXTS, VALUES),
}
EXTRA = {
    "response": VALUES,
    "additional_responses": VALUES,
    "rewrite": VALUES,
    "topic": VALUES,
    "labels": st.one_of(st.dictionaries(TEXTS, VALUES, max_size=2), VALUES),
    "knowledge": VALUES,
    "gold": GOLD,
    "respnse": VALUES,
}
RECORDS = st.fixed_dictionaries(FIELDS, optional=EXTRA)  # type: ignore[arg-type]
LINES = st.one_of(
    RECORDS,
    st.fixed_dictionaries(
        {
            "conversation_id": FIELDS["conversation_id"],
            "turns": st.lists(st.fixed_dictionaries({"query": TEXTS}, optional=EXTRA), max_size=3),
        }  # type: ignore[arg-type]
    ),
    VALUES,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LINES, max_size=4), st.text(max_size=60), st.sampled_from(["qrels.txt", "qrels.tsv", "dataset.yaml", "collection.tsv"]))
def test_any_content_is_read_or_refused_in_one_line(lines: list[Any], text: str, name: str) -> None:
    with TemporaryDirectory() as scratch:
        root = Path(scratch) / "own"
        jsonl(root / "conversations.jsonl", lines)
        (root / name).write_text(text, encoding="utf-8", newline="")
        try:
            dataset = opened(root)
            adapter = dataset.adapter
            assert all(turn.gold.items() <= adapter.qrels().get(turn.id, {}).items() for turn in dataset.turns)
            list(adapter.collection().passages())
        except ConvbenchError as error:
            assert "\n" not in str(error)  # noqa: PT017 - reading may also go well


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.text(min_size=1, max_size=30).filter(str.strip),
            TEXTS,
            st.dictionaries(st.text("abc é日\"'\\", min_size=1).filter(str.strip), st.integers(-10_000, 10_000), max_size=3),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_written_is_read_back(written: list[tuple[str, str, dict[str, int]]]) -> None:
    rows = [{"conversation_id": "ü-1", "turn": n, "query": q, "response": r, "gold": g} for n, (q, r, g) in enumerate(written, 1)]
    with TemporaryDirectory() as scratch:
        jsonl(Path(scratch) / "conversations.jsonl", rows)
        dataset = opened(Path(scratch))
        qrels = dataset.adapter.qrels()
    for turn, (query, response, gold) in zip(dataset.turns, written, strict=True):
        assert turn.query == query
        assert [reference.text for reference in turn.references] == ([response] if response.strip() else [])
        assert qrels.get(turn.id, {}) == gold
        assert turn.gold == {passage: grade for passage, grade in gold.items() if grade > 0}
