from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.training.data.selection import HoldOut, Selection, hash_order, open_selected, select
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
    rule = HoldOut(share="1/3", salt="dev")
    held = open_selected(DatasetRequest("topiocqa"), Selection(hold_out=rule, part="held-out"))
    whole = open_dataset(DatasetRequest("topiocqa"))
    assert [c.id for c in held.conversations] == [c.id for c in select(whole.conversations, Selection(hold_out=rule, part="held-out"))]
    assert held.notes[-1].startswith("3 of 9 conversations (held-out part; 1/3 of the conversations held out: ")
    short = open_selected(DatasetRequest("topiocqa", limit=1), Selection(hold_out=rule, part="held-out"))
    assert short.conversations == held.conversations[:1]
