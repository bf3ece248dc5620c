from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import pytest

from convbench.analysis.slices import SLICES, slicing_names
from convbench.analysis.slices.base import Slicing, bin_of, in_order
from convbench.analysis.slices.labelling import Labelled, labelled_turns
from convbench.analysis.slices.position import DEPTHS, WORDS
from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.errors import UsageError
from convbench.types import Conversation, Exchange, Turn, TurnRecord

ROOT = Path(__file__).parents[2]


def talk(*turns: dict[str, object], name: str = "c") -> Conversation:
    """A conversation of queries and responses of some words; each turn's other fields are given."""
    made: list[Turn] = []
    history: tuple[Exchange, ...] = ()
    for number, fields in enumerate(turns, 1):
        said = {"query": f"query {number}", **fields}
        made.append(Turn(id=f"{name}_{number}", history=history, **said))  # type: ignore[arg-type]
        history = (*history, Exchange(f"{name}_{number}", str(said["query"]), "one two three"))
    return Conversation(name, "d", "s", tuple(made))


def labels(name: str, conversation: Conversation, *runs: dict[str, TurnRecord]) -> list[str | None]:
    """The label of each turn, several joined again."""
    (found,) = labelled_turns([conversation], runs, [name])
    return ["|".join(found.labels[turn.id]) if turn.id in found.labels else None for turn in conversation.turns]


def sizes(found: Labelled) -> dict[str, int]:
    return dict(Counter(value for split in found.labels.values() for value in split))


def test_every_built_in_is_a_slicing_of_its_registered_name():
    for name in slicing_names():
        slicing = SLICES.get(name)()
        assert isinstance(slicing, Slicing)
        assert slicing.name == name
        assert slicing.title
        assert slicing.description.endswith(".")


def test_the_built_ins_come_first_in_their_order():
    assert slicing_names()[:2] == ["depth", "history-length"]
    assert sorted(slicing_names()) == SLICES.names()


def test_order_is_given_then_by_number_then_by_alphabet():
    assert in_order(["15+", "b", "4-5", "none", "1", "a", "10-14"], ["none"]) == ["none", "1", "4-5", "10-14", "15+", "a", "b"]


@pytest.mark.parametrize(
    ("starts", "number", "label"),
    [
        *(
            (DEPTHS, number, label)
            for number, label in [(1, "1"), (3, "3"), (4, "4-5"), (5, "4-5"), (9, "6-9"), (14, "10-14"), (15, "15+")]
        ),
        *(
            (WORDS, number, label)
            for number, label in [(0, "0"), (1, "1-50"), (50, "1-50"), (51, "51-100"), (400, "201-400"), (401, "401+")]
        ),
    ],
)
def test_bins(starts, number, label):
    assert bin_of(number, starts) == label


def test_depth_is_the_turns_number_not_its_place():
    conversation = Conversation("c", "d", "s", (Turn("c_2", "a"), Turn("c_7", "b")))
    assert labels("depth", conversation) == ["2", "6-9"]


def test_history_length_counts_queries_and_responses():
    history = (Exchange("c_1", "w " * 30, "w " * 20), Exchange("c_2", "w", None))
    turns = (Turn("c_1", "a"), Turn("c_2", "b", history[:1]), Turn("c_3", "c", history))
    assert labels("history-length", Conversation("c", "d", "s", turns)) == ["0", "1-50", "51-100"]


def test_topics_change_stay_and_return():
    topics = ["A", "A", "B", "A", "A", "C", "B"]
    expected = ["first", "same", "shift", "return", "same", "shift", "return"]
    assert labels("topic", talk(*({"topic": topic} for topic in topics))) == expected


def test_a_turn_without_topic_leaves_the_topic_before_it_in_force():
    topics = ["", "A", None, "A", "", "B", None, "A"]
    expected = [None, "first", None, "same", None, "shift", None, "return"]
    assert labels("topic", talk(*({"topic": topic} for topic in topics))) == expected


def test_gold_seen_before():
    gold = [{"p": 1}, {"p": 1}, {}, {"p": 1, "q": 1}, {"q": 2, "p": 1}, {"r": 1}]
    assert labels("gold-seen", talk(*({"gold": grades} for grades in gold))) == ["none", "all", None, "some", "all", "none"]


