"""BERTScore by bert-score's own embedding, idf and matching code, on a model that is loaded as convbench loads it."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

from bert_score.utils import bert_cos_score_idf, get_idf_dict

from convbench.metrics.bert_model import BertModel


class Text(str):
    """A text that hashes alike in every process: bert-score forms its batches in the order of a set, and batches move the last digit."""

    __slots__ = ()

    def __hash__(self) -> int:
        return zlib.crc32(self.encode(errors="surrogatepass"))


def reference_idf(model: BertModel, references: Sequence[str]) -> Mapping[int, float]:
    return get_idf_dict(list(references), model._tokenizer, nthreads=0)


def reference_scores(
    model: BertModel, pairs: Sequence[tuple[str, str]], idf: Mapping[int, float] | None = None, batch_size: int = 64
) -> list[tuple[float, float, float]]:
    candidates, references = ([Text(pair[side]) for pair in pairs] for side in (0, 1))
    weights = idf
    if weights is None:
        weights = defaultdict(lambda: 1.0)
        weights |= {model._tokenizer.sep_token_id: 0.0, model._tokenizer.cls_token_id: 0.0}
    scores = bert_cos_score_idf(model._model, references, candidates, model._tokenizer, weights, device="cpu", batch_size=batch_size)
    return [tuple(row) for row in scores.tolist()]
