from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rewriting.conversations import FIRST, SAID, THIRD, rewriter_config, rewriter_of
from rewriting.tiny_t5 import make_t5

from convbench.errors import ResourceError, UsageError
from convbench.meter import Meter
from convbench.rewriting.base import QueryRewriter, Rewrite, RewriteInput

CONVGQR = {"order": "newest-first", "question": "question: {text}", "before_history": "context: ", "separator": "</s> "}


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_t5(tmp_path_factory.mktemp("t5"))


@pytest.fixture(scope="module")
def other_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_t5(tmp_path_factory.mktemp("t5"), seed=2)


def rewritten(rewriter: QueryRewriter, inputs: Sequence[RewriteInput], tmp_path: Path) -> list[Rewrite]:
    rewriter.check([item.turn for item in inputs])
    rewriter.open(tmp_path, Meter())
    return rewriter.rewrite(inputs, Meter())


def canard(folder: Path, **changes: Any) -> dict[str, Any]:
    model = {"model": str(folder), "decoding": {"max_new_tokens": 8, "beams": 10, "early_stopping": True}}
    return {"type": "seq2seq", "model": model, "input": {"separator": " ||| "}, **changes}


def convgqr(folder: Path, answer: Path | None = None, **changes: Any) -> dict[str, Any]:
    models = {"model": folder} | ({"answer": answer} if answer else {})
    settings = {"separator": "</s>", "decoding": {"max_new_tokens": 8}}
    return {"type": "seq2seq", "input": CONVGQR, **{name: {"model": str(path), **settings} for name, path in models.items()}, **changes}


def generated(folder: Path, ids: list[int], **settings: Any) -> str:
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    written = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)).long(), max_new_tokens=8, **settings)
    return str(tokenizer.decode(written[0], skip_special_tokens=True)).strip()


def tokens(folder: Path, text: str) -> list[int]:
    from transformers import AutoTokenizer

    return list(AutoTokenizer.from_pretrained(folder)(text).input_ids)


def test_canard_reads_the_published_source_with_ten_beams(t5: Path, tmp_path: Path) -> None:
    [rewrite] = rewritten(rewriter_of(canard(t5)), [THIRD], tmp_path)
    source = " ||| ".join([*(utterance.text for utterance in SAID), THIRD.turn.query])
    assert rewrite.question == generated(t5, tokens(t5, source), num_beams=10, early_stopping=True, do_sample=False)
    assert rewrite.question != generated(t5, tokens(t5, THIRD.turn.query), num_beams=10, early_stopping=True, do_sample=False)
    assert (rewrite.texts, rewrite.failure) == ((), None)
    assert rewrite.usage["rewrite_tokens_in"] == len(tokens(t5, source))


def test_convgqr_reads_each_utterance_with_its_end_newest_first(t5: Path, other_t5: Path, tmp_path: Path) -> None:
    said = [f"question: {THIRD.turn.query}", f"context: {SAID[-1].text}", *(utterance.text for utterance in SAID[-2::-1])]
    ids = [token for text in said for token in tokens(t5, text)]  # each tokenised by itself, as published
    [rewrite] = rewritten(rewriter_of(convgqr(t5, other_t5)), [THIRD], tmp_path)
    assert ids.count(1) == 5
    assert rewrite.question == generated(t5, ids, do_sample=False)
    assert rewrite.texts == (f"{rewrite.question} {generated(other_t5, ids, do_sample=False)}",)
    assert rewrite.usage["rewrite_tokens_in"] == 2 * len(ids)


def test_a_rewrite_does_not_depend_on_the_batch(t5: Path, tmp_path: Path) -> None:
    rewriter = rewriter_of(convgqr(t5))
    together = rewritten(rewriter, [FIRST, THIRD], tmp_path)
    assert together == [*rewriter.rewrite([FIRST], Meter()), *rewriter.rewrite([THIRD], Meter())]
    assert rewriter.rewrite([], Meter()) == []


def test_first_turns_are_rewritten_unless_they_are_to_stay(t5: Path, tmp_path: Path) -> None:
    [rewrite] = rewritten(rewriter_of(canard(t5)), [FIRST], tmp_path)
    assert rewrite.question == generated(t5, tokens(t5, FIRST.turn.query), num_beams=10, early_stopping=True, do_sample=False)
    stays = rewritten(rewriter_of(canard(t5, first_turn="asked")), [FIRST, THIRD], tmp_path)
    assert stays[0] == Rewrite(FIRST.turn.query)
    assert stays[1].question != THIRD.turn.query


def test_a_model_that_writes_nothing_leaves_the_question(t5: Path, tmp_path: Path) -> None:
    silent = make_t5(tmp_path / "silent", silent=True)
    [rewrite] = rewritten(rewriter_of(convgqr(silent)), [THIRD], tmp_path)
    assert rewrite.question == THIRD.turn.query
    assert rewrite.failure is not None
    assert rewrite.failure.startswith("rewrite: no text (")
    [half] = rewritten(rewriter_of(convgqr(t5, silent)), [THIRD], tmp_path)
    assert half.question != THIRD.turn.query
    assert half.texts == ()
    assert half.failure is not None
    assert half.failure.startswith("answer: no text (")


def test_descriptions_tell_settings_apart(t5: Path, other_t5: Path) -> None:
    configs = [canard(t5), canard(other_t5), canard(t5, first_turn="asked"), convgqr(t5), convgqr(t5, other_t5)]
    described = [str(rewriter_of(config).describe()) for config in configs]
    assert len(set(described)) == len(configs)
    assert described[0] == str(rewriter_of(canard(t5, batch_size=3)).describe())


def test_models_are_counted(t5: Path, other_t5: Path, tmp_path: Path) -> None:
    rewriter, meter = rewriter_of(convgqr(t5, other_t5)), Meter()
    rewriter.open(tmp_path, meter)
    rewriter.rewrite([FIRST, THIRD], meter)
    taken = meter.take()
    assert len(taken["models"]) == 2
    assert taken["phases"]["rewrite"]["turns"] == 2
    assert taken["phases"]["rewrite"]["tokens_in"] > 0


def test_a_missing_checkpoint_is_found_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ResourceError):
        rewriter_of(canard(tmp_path / "nowhere")).check([THIRD.turn])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"model": "x", "decoding": {"beems": 3}}}, r"rewriter.*beems: .*Did you mean 'beams'"),
        ({"first_turn": "never"}, r"rewriter.*first_turn: .*'rewrite' or 'asked'"),
        ({"input": {"user": "U"}}, r"rewriter.*input.user: .*must hold \{text\} once"),
        ({"batch_size": 0}, r"rewriter.*batch_size: "),
        ({"model": {"type": "server", "model": "x"}}, r"rewriter.*model.type: .*'seq2seq'"),
    ],
)
def test_nonsense_is_refused_by_its_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        rewriter_config(canard(Path("x"), **changes))