def test_gold_of_another_conversation_is_not_seen():
    (found,) = labelled_turns([talk({"gold": {"p": 1}}, name="a"), talk({"gold": {"p": 1}}, name="b")], [], ["gold-seen"])
    assert sizes(found) == {"none": 2}


REWRITES = [
    # query, rewrite, distance, anaphora, ellipsis
    ("Who was Ada Lovelace?", "who was Ada Lovelace", "identical", "no", "no"),
    ("when was she born in London?", "when was Ada born in London?", "small", "yes", "no"),
    ("when was she born?", "when was Ada Lovelace, the daughter of Byron, born?", "large", "yes", "no"),
    ("where?", "where was Ada Lovelace born?", "large", "no", "yes"),
    ("what did he do after he left?", "what did Byron do after he left?", "small", "yes", "no"),
    ("is it true that it rains?", "is it true that it rains in Bergen?", "small", "no", "yes"),
    ("born in London was Ada", "Ada was born in London", "small", "no", "no"),
    ("why so?", "why is it so?", "large", "no", "no"),
    ("what about those?", None, None, None, None),
    ("what about those?", " ?", None, None, None),
]


@pytest.mark.parametrize(("query", "rewrite", "distance", "anaphora", "ellipsis"), REWRITES)
def test_what_a_rewrite_changes(query, rewrite, distance, anaphora, ellipsis):
    conversation = talk({"query": query, "rewrite": rewrite})
    found = [labels(name, conversation)[0] for name in ("rewrite-distance", "anaphora", "ellipsis")]
    assert found == [distance, anaphora, ellipsis]


def test_exactly_a_third_of_new_words_is_small():
    conversation = talk({"query": "a b", "rewrite": "a b c"}, {"query": "a b c", "rewrite": "a b c c d"})
    assert labels("rewrite-distance", conversation) == ["small", "large"]


@pytest.mark.parametrize(
    ("name", "label"),
    [("answerable", "answerable"), ("response-type", "response_type"), ("source", "source"), ("dialogue-act", "vrm"), ("begin", "begin")],
)
def test_labels_of_the_dataset(name, label):
    conversation = talk({"labels": {label: "x"}}, {"labels": {"other": "y"}}, {"labels": {label: "b|x|b"}}, {"labels": {label: ""}})
    assert labels(name, conversation) == ["x", None, "b|x", None]


def test_known_values_come_first():
    conversation = talk({"labels": {"answerable": "no"}}, {"labels": {"answerable": "yes"}}, {"labels": {"answerable": "maybe"}})
    (found,) = labelled_turns([conversation], [], ["answerable"])
    assert found.values == ("yes", "no", "maybe")


def test_truncated_where_any_run_cut_something():
    def run(*cuts: object) -> dict[str, TurnRecord]:
        ledgers = [{} if cut is None else {"truncated": cut} for cut in cuts]
        return {f"c_{number}": TurnRecord(f"c_{number}", ledger=ledger) for number, ledger in enumerate(ledgers, 1)}

    conversation = talk({}, {}, {}, {})
    assert labels("truncated", conversation, run({}, {"passages": ["p"]}, None, None), run({}, {}, {}, "yes")) == [
        "none",
        "some",
        "none",
        None,
    ]
    assert labels("truncated", conversation) == [None] * 4
    assert labels("truncated", conversation, {}) == [None] * 4


class Own:
    name, title, description = "own", "Own", "Whatever the test says."

    def labels(self, conversation, runs):
        return {turn.id: "x" for turn in conversation.turns}

    def order(self, labels):
        return sorted(labels)


class Fails(Own):
    def labels(self, conversation, runs):
        raise KeyError("line one\nline two")


class Elsewhere(Own):
    def labels(self, conversation, runs):
        return {"other_1": "x"}


class Numbers(Own):
    def labels(self, conversation, runs):
        return {conversation.turns[0].id: 3}


class Empty(Own):
    def labels(self, conversation, runs):
        return {conversation.turns[0].id: "a||b"}


