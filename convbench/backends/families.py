"""What a ``model_type`` is to transformers, by its own tables."""

from __future__ import annotations

from collections.abc import Iterable

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
    """Whether it is a masked language model that ``is_decoder`` makes causal."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    return can_write(model_type) and model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES
