from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from bert_score.utils import get_model

from convbench.backends.locate import locate_model
from convbench.errors import ResourceError, UsageError
from convbench.metrics.bert_model import BertModel, cut

SMALL = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
ENCODER_DECODER = {
    "vocab_size": 60,
    "d_model": 16,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
}

CONFIGS: dict[str, dict[str, Any]] = {
    "bert": SMALL,
    "roberta": SMALL | {"pad_token_id": 1},
    "mpnet": SMALL | {"pad_token_id": 1},
    "electra": SMALL | {"embedding_size": 16},
    "deberta-v2": SMALL,
    "albert": SMALL | {"embedding_size": 8},
    "distilbert": {"vocab_size": 60, "dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 32},
    "xlnet": {"vocab_size": 60, "d_model": 16, "n_layer": 3, "n_head": 2, "d_inner": 32},
    "xlm": {"vocab_size": 60, "emb_dim": 16, "n_layers": 3, "n_heads": 2, "n_words": 60},
    "bart": ENCODER_DECODER,
    "pegasus": ENCODER_DECODER,
    "t5": {"vocab_size": 60, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 3, "num_heads": 2},
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_cuts_every_architecture_as_bert_score_does(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    config = transformers.AutoConfig.for_model(kind, **CONFIGS[kind])
    folder = tmp_path / kind  # bert-score looks for "t5" in the path
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    tokens = torch.randint(5, 60, (2, 7))
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])

    theirs = get_model(str(folder), num_layers=2)
    ours = cut(transformers.AutoModel.from_pretrained(folder).eval(), 2)
    whole = transformers.AutoModel.from_pretrained(folder).eval()
    whole = whole.encoder if hasattr(whole, "decoder") else whole
    with torch.no_grad():
        expected, found, uncut = (model(tokens, attention_mask=mask)[0][mask.bool()] for model in (theirs, ours, whole))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert not torch.allclose(found, uncut, atol=1e-3)


def test_an_architecture_without_a_stack_of_layers_is_refused() -> None:
    model = transformers.AutoModel.from_config(transformers.BertConfig(**SMALL))
    model.encoder.layer = torch.nn.Sequential(*model.encoder.layer)
    with pytest.raises(ResourceError, match="bert models have no stack of layers to cut"):
        cut(model, 2)


def test_the_default_layer_of_a_folder_is_at_five_sixths_of_its_depth(tiny_roberta: Path) -> None:
    located = locate_model(str(tiny_roberta), offline=True)
    assert BertModel(located).layers == 2
    assert BertModel(located, num_layers=3).layers == 3


@pytest.mark.parametrize("layers", [0, 4, -1])
def test_a_layer_that_is_not_there_is_refused(tiny_roberta: Path, layers: int) -> None:
    model = BertModel(locate_model(str(tiny_roberta), offline=True), layers)
    with pytest.raises(UsageError, match=rf"num_layers {layers}; roberta@\w+ has the layers 1-3"):
        _ = model.layers


def test_texts_without_a_token_and_texts_past_the_limit_are_known(tiny_roberta: Path) -> None:
    model = BertModel(locate_model(str(tiny_roberta), offline=True))
    fits, long = "the " * 30, "the " * 31
    assert model.max_tokens == 32
    read = model.read(["", " \n", "the river", fits, long, long])
    assert {text for text, one in read.items() if one.is_empty} == {"", " \n"}
    assert {text for text, one in read.items() if one.is_cut} == {long}
    assert read[long].row == read[fits].row
    assert model.read([]) == {}


def test_nothing_to_embed_needs_no_weights(tiny_roberta: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", None)
    assert BertModel(locate_model(str(tiny_roberta), offline=True)).embed([], 8) == []
