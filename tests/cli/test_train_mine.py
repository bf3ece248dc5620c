"""``convbench train mine``: on the mini sets against a plain re-implementation of the rules, from runs, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from backends.small import folder_of
from command_line import convbench, succeed

from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.io.runfile import read_run
from convbench.training.negatives import read_negatives

if TYPE_CHECKING:
    from convbench.backends.encoder import HFEncoder
    from convbench.types import Turn

MINI = ["topiocqa", "qrecc", "orquac", "inscit", "faithdial"]
RUN = ("--metrics", "retrieval", "--set", "generator=null", "--offline")


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def holds(text: list[str], part: list[str]) -> bool:
    return any(text[start : start + len(part)] == part for start in range(len(text)))


def expected(dataset: str, run: Path, count: int, *, keep_answers: bool, earlier_gold: bool) -> dict[str, list[tuple[str, str]]]:
    """(id, kind) of the negatives of every turn, passage by passage."""
    opened, records = open_dataset(DatasetRequest(dataset)), read_run(run / "turns.jsonl").records
    passages = {passage.id: passage for passage in opened.adapter.collection().passages()}
    found = {}
    for conversation in opened.conversations:
        for turn in conversation.turns:
            if not turn.gold:
                continue
            offered: dict[str, list[str]] = {"earlier-gold": [], "retrieved": [id_ for id_, _ in records[turn.id].passages]}
            if earlier_gold:
                before = [other for other in conversation.turns if other.number < turn.number][::-1]
                offered["earlier-gold"] = [id_ for other in before for _, id_ in sorted((-grade, id_) for id_, grade in other.gold.items())]
            chosen: list[tuple[str, str]] = []
            for kind, ids in offered.items():
                room = count
                for id_ in ids:
                    texts = [words(passages[other].text) for other in [*turn.gold, *(other for other, _ in chosen)] if other in passages]
                    refused = id_ in turn.gold or words(passages[id_].text) in texts
                    if not refused and not keep_answers:
                        whole = words(passages[id_].title) + words(passages[id_].text)
                        refused = any(holds(whole, answer) for answer in short_answers(turn))
                    if not refused and room:
                        chosen.append((id_, kind))
                        room -= 1
            found[turn.id] = chosen
    return found


def short_answers(turn: Turn) -> list[list[str]]:
    if turn.labels.get("answerable") == "no":
        return []
    texts = [words(reference.text) for reference in turn.references if reference.kind in ("response", "additional")]
    return [text for text in texts if text and text not in (["yes"], ["no"], ["unanswerable"], ["cannotanswer"])]


def mined(path: Path) -> dict[str, list[tuple[str, str]]]:
    return {turn_id: [(one.id, one.kind) for one in each] for turn_id, each in read_negatives(path)[1].items()}


@pytest.mark.parametrize("dataset", MINI)
def test_mini_sets_against_a_plain_reimplementation(dataset: str, tmp_path: Path) -> None:
    succeed("run", "bm25-history", "-d", dataset, "--out", tmp_path / "run", *RUN)
    for name, options in {
        "plain": {"keep_answers": False, "earlier_gold": False},
        "kept": {"keep_answers": True, "earlier_gold": False},
        "all": {"keep_answers": False, "earlier_gold": True},
    }.items():
        flags = [f"--{option.replace('_', '-')}" for option, on in options.items() if on]
        out = tmp_path / f"{name}.jsonl"
        header = succeed("train", "mine", "-d", dataset, "--with", "bm25", "--count", 5, *flags, "--out", out, "--json").json
        assert mined(out) == expected(dataset, tmp_path / "run", 5, **options)
        negatives = [kind for each in mined(out).values() for _, kind in each]
        counts = header["counts"]
        assert (counts["retrieved"], counts["earlier_gold"]) == (negatives.count("retrieved"), negatives.count("earlier-gold"))
        assert counts["excluded"]["gold"] > 0
        assert (counts["earlier_gold"] > 0) is options["earlier_gold"]
        records = read_run(tmp_path / "run" / "turns.jsonl").records
        for turn_id, each in read_negatives(out)[1].items():
            assert all(one.rank is None or records[turn_id].passages[one.rank - 1] == (one.id, one.score) for one in each)


def test_minilm_as_a_checkpoint_and_as_a_baseline(minilm: HFEncoder, tmp_path: Path) -> None:
    source = ("train", "mine", "-d", "topiocqa", "--limit", 2, "--offline", "--out")
    succeed(*source, tmp_path / "baseline.jsonl", "--with", "minilm-history")
    succeed(*source, tmp_path / "checkpoint.jsonl", "--with", "sentence-transformers/all-MiniLM-L6-v2", "--query", "full")
    succeed("run", "minilm-history", "-d", "topiocqa", "--limit", 2, "--out", tmp_path / "run", *RUN)
    succeed(*source, tmp_path / "run.jsonl", "--from", tmp_path / "run")
    first = mined(tmp_path / "baseline.jsonl")
    assert len(first) > 5
    assert all(len(each) == 8 for each in first.values())
    assert first == mined(tmp_path / "checkpoint.jsonl") == mined(tmp_path / "run.jsonl")
    succeed(*source, tmp_path / "bm25.jsonl", "--with", "bm25")
    assert mined(tmp_path / "bm25.jsonl") != first
    assert read_negatives(tmp_path / "run.jsonl")[0].retriever["name"] == "minilm-history"


def test_a_unified_checkpoint_searches_and_does_not_respond(tmp_path: Path) -> None:
    out = tmp_path / "n.jsonl"
    source = ("-d", "topiocqa", "--limit", 1, "--with", folder_of("llama"), "--profile", "decoder")
    command = ("train", "mine", *source, "--offline", "--out", out)
    header = succeed(*command, "--set", "name=mine", "--set", "index.storage=float32", "--json").json
    assert header["retriever"]["name"] == "mine"
    stage = header["retriever"]["stages"]["respond"]
    assert (stage["model"]["decoding"], stage["index"]["storage"]) == (None, "float32")
    assert str(folder_of("llama")) not in out.read_text(encoding="utf-8")
    assert header["counts"]["retrieved"] == 8 * header["counts"]["turns"]
    refused = convbench(*command, "--set", "depth=3")
    assert (refused.code, "depth: extra inputs are not permitted, found 3" in refused.error) == (2, True)


def test_the_response_as_query(tmp_path: Path) -> None:
    turns = open_dataset(DatasetRequest("orquac")).turns
    queries = [{"turn_id": turn.id, "rewrite": f"{turn.rewrite}\n{turn.references[0].text}"} for turn in turns]
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in queries), encoding="utf-8")
    succeed("run", "bm25-rewrite", "-d", "orquac", "--rewrites", tmp_path / "queries.jsonl", "--out", tmp_path / "run", *RUN)
    succeed("train", "mine", "-d", "orquac", "--from", tmp_path / "run", "--out", tmp_path / "run.jsonl")
    found = {}
    for view in ("response", "rewrite", "query"):
        succeed("train", "mine", "-d", "orquac", "--with", "bm25", "--query", view, "--out", tmp_path / f"{view}.jsonl")
        header, _ = read_negatives(tmp_path / f"{view}.jsonl")
        assert header.query == view
        found[view] = mined(tmp_path / f"{view}.jsonl")
    assert found["response"] == mined(tmp_path / "run.jsonl")
    assert found["response"] != found["rewrite"] != found["query"]


def test_the_same_bytes_again_whatever_the_cache_holds(tmp_path: Path) -> None:
    contents = []
    for cache in ("one", "one", "two"):
        out = tmp_path / "deep" / "n.jsonl"
        finished = succeed("train", "mine", "-d", "inscit", "--with", "bm25", "--earlier-gold", "--out", out, "--cache", tmp_path / cache)
        contents.append(out.read_bytes())
    assert contents[0] == contents[1] == contents[2]
    assert finished.out.splitlines()[0].startswith("inscit (mini), bm25: ")
    assert finished.out.splitlines()[-1] == f"negatives: {out}"
    assert sorted(path.name for path in out.parent.iterdir()) == ["n.jsonl"]


def test_a_search_is_kept_and_gone_on_with(tmp_path: Path) -> None:
    command = ("train", "mine", "-d", "topiocqa", "--with", "bm25", "--cache", tmp_path / "cache")
    succeed(*command, "--out", tmp_path / "n.jsonl")
    (rows,) = (tmp_path / "cache" / "mining").glob("*/stages/search.jsonl")
    written = rows.stat().st_mtime_ns
    succeed(*command, "--skip", 3, "--out", tmp_path / "skipped.jsonl")
    assert rows.stat().st_mtime_ns == written
    assert min(one.rank or 0 for each in read_negatives(tmp_path / "skipped.jsonl")[1].values() for one in each) > 3
    rows.write_text("", encoding="utf-8")  # no longer what its manifest says
    succeed(*command, "--out", tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "n.jsonl").read_bytes()


def test_from_a_trec_run(tmp_path: Path) -> None:
    turn = next(turn for turn in open_dataset(DatasetRequest("topiocqa")).turns if turn.number == 2)
    gold = next(iter(turn.gold))
    lines = [(gold, 9.0), ("21406", 7.0), ("58813", 8.0)]
    run = tmp_path / "theirs.trec"
    run.write_text("".join(f"{turn.id} Q0 {id_} 1 {score} them\n" for id_, score in lines), encoding="utf-8")
    header = succeed("train", "mine", "-d", "topiocqa", "--from", run, "--out", tmp_path / "n.jsonl", "--json").json
    assert header["retriever"]["name"] == "theirs"
    assert header["query"] is None
    assert header["counts"]["turns_without_ranking"] == header["counts"]["turns"] - 1
    _, negatives = read_negatives(tmp_path / "n.jsonl")
    assert [(one.id, one.rank, one.score) for one in negatives[turn.id]] == [("58813", 2, 8.0), ("21406", 3, 7.0)]
    with run.open("a", encoding="utf-8") as handle:
        handle.write(f"{turn.id} Q0 nowhere 4 1.0 them\n")
    refused = convbench("train", "mine", "-d", "topiocqa", "--from", run, "--out", tmp_path / "n2.jsonl")
    assert (refused.code, "1 of 4 ranked passages are not in this collection (first: 'nowhere')" in refused.error) == (3, True)
    assert not (tmp_path / "n2.jsonl").exists()


def test_copies_of_gold_in_an_own_collection(tmp_path: Path) -> None:
    said = {"conversation_id": "d1", "turn": 1, "query": "How do I reset a password?", "response": "press Forgot", "gold": ["p1"]}
    texts = {
        "p1": "To reset a password, press Forgot.",
        "p2": "to reset a PASSWORD press forgot",
        "p3": "Someone who forgot a password will press Forgot again.",
        "p4": "A password has ten letters.",
    }
    (tmp_path / "conversations.jsonl").write_text(json.dumps(said) + "\n", encoding="utf-8")
    collection = "".join(json.dumps({"id": id_, "text": text}) + "\n" for id_, text in texts.items())
    (tmp_path / "collection.jsonl").write_text(collection, encoding="utf-8")
    command = ("train", "mine", "-d", "generic", "--data", tmp_path, "--with", "bm25", "--out", tmp_path / "out" / "n.jsonl", "--json")
    header = succeed(*command).json
    assert header["counts"]["excluded"] == {"gold": 1, "copy": 1, "answer": 1, "repeat": 0}
    assert [id_ for id_, _ in mined(tmp_path / "out" / "n.jsonl")["d1_1"]] == ["p4"]
    assert succeed(*command, "--keep-answers").json["counts"]["excluded"] == {"gold": 1, "copy": 1, "answer": 0, "repeat": 0}
    assert sorted(id_ for id_, _ in mined(tmp_path / "out" / "n.jsonl")["d1_1"]) == ["p3", "p4"]
    for field, arguments, refusal in (
        ("response", ("--query", "response"), "(all) has a reference response; choose another view"),
        ("gold", (), "(all): no turn has a gold passage"),
    ):
        bare = {key: value for key, value in said.items() if key != field}
        (tmp_path / "conversations.jsonl").write_text(json.dumps(bare) + "\n", encoding="utf-8")
        assert refusal in convbench(*command, *arguments).error


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "give either --with SYSTEM, to search, or --from RUN, to take the rankings of a finished run"),
        (("--with", "bm25", "--from", "runs/x"), 2, "give either --with SYSTEM"),
        (("--from", "runs/x", "--query", "full"), 2, "--from RUN searches nothing: --query, --profile and --set do not go with it"),
        (("--from", "no/run"), 3, "no/run: no finished run here; --from needs a run folder, a joint run (.jsonl) or a TREC run"),
        (("--with", "bm25", "--skip", 5, "--depth", 5), 2, "--skip 5 leaves nothing of --depth 5; take more ranks or skip fewer"),
        (("--with", "oracle"), 2, "--with oracle: a system of kind 'oracle' does not search; give bm25, a checkpoint or a two-stage or"),
        (("--with", "bm52"), 2, "unknown system 'bm52'."),
        (("--with", "bm25", "--query", "ladder"), 2, "--query ladder: a ladder is several views; name one"),
        (("--with", "bm25", "--query", "ful"), 2, "unknown history view 'ful'. Did you mean 'full'?"),
        (("--with", "bm25", "--query", "full-own"), 2, "bm25: history view 'full-own' shows the system its own responses"),
        (("--with", "bm25", "--out", "n.jsonl.gz"), 2, "--out n.jsonl.gz: expected the name of a .jsonl file"),
        (("--with", "bm25", "-d", "topiocq"), 2, "unknown dataset 'topiocq'. Did you mean 'topiocqa'?"),
        (("--with", "bm25", "--count", 0), 2, "Invalid value for '--count': 0 is not in the range x>=1"),
    ],
)
def test_what_is_refused(arguments: tuple[object, ...], code: int, said: str, tmp_path: Path) -> None:
    refused = convbench("train", "mine", "-d", "topiocqa", "--out", tmp_path / "n.jsonl", *arguments)
    assert (refused.code, refused.out) == (code, "")
    assert said in refused.error
    assert not (tmp_path / "n.jsonl").exists()


def test_runs_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other.trec").write_text("x_1 Q0 p 1 1.0 them\n", encoding="utf-8")
    (tmp_path / "responses.jsonl").write_text('{"turn_id": "1_1", "response": "Yes."}\n', encoding="utf-8")
    for name, said in (("other.trec", "none of its turns (x_1 ...)"), ("responses.jsonl", "the run has no rankings of turns of topiocqa")):
        refused = convbench("train", "mine", "-d", "topiocqa", "--from", tmp_path / name, "--out", tmp_path / "n.jsonl")
        assert refused.code == 4
        assert said in refused.error
