from __future__ import annotations

import json
from pathlib import Path

import pytest

from convbench.errors import DataError, MissingFileError
from convbench.io.cache import cache_root
from convbench.training.data.chat import read_chat
from convbench.training.data.mixture import SourceSpec
from convbench.training.data.pairs import read_pairs
from convbench.training.data.sources import Source, open_source


def written(folder: Path, *records: object) -> Path:
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def chat(*said: str, **fields: object) -> dict[str, object]:
    roles = {"u": "user", "a": "assistant", "s": "system"}
    return {"messages": [{"role": roles[text[0]], "content": text[2:]} for text in said], **fields}


def opened(path: Path, format_: str, **keys: object) -> Source:
    return open_source(SourceSpec.model_validate({"name": "s", "file": path.name, "format": format_, **keys}), path.parent, cache_root())


def test_every_assistant_message_responds_to_what_came_before_it(tmp_path: Path) -> None:
    path = written(tmp_path, chat("s:Be kind.", "u:Hi", "a:Hello", "u:Who are you", "u:really?", "a:A clerk", "a:from Ohio", "u:Bye", id=7))
    source = opened(path, "chat", objectives=["response"], licence="CC0", conversations=None)
    first, second = source.examples
    assert (first.id, first.turn.query, first.response, first.turn.history) == ("s/7_1", "Hi", "Hello", ())
    assert (second.turn.query, second.response) == ("Who are you\nreally?", "A clerk\nfrom Ohio")
    assert [(exchange.turn_id, exchange.query, exchange.response) for exchange in second.turn.history] == [("7_1", "Hi", "Hello")]
    assert source.material.turns[2].query == "Bye"  # read, so that the guard sees it, and nothing to learn from
    assert source.material.notes == ("1 system messages were left out", "1 turns feed no objective")
    assert source.as_json()["licence"] == "CC0"
    assert source.as_json()["data"]["file"] == "data.jsonl"


def test_what_the_assistant_opens_with_is_history(tmp_path: Path) -> None:
    (conversation,) = read_chat(written(tmp_path, chat("a:May I help?", "u:Yes", "a:How?")), "s").conversations
    (turn,) = conversation.turns
    assert (conversation.id, turn.id, turn.query) == ("line-1", "line-1_2", "Yes")
    assert [(exchange.turn_id, exchange.query, exchange.response) for exchange in turn.history] == [("line-1_1", "", "May I help?")]


def test_chat_feeds_retrieval_with_its_responses_where_asked(tmp_path: Path) -> None:
    source = opened(written(tmp_path, chat("u:Hi", "a:Hello")), "chat", objectives=["retrieval", "response"], passage="response")
    (example,) = source.examples
    assert example.positive is not None
    assert (example.positive.id, example.positive.text, example.response) == ("line-1_1#response", "Hello", "Hello")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"message": []}, "unknown field 'message'. Did you mean 'messages'"),
        ({"id": "a"}, "field 'messages' is missing"),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            r"\[messages\[0\]\]: field 'role': found 'tool', expected system, user",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "field 'content': expected a string, found list"),
        ({"messages": [{"role": "user", "content": " "}]}, "field 'content' is empty"),
        (chat("a:Hello"), "holds no message of the user"),
        (chat("u:x", id="a b"), "expected an id without white space"),
    ],
)
def test_bad_chat_names_the_line(tmp_path: Path, record: object, message: str) -> None:
    with pytest.raises(DataError, match=rf"data\.jsonl:2.*{message}"):
        read_chat(written(tmp_path, chat("u:x", "a:y"), record), "s")


def test_repeated_and_absent_conversations(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=":2: conversation 'x' appears twice"):
        read_chat(written(tmp_path, chat("u:x", id="x"), chat("u:y", id="x")), "s")
    with pytest.raises(DataError, match="holds no conversation"):
        read_chat(written(tmp_path), "s")
    with pytest.raises(MissingFileError):
        read_chat(tmp_path / "absent.jsonl", "s")


def test_pairs_with_their_passages_by_text(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {
            "id": "q1",
            "query": "what is tea",
            "positives": ["Tea is a drink.", {"title": "Tea", "text": "A leaf."}],
            "negatives": ["Cars", "tea is a DRINK"],
        },
        {"query": "a drink", "positive": "Tea is a drink."},
    )
    source = opened(path, "pairs", objectives=["retrieval"])
    first, second = source.examples
    assert [(passage.title, passage.text) for passage in first.gold] == [("", "Tea is a drink."), ("Tea", "A leaf.")]
    assert [passage.text for passage in first.negatives] == ["Cars"]  # the other one is a positive in other letters
    assert (first.id, first.conversation, first.response) == ("s/q1_1", "s/q1", None)
    assert (second.id, second.negatives) == ("s/line-2_1", ())
    assert second.gold[0] == first.gold[0]
    assert len({passage.id for passage in (*first.gold, *first.negatives)}) == 3


def test_pairs_feed_response_with_their_best_positive_where_asked(tmp_path: Path) -> None:
    path = written(tmp_path, {"query": "q", "positives": ["best", "other"]})
    (example,) = opened(path, "pairs", objectives=["retrieval", "response", "identification"], response="passage").examples
    assert (example.response, len(example.objectives)) == ("best", 3)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"query": "q"}, "expected either 'positive' .one passage. or 'positives'"),
        ({"query": "q", "positive": "x", "positives": ["x"]}, "expected either"),
        ({"query": "q", "positives": []}, "field 'positives' is an empty list"),
        ({"query": "q", "positive": " "}, "field 'positive': a passage is empty"),
        ({"query": "q", "positive": None}, "field 'positive': expected a string, found null"),
        ({"query": "q", "positive": {"title": "x"}}, "field 'text' is missing"),
        ({"query": "q", "positive": {"body": "x"}}, "unknown field 'body'"),
        ({"query": "q", "positive": "x", "negatives": [3]}, "field 'negatives': expected a string, found int"),
        ({"query": "q", "positive": "x", "negatives": "y"}, "field 'negatives': expected a list"),
        ({"query": "", "positive": "x"}, "field 'query' is empty"),
        ({"query": "q", "pos": "x"}, "unknown field 'pos'"),
        ({"id": "a", "query": "q", "positive": "x"}, "pair 'a' appears twice"),
    ],
)
def test_bad_pairs_name_the_line(tmp_path: Path, record: object, message: str) -> None:
    with pytest.raises(DataError, match=rf"data\.jsonl:2.*{message}"):
        read_pairs(written(tmp_path, {"id": "a", "query": "q", "positive": "p"}, record), "s")
    with pytest.raises(DataError, match="holds no pair"):
        read_pairs(written(tmp_path), "s")
