from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from convbench.retrieval.open import RetrieverConfig
from convbench.retrieval.rerank import RerankConfig

GUIDE = (Path(__file__).parents[2] / "docs" / "retrievers.md").read_text(encoding="utf-8")
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)]
RETRIEVERS: TypeAdapter[Any] = TypeAdapter(RetrieverConfig)


@pytest.mark.parametrize("block", [block["retriever"] for block in BLOCKS if "retriever" in block], ids=lambda block: block["type"])
def test_retrievers_of_the_guide_are_read(block: dict[str, Any]) -> None:
    assert RETRIEVERS.validate_python(block).type == block["type"]


def test_values_that_the_guide_shows_are_the_defaults() -> None:
    shown = {block["retriever"]["type"]: block["retriever"] for block in BLOCKS if "retriever" in block}
    sparse = RETRIEVERS.validate_python(
        {"type": "sparse", "encoder": {key: shown["sparse"]["encoder"][key] for key in ("model", "revision")}}
    )
    assert RETRIEVERS.validate_python(shown["sparse"]) == sparse
    fusion = RETRIEVERS.validate_python({key: shown["fusion"][key] for key in ("type", "retrievers")})
    assert RETRIEVERS.validate_python(shown["fusion"]) == fusion
    (reranker,) = (block for block in BLOCKS if "retriever" not in block)
    assert RerankConfig(**reranker) == RerankConfig(model=reranker["model"])


def test_every_type_has_a_place_in_the_guide() -> None:
    with pytest.raises(ValidationError) as refused:
        RETRIEVERS.validate_python({"type": "?"})
    known = refused.value.errors()[0]["ctx"]["expected_tags"].replace("'", "").split(", ")
    assert known == re.findall(r"^\| `(\w+)` \|", GUIDE, re.MULTILINE)
