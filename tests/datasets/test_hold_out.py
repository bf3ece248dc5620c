from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.datasets.comparable import open_others
from convbench.datasets.loading import Dataset, DatasetRequest, open_dataset
from convbench.datasets.selection import HoldOut, Part, Selection, hash_order, select
from convbench.errors import UsageError
from convbench.types import Conversation

IDS = st.lists(st.text("abcdef0123456789_#", min_size=1), unique=True)
RULES = st.one_of(
    st.builds(lambda count, salt: HoldOut(count=count, salt=salt), st.integers(1, 20), st.text(max_size=5)),
    st.builds(lambda share, salt: HoldOut(share=share, salt=salt), st.sampled_from(["1/3", "0.25", "0.999"]), st.text(max_size=5)),
)


@given(IDS, RULES, st.randoms())
def test_parts_are_disjoint_whole_and_do_not_depend_on_the_order(ids: list[str], rule: HoldOut, chance: object) -> None:
    talks = [Conversation(id_, "d", "s", ()) for id_ in ids]
    kept = select(talks, Selection(hold_out=rule))
    held = select(talks, Selection(hold_out=rule, part="held-out"))
    assert len(held) == rule.size(len(ids))
    assert sorted([*kept, *held], key=talks.index) == talks
    chance.shuffle(talks)  # type: ignore[attr-defined]
    assert {talk.id for talk in select(talks, Selection(hold_out=rule, part="held-out"))} == {talk.id for talk in held}


def test_the_rule_is_pinned_and_a_salt_changes_it() -> None:
    ids = [str(number) for number in range(1, 13)]
    assert hash_order(ids, "dev")[:4] == ["4", "9", "7", "6"]  # as `printf dev:4 | sha256sum` and so on sort them
    assert hash_order(ids, "dev") != hash_order(ids, "other")
    assert [HoldOut(share="1/3", salt="").size(n) for n in (2, 3, 120)] == [0, 1, 40]


def test_an_evaluation_set_of_the_held_out_conversations() -> None:
    rule = Selection(hold_out=HoldOut(share="1/3", salt="dev"), part="held-out")
    held, whole = open_dataset(DatasetRequest("topiocqa", conversations=rule)), open_dataset(DatasetRequest("topiocqa"))
    assert held.conversations == select(whole.conversations, rule)
    assert held.notes == (
        "3 of 9 conversations (held-out part; 1/3 of the conversations held out: the first by sha256 of 'dev:<conversation id>'): "
        "not a result on topiocqa",
    )
    assert held.all_turns().sha256 != whole.all_turns().sha256


@pytest.mark.parametrize("part", ["kept", "held-out"])
def test_a_limit_takes_from_what_was_selected(part: Part) -> None:
    rule = Selection(hold_out=HoldOut(count=4, salt="dev"), part=part)
    whole = open_dataset(DatasetRequest("topiocqa", conversations=rule))
    short = open_dataset(DatasetRequest("topiocqa", conversations=rule, limit=2))
    assert short.conversations == whole.conversations[:2]
    number = len(whole.conversations)
    assert short.notes == (*whole.notes, f"limited to the first 2 of {number} conversations: not a result on topiocqa")


def test_what_selects_everything_says_nothing() -> None:
    everything = open_dataset(DatasetRequest("topiocqa", conversations=Selection.parse("held-out:9:x")))
    assert everything.conversations == open_dataset(DatasetRequest("topiocqa")).conversations
    assert everything.notes == ()


@pytest.mark.parametrize("text", ["kept:9:x", "kept:100:x", "held-out:0.1:x"])
def test_nothing_left_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^topiocqa mini: nothing is left of 9 conversations: (kept|held-out) part; "):
        open_dataset(DatasetRequest("topiocqa", conversations=Selection.parse(text)))


def test_rewrites_of_the_other_part_are_not_spare(tmp_path: Path) -> None:
    turns = open_dataset(DatasetRequest("topiocqa")).turns
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(f'{{"turn_id": "{turn.id}", "rewrite": "words of {turn.id}"}}\n' for turn in turns))
    held = open_dataset(DatasetRequest("topiocqa", rewrites=file, conversations=Selection.parse("held-out:3:x")))
    assert [turn.rewrite for turn in held.turns] == [f"words of {turn.id}" for turn in held.turns]
    assert len(held.notes) == 1


def test_other_splits_are_compared_whole(tmp_path: Path) -> None:
    for split, topics in (("train", "abc"), ("dev", "defg")):
        rows = [{"conversation_id": topic, "turn": 1, "query": f"what is {topic}?"} for topic in topics]
        (tmp_path / f"conversations.{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = DatasetRequest("generic", tmp_path, "dev", conversations=Selection.parse("held-out:1:x"))
    assert [len(other.conversations) for other in open_others(own, "dev", []) if isinstance(other, Dataset)] == [3]


@pytest.mark.parametrize(
    ("text", "selection"),
    [
        ("held-out:40:dev", Selection(hold_out=HoldOut(count=40, salt="dev"), part="held-out")),
        ("kept:1/3:dev", Selection(hold_out=HoldOut(share="1/3", salt="dev"), part="kept")),
        ("kept:0.25:a:b c:", Selection(hold_out=HoldOut(share="0.25", salt="a:b c:"), part="kept")),
        ("kept:3:", Selection(hold_out=HoldOut(count=3, salt=""), part="kept")),
    ],
)
def test_the_short_form(text: str, selection: Selection) -> None:
    assert Selection.parse(text) == selection


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("held-out", "expected PART:SIZE:SALT, PART being kept or held-out, as in held-out:40:dev or kept:1/3:dev"),
        ("held-out:40", "expected PART:SIZE:SALT"),
        ("train:40:dev", "expected PART:SIZE:SALT"),
        ("", "expected PART:SIZE:SALT"),
        ("kept:0:dev", "hold_out.count: input should be greater than or equal to 1, found '0'"),
        ("kept:3/2:dev", "expected a share above 0 and below 1, found '3/2'"),
        ("kept:-3:dev", "expected a share as 0.25 or 1/3, found '-3'"),
        ("kept:1/0:dev", "expected a share as 0.25 or 1/3, found '1/0'"),
        ("kept::dev", "expected a share as 0.25 or 1/3, found ''"),
        ("kept:1e-999999999:dev", "expected a share as 0.25 or 1/3, found '1e-999999999'"),
        ("kept:3:\udc80", "expected text without halves of surrogate pairs"),
    ],
)
def test_what_is_no_short_form(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=rf"^--conversations '.*': .*{re.escape(message)}"):
        Selection.parse(text)
