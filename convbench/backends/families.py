"""What a ``model_type`` is to transformers, by its own tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

COUNT_POSITIONS_FROM_PADDING = frozenset(
    ["camembert", "data2vec-text", "ibert", "longformer", "luke", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta"]
)
"""Model types whose positions start after the padding id, so that their table has that many unusable rows."""


def model_types() -> Iterable[str]:
    """Every model type that transformers knows."""
    from transformers import CONFIG_MAPPING

    return list(CONFIG_MAPPING.keys())


def can_write(model_type: str) -> bool:
    """Whether there is a causal language model of this type."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES


def is_bert_like(model_type: str) -> bool:
    """Whether it is a masked language model that ``is_decoder`` makes causal; BART and its kin stand in that table with both halves."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    masked = MODEL_FOR_MASKED_LM_MAPPING_NAMES.get(model_type, "ForConditionalGeneration")
    return can_write(model_type) and not masked.endswith("ForConditionalGeneration")


def predicts_masked_words(model_type: str) -> bool:
    """Whether there is a masked language model of this type that is an encoder alone."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    kind = MODEL_FOR_MASKED_LM_MAPPING_NAMES.get(model_type)
    return kind is not None and not kind.endswith("ForConditionalGeneration")


def body_prefix(model_type: str) -> str:
    """What the names of the body's tensors begin with where a head stands beside it, such as ``model.``."""
    from transformers import CONFIG_MAPPING, AutoModel

    kinds: Any = AutoModel._model_mapping.get(CONFIG_MAPPING[model_type], None)
    body = kinds[0] if isinstance(kinds, tuple) else kinds
    return f"{getattr(body, 'base_model_prefix', None) or 'model'}."
