"""A study of a tiny checkpoint on a mini set: three arms of a few steps, and one that is put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from training.joint import configured

LENGTHS = {"session": 64, "passage": 48, "evidence": 48, "prompt": 160}


def recipe(**changes: Any) -> dict[str, Any]:
    model = configured("llama", lengths=LENGTHS).model_dump(mode="json")
    return {
        "name": "tiny",
        "model": model,
        "base_licence": "Apache-2.0",
        "mixture": {
            "sources": [{"name": "topi", "dataset": "topiocqa", "objectives": ["retrieval", "response", "identification"], "limit": 3}]
        },
        "objectives": {
            "weights": {"retrieval": 1.0, "response": 0.3, "identification": 0.2, "grounded": 0.2},
            "temperature": 0.05,
            "new_tokens": 16,
            "negatives": 1,
            "earlier_responses": 1,
        },
        "training": {"steps": 2, "batch_size": 4, "learning_rate": 1e-3, "device": "cpu", "save_every": 1},
        "evaluation": {
            "system": {"passages": 1, "k": 5, "decoding": {"max_new_tokens": 3}},
            "metrics": ["retrieval", "token-f1"],
            "test": [{"name": "topiocqa", "limit": 4}],
        },
        **changes,
    }


def study(**changes: Any) -> dict[str, Any]:
    return {
        "name": "tiny-study",
        "recipe": "train.yaml",
        "seeds": [0, 1],
        "arms": {
            "full": {},
            "retrieval-only": {
                "set": {
                    "objectives.weights.response": 0,
                    "objectives.weights.identification": 0,
                    "objectives.weights.grounded": 0,
                    "evaluation.system.decoding": None,
                }
            },
            "separate": {"retriever": "retrieval-only", "generator": "full"},
        },
        "evidence": ["other-turn"],
        "agreement": ["own"],
        "measures": ["nDCG@3", "F1-max", "inconsistent", "agreement-own"],
        "hit_depth": 3,
        "good": 0.05,
        "claims": [
            {"text": "joint retrieves better than separate", "arm": "full", "against": "separate", "measure": "nDCG@3"},
            {"text": "responses depend on the passages", "arm": "full", "against": "full", "evidence": "other-turn", "measure": "F1-max"},
            {"text": "retrieval alone responds", "arm": "retrieval-only", "against": "full", "measure": "F1-max"},
        ],
        **changes,
    }


def write_files(folder: Path, recipe_values: dict[str, Any], study_values: dict[str, Any]) -> Path:
    """Both files; returns the study's."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.yaml").write_text(yaml.safe_dump(recipe_values, sort_keys=False), encoding="utf-8")
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study_values, sort_keys=False), encoding="utf-8")
    return path
