"""What a card states, for tests of what training writes."""

from __future__ import annotations

from typing import Any

from convbench.harness.results import Results
from convbench.training.card import Base, CardFacts

SOURCE: dict[str, Any] = {
    "name": "topi",
    "weight": 1.0,
    "data": {"name": "topiocqa", "split": "dev", "options": {}, "turns": "ab" * 32, "files": [["dev.json", "cd" * 32]]},
    "licence": "CC BY-NC-SA 4.0",
    "selection": "kept part; 40 conversations held out: the first by sha256 of 'a:<conversation id>'",
    "limit": None,
    "history": "full",
    "passage": "own",
    "response": "own",
    "derived_from": [],
    "conversations": 80,
    "conversations_in_all": 120,
    "turns": 960,
    "examples": 950,
    "feeds": {"retrieval": 950, "response": 940},
    "notes": ["10 turns feed no objective"],
}
FINDING: dict[str, Any] = {
    "source": "topi",
    "check": "same-rewrites",
    "severity": "warning",
    "count": 3,
    "of": 900,
    "message": "3 of 900 turns have a human rewrite that was trained on",
    "examples": ["a_1 = b_2"],
}
SIGNATURE = "nDCG@3|gain:exp|protocol:topiocqa|turns:judged"


def results(**changes: Any) -> Results:
    metric = {"protocol": "topiocqa", "side": "ranking", "n_turns": 480, "n_conversations": 40, "n_missing": 0, "turn_set": "judged"}
    return Results.model_validate(
        {
            "convbench_version": "1.0.0",
            "system": {"kind": "unified", "name": "trained", "model": {"model": "/home/somebody/trained"}},
            "dataset": {
                "name": "topiocqa",
                "split": "dev",
                "options": {},
                "tier": "gold-union",
                "collection_sha256": "ef" * 32,
                "passages": 1000,
                "turnset_sha256": "12" * 32,
                "n_conversations": 40,
                "n_turns": 480,
                "n_judged": 480,
                "licence": "CC BY-NC-SA 4.0",
            },
            "conditions": {"history": "full"},
            "seed": 0,
            "run_sha256": "34" * 32,
            "metrics": [
                {**metric, "name": "nDCG@3", "signature": SIGNATURE, "value": 0.684, "ci": (0.64, 0.73)},
                {**metric, "name": "bertscore", "signature": "", "value": None, "reason": "no model"},
                {**metric, "name": "length", "signature": "length|norm:squad", "value": 11.25, "ci": (10.0, 12.5), "scale": "any"},
            ],
            "cost": {
                "parameters": 1,
                "models": {},
                "index_bytes": 0,
                "indexes": {},
                "turns": 480,
                "tokens_in": 0,
                "tokens_out": 0,
                "forward_passes": 0,
                "phases": [],
                "recall": None,
                "environment": None,
            },
            "truncation": {"n_turns": 480, "n_truncated": 0, "share": 0.0, "by": {}},
            "packages": {},
            "warnings": ["40 of 120 conversations: not a result on topiocqa"],
            **changes,
        }
    )


def facts(**changes: Any) -> CardFacts:
    values: dict[str, Any] = {
        "name": "a small unified model",
        "base": Base("sentence-transformers/all-MiniLM-L6-v2", "1110a24", {"model.safetensors": "53" * 32}, "Apache-2.0"),
        "sources": [SOURCE],
        "contamination": {"topiocqa dev, held-out part": [FINDING]},
        "objectives": {"retrieval": 1.0, "response": 0.5, "identification": 0.1},
        "settings": {"learning_rate": 5e-5, "lora": {"rank": 8, "targets": ["q_proj", "v_proj"]}},
        "seeds": {"order": 3},
        "steps": 120,
        "examples": 2880,
        "tokens": 700_000,
        "seconds": 1234.5,
        "machine": {"device": "cpu", "threads": 2},
    }
    return CardFacts(**(values | changes))
