from __future__ import annotations

import pytest

from convbench.errors import UsageError
from convbench.types import Exchange, Turn
from convbench.views.history import HistoryView, check_history_view, history_view, utterances
from convbench.views.session import Utterance

HISTORY = (
    Exchange("1_1", "who keeps the lighthouse", "A retired sailor.", "who keeps the Dune lighthouse"),
    Exchange("1_2", "since when", None),
    Exchange("1_3", "does he live there", "Only in winter."),
)
TURN = Turn("1_4", "why then", history=HISTORY)


@pytest.mark.parametrize(
    ("name", "kept", "dropped"),
    [
        ("query", (), ("1_1", "1_2", "1_3")),
        ("queries", ("1_1", "1_2", "1_3"), ()),
        ("full", ("1_1", "1_2", "1_3"), ()),
        ("full-own", ("1_1", "1_2", "1_3"), ()),
        ("last-1", ("1_3",), ("1_1", "1_2")),
        ("last-2", ("1_2", "1_3"), ("1_1",)),
        ("last-3", ("1_1", "1_2", "1_3"), ()),
        ("last-40", ("1_1", "1_2", "1_3"), ()),
    ],
)
def test_every_earlier_turn_is_kept_or_named_as_dropped(name: str, kept: tuple[str, ...], dropped: tuple[str, ...]) -> None:
    view = history_view(name, TURN)
    assert (view.name, view.kept, view.dropped) == (name, kept, dropped)


@pytest.mark.parametrize("name", ["query", "queries", "full", "full-own", "last-3"])
def test_a_first_turn_has_no_history(name: str) -> None:
    assert history_view(name, Turn("1_1", "hello")) == HistoryView(name, (), ())


def test_full_and_last_show_responses() -> None:
    assert history_view("full", TURN).history == history_view("full-own", TURN).history == HISTORY
    assert history_view("last-2", TURN).history == HISTORY[1:]


def test_queries_hides_responses_and_nothing_else() -> None:
    view = history_view("queries", TURN)
    assert [exchange.response for exchange in view.history] == [None, None, None]
    assert [exchange.query for exchange in view.history] == ["who keeps the lighthouse", "since when", "does he live there"]
    assert view.history[0].rewrite == "who keeps the Dune lighthouse"
    assert TURN.history[0].response == "A retired sailor."


def test_utterances_run_from_oldest_to_newest_without_gaps() -> None:
    full = [
        Utterance("user", "who keeps the lighthouse"),
        Utterance("agent", "A retired sailor."),
        Utterance("user", "since when"),
        Utterance("user", "does he live there"),
        Utterance("agent", "Only in winter."),
    ]
    assert utterances(history_view("full", TURN)) == full
    assert utterances(history_view("queries", TURN)) == [full[0], full[2], full[3]]
    assert utterances(history_view("last-1", TURN)) == full[3:]
    assert utterances(history_view("query", TURN)) == []


def test_a_system_that_opened_the_conversation_has_no_empty_utterance() -> None:
    turn = Turn("1_2", "tell me more", history=(Exchange("1_1", "", "Hello, I know about boats."),))
    assert utterances(history_view("full", turn)) == [Utterance("agent", "Hello, I know about boats.")]


@pytest.mark.parametrize("name", ["query", "queries", "full", "full-own", "last-1", "last-12"])
def test_known_views(name: str) -> None:
    assert check_history_view(name) == name


@pytest.mark.parametrize("name", ["", "last", "last-", "last-0", "last-01", "last--1", "last-3 ", "last-n", "Full", "rewrite", "last-٣"])
def test_unknown_views_list_the_known(name: str) -> None:
    with pytest.raises(UsageError, match=r"^unknown history view .* Known: query, queries, full, full-own, last-<n>, rewrite$"):
        check_history_view(name)
    with pytest.raises(UsageError, match="unknown history view"):
        history_view(name, TURN)


def test_a_near_miss_is_suggested() -> None:
    with pytest.raises(UsageError, match=r"unknown history view 'full-won'\. Did you mean 'full-own'\?"):
        check_history_view("full-won")