class Lists(Own):
    def labels(self, conversation, runs):
        return ["x"]


class Loses(Own):
    def order(self, labels):
        return []


class FailsInOrder(Own):
    def order(self, labels):
        raise ValueError("no order")


class NeedsArguments(Own):
    def __init__(self, path):
        self.path = path


class NoSlicing:
    name = "own"


@pytest.fixture
def register(monkeypatch):
    """Registers a class of this module as another package would, under the name ``own``."""

    def registered(attribute: str) -> None:
        points = metadata.EntryPoints([metadata.EntryPoint("own", f"{__name__}:{attribute}", "convbench.slices")])
        monkeypatch.setattr(metadata, "entry_points", lambda group: points if group == "convbench.slices" else ())
        monkeypatch.setattr(SLICES, "_targets", None)

    yield registered
    SLICES._targets = None


def test_another_packages_slicing_comes_last(register):
    register("Own")
    assert slicing_names()[-1] == "own"
    assert labels("own", talk({}, {})) == ["x", "x"]


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        ("Fails", r"the slicing 'own' fails on conversation 'c': KeyError: .*line two"),
        ("Elsewhere", r"the slicing 'own' labels turn 'other_1', which is not in conversation 'c'"),
        ("Numbers", r"the slicing 'own' gives turn 'c_1' the label 3; expected a text"),
        ("Empty", r"the slicing 'own' gives turn 'c_1' the label 'a\|\|b'; expected a text"),
        ("Lists", r"the slicing 'own' returns list for conversation 'c'; expected a mapping"),
        ("Loses", r"the slicing 'own': order\(\) returns \[\]; expected \['x'\]"),
        ("FailsInOrder", r"the slicing 'own' fails in order\(\): ValueError: no order"),
        ("NeedsArguments", r"the slicing 'own' cannot be made: TypeError: .*expected a class without arguments"),
        ("NoSlicing", r"the slicing 'own' lacks title, description, labels, order"),
        ("Absent", r"the slicing 'own' cannot be imported"),
    ],
)
def test_a_broken_slicing_is_named_in_one_line(register, attribute, said):
    register(attribute)
    with pytest.raises(UsageError, match=said) as error:
        labelled_turns([talk({}, {})], [])
    assert "\n" not in str(error.value)


