from __future__ import annotations

from pathlib import Path
from typing import Any

from backends.small import folder_of
from rewriting.conversations import FIRST, THIRD, rewriter_config, rewriter_of

from convbench.meter import Meter
from convbench.rewriting.prompted_config import PromptedConfig
from convbench.writing.base import Request, Text
from convbench.writing.open import open_language_model
from convbench.writing.prompts import messages, read_prompt

PROMPT = {"version": 1, "source": "a test", "user": "{history} {question}"}


def prompted(**values: Any) -> dict[str, Any]:
    model = {"type": "transformers", "model": str(folder_of("llama")), "decoding": {"max_new_tokens": 6, "temperature": 1.0}}
    steps = [{"name": "rewrite", "prompt": PROMPT, "samples": 4}]
    return {"type": "prompted", "model": model, "steps": steps, "question": "{rewrite}", "query": ["{rewrite}"], **values}


def written() -> tuple[Text, ...]:
    config = rewriter_config(prompted())
    assert isinstance(config, PromptedConfig)
    model = open_language_model(config.model, offline=True, seed=1)
    asked = messages(read_prompt(PROMPT), question=THIRD.turn.query, earlier=THIRD.earlier)
    [texts] = model.write([Request(f"{THIRD.turn.id} rewrite", asked, 4)], Meter())
    return texts


def test_samples_of_a_real_model(tmp_path: Path) -> None:
    rewriter = rewriter_of(prompted(aggregation="mean"))
    rewriter.check([THIRD.turn])
    rewriter.open(tmp_path, Meter())
    _, rewrite = rewriter.rewrite([FIRST, THIRD], Meter())
    texts = written()
    assert rewrite.texts == tuple(text.text for text in texts)
    assert len(set(rewrite.texts)) > 1
    assert rewrite.question == texts[0].text
    assert rewrite.usage["rewrite_tokens_in"] == sum(text.tokens_in for text in texts)
    assert rewriter.rewrite([THIRD], Meter()) == [rewrite]
    assert rewriter_of(prompted(aggregation="mean"), seed=2).rewrite([THIRD], Meter()) != [rewrite]


def test_the_likeliest_of_a_real_model() -> None:
    rewriter = rewriter_of(prompted(aggregation="max-probability"))
    rewriter.check([THIRD.turn])
    [rewrite] = rewriter.rewrite([THIRD], Meter())
    texts = written()
    likeliest = max(texts, key=lambda text: text.log_probability or 0)
    assert rewrite.question == likeliest.text
    assert rewrite.question != texts[0].text