def test_the_guides_example_works_from_its_package(tmp_path):
    files = re.findall(
        r"^File `([^`]+)`:\n\n```\w+\n(.*?)^```$", (ROOT / "docs" / "add-a-slice.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    for path, content in files:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content, encoding="utf-8")
    group, points = re.findall(r'\[project\.entry-points\."([\w.]+)"\]\n(.+)', (tmp_path / "pyproject.toml").read_text(encoding="utf-8"))[0]
    installed = tmp_path / "examples-0.1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: examples\nVersion: 0.1\n", encoding="utf-8")
    (installed / "entry_points.txt").write_text(f"[{group}]\n{points}\n".replace('"', ""), encoding="utf-8")
    script = (
        "import json, sys; sys.path[:0] = sys.argv[1:]\n"
        "from convbench.analysis.slices.labelling import labelled_turns\n"
        "from convbench.datasets.loading import DatasetRequest, open_dataset\n"
        "found = labelled_turns(open_dataset(DatasetRequest('topiocqa')).conversations, [])[-1]\n"
        "print(json.dumps([found.name, found.title, found.values, found.labels]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(ROOT)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    name, title, values, found = json.loads(done.stdout)
    assert (name, title) == ("question-word", "Question word")
    turns = open_dataset(DatasetRequest("topiocqa")).turns
    firsts = {turn.id: re.findall(r"\b(?:what|who|which|when|where|why|how)\b", turn.query.lower())[:1] for turn in turns}
    assert found == {turn_id: words for turn_id, words in firsts.items() if words}
    assert values == [word for word in ("what", "who", "which", "when", "where", "why", "how") if [word] in firsts.values()]


def test_the_guides_list_every_slicing():
    text = (ROOT / "docs" / "slices.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE)
    assert sorted(listed) == sorted(slicing_names())
    assert [name for name in listed if f"**`{name}`**" not in text] == []


def test_real_topiocqa(real_data):
    root = real_data / "topiocqa" / "hub"
    dataset = open_dataset(DatasetRequest("topiocqa", data=root, rewrites=root / "rewrites.jsonl"))
    found = {slicing.name: sizes(slicing) for slicing in labelled_turns(dataset.conversations, [])}
    rows = [json.loads(line) for line in (root / "topiocqa_valid.jsonl").read_text(encoding="utf-8").splitlines()]
    turns = Counter("1" if row["Turn_no"] == 1 else "10-14" if 10 <= row["Turn_no"] <= 14 else "rest" for row in rows)
    assert (found["depth"]["1"], found["depth"]["10-14"], sum(found["depth"].values())) == (turns["1"], turns["10-14"], len(rows))
    assert found["answerable"] == dict(Counter("no" if row["Answer"] == "UNANSWERABLE" else "yes" for row in rows))
    topics: dict[int, list[str]] = {}
    passages: dict[int, list[str]] = {}
    for row in rows:
        passages.setdefault(row["Conversation_no"], []).append(row["Gold_passage"]["id"])
        if row["Topic"]:
            topics.setdefault(row["Conversation_no"], []).append(row["Topic"])
    stays = sum(after == before for seen in topics.values() for before, after in pairwise(seen))
    new = sum(len(set(seen)) for seen in topics.values())
    assert found["topic"]["same"] == stays
    assert found["topic"]["first"] == len(topics)
    assert found["topic"]["shift"] == new - len(topics)
    assert found["topic"]["return"] == sum(map(len, topics.values())) - new - stays > 0
    different = sum(len(set(seen)) for seen in passages.values())
    assert found["gold-seen"] == {"none": different, "all": len(rows) - different}
    rewrites = {
        row["turn_id"]: row["rewrite"] for row in map(json.loads, (root / "rewrites.jsonl").read_text(encoding="utf-8").splitlines())
    }
    same = sum(
        re.findall(r"\w+", row["Question"].casefold())
        == re.findall(r"\w+", rewrites[f"{row['Conversation_no']}_{row['Turn_no']}"].casefold())
        for row in rows
    )
    assert found["rewrite-distance"]["identical"] == same > 0
    assert sum(found["anaphora"].values()) == sum(found["ellipsis"].values()) == len(rows)
    assert found["anaphora"]["yes"] + found["ellipsis"]["yes"] <= len(rows)


def test_real_inscit(real_data):
    conversations = json.loads((real_data / "inscit" / "dev.json").read_text(encoding="utf-8")).values()
    rows = [{label["responseType"] for label in turn["labels"]} for talk in conversations for turn in talk["turns"]]
    found = {
        slicing.name: sizes(slicing)
        for slicing in labelled_turns(open_dataset(DatasetRequest("inscit", data=real_data / "inscit")).conversations, [])
    }
    assert found["response-type"] == dict(Counter(kind for kinds in rows for kind in kinds))
    assert found["answerable"]["no"] == sum(all(kind.startswith("noAnswer") for kind in kinds) for kinds in rows)
    assert found["rewrite-distance"] == {}


def test_real_qrecc(real_data):
    path = real_data / "qrecc" / "official" / "qrecc_test.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    found = {
        slicing.name: sizes(slicing)
        for slicing in labelled_turns(open_dataset(DatasetRequest("qrecc", data=path.parent)).conversations, [])
    }
    assert found["source"] == dict(Counter(row["Conversation_source"] for row in rows))
    words = [len(" ".join(row["Context"]).split()) for row in rows]  # Context holds rewrites instead of queries: as many turns without any
    assert found["history-length"]["0"] == sum(count == 0 for count in words)
    pronoun = re.compile(r"\b(he|him|his|himself|she|hers?|herself|its?|itself|they|them|theirs?|themselves|this|that|these|those)\b")
    replaced = sum(
        bool(Counter(pronoun.findall(row["Question"].lower())) - Counter(pronoun.findall(row["Rewrite"].lower()))) for row in rows
    )
    assert found["anaphora"]["yes"] == replaced > 0
