"""BERTScore of responses: bert-score's numbers, by one model that is loaded once."""

from __future__ import annotations

import csv
import importlib.util
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import metadata
from pathlib import Path

from convbench.backends.locate import LocatedModel, locate_model
from convbench.errors import ResourceError, UsageError
from convbench.io.blobs import BlobCache
from convbench.io.cache import cache_root
from convbench.metrics.base import Against, Measure, Side, signature
from convbench.metrics.bert_compare import BertComparer, Weights
from convbench.metrics.bert_matching import Triple
from convbench.metrics.bert_model import BertModel
from convbench.metrics.responses import Compared, against, compared_texts, score_responses
from convbench.types import Score, Turn, TurnRecord

NAMES = ("bertscore-p", "bertscore-r", "bertscore-f1")
AUTO = ("roberta-large", "sentence-transformers/all-MiniLM-L6-v2")
"""What ``auto`` takes: the first that is on this machine. The first is bert-score's own choice for English."""


class BertScoreMetric:
    """BERTScore's precision, recall and F1, each the best over the references, as bert-score does it for lists of references.

    Texts are compared up to the model's limit; where one was cut, the score says so. An empty response, or none but empty references,
    scores 0 with a reason. Weights are read as fp32 from safetensors, and no code of a checkpoint is run.

    What is worth it is kept on disk (``bert_compare``): references are embedded once for all systems, and a response that two systems give
    is compared once. Whether it is there changes no value by more than the last digits.

    Args:
        model: A folder, a hub id, or ``auto`` (see ``AUTO``), which never downloads.
        num_layers: The layer to compare; by default bert-score's choice, for models unknown to it the one at 5/6 of the depth.
        idf: Weigh tokens by their inverse document frequency over the references that ``prepare`` is given.
        rescale: Rescale with bert-score's English baseline of the model.
        offline: Refuse the network.
        batch_size: Texts that go through the model together. Four times as many turns are scored together, for texts of like length
            are put into one batch.
        measures: Names of the measures, all with ``(knowledge)`` where the knowledge text is the reference.
        cache: Folder for what is kept; None: in convbench's cache.
        cache_megabytes: How large it may become; 0 keeps nothing.
    """

    name = "bertscore"
    version = 1
    needs: Side = "response"

    def __init__(
        self,
        model: str = "auto",
        num_layers: int | None = None,
        idf: bool = False,
        rescale: bool = False,
        offline: bool = False,
        batch_size: int = 64,
        measures: Sequence[str] = NAMES,
        cache: Path | None = None,
        cache_megabytes: int = 1024,
    ) -> None:
        if batch_size < 1:
            raise UsageError(f"bertscore: batch_size {batch_size}; expected 1 or more")
        if cache_megabytes < 0:
            raise UsageError(f"bertscore: cache_megabytes {cache_megabytes}; expected 0 or more")
        self._names = list(measures)
        self.against: Against
        self.against, bases = against(self.name, self._names)
        if unknown := [base for base in bases if base not in NAMES]:
            raise UsageError(f"bertscore: no measure {unknown[0]!r}; expected {', '.join(NAMES)}")
        self._columns = [NAMES.index(base) for base in bases]
        self.batch_size = 4 * batch_size
        self._name = model
        self._num_layers = num_layers
        self._uses_idf = idf
        self._rescales = rescale
        self._offline = offline
        self._texts_per_batch = batch_size
        self._idf: Weights | None = None
        self._cache_folder = cache
        self._cache_megabytes = cache_megabytes

    def measures(self) -> list[Measure]:
        """The measures asked for.

        Raises:
            ResourceError: The model cannot be had; its name, layer and limit are part of the signature.
        """
        model, transformers = self._model, metadata.version("transformers")
        parts = {
            "idf": "yes" if self._uses_idf else "no",
            "rescale": "en" if self._rescales else "no",
            "max": model.max_tokens,
            "refs": "max",
            "against": self.against,
            "bert_score": metadata.version("bert-score"),
            "transformers": ".".join(transformers.split(".")[:2]),
        }
        stems = {name: f"{name}|model:{self._located.label}|L{model.layers}" for name in self._names}
        return [Measure(name, signature(stem, **parts), scale="any") for name, stem in stems.items()]  # cosines may be negative

    def check_resources(self) -> None:
        """Finds the model (without loading it) and, for rescaling, its baseline.

        Raises:
            ResourceError: One of them cannot be had.
        """
        if self._rescales:
            _baseline_file(self._located)
        else:
            _ = self._located

    def prepare(self, references: Sequence[str]) -> None:
        """Computes the idf weights, once, from all the texts that responses will be compared with; does nothing without ``idf``."""
        if self._uses_idf:
            self._idf = Weights.of(self._model.idf(references))

    def score(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
        """Scores ``turns``.

        Raises:
            ResourceError: The model cannot be had.
            UsageError: ``idf`` without ``prepare``.
        """
        if self._uses_idf and self._idf is None:
            raise UsageError("bertscore: idf weights come from all references; call prepare(references) before score")
        compared = compared_texts(turns, records, self.against)
        texts = self._model.read(text for response, references in compared for text in (response, *references))
        pairs = dict.fromkeys((response, reference) for response, references in compared for reference in references)
        usable = [pair for pair in pairs if not any(texts[text].is_empty for text in pair)]
        rows = [(texts[response].row, texts[reference].row) for response, reference in usable]
        values = dict(zip(usable, self._comparer.compare(rows, self._idf or self._equal, self._texts_per_batch), strict=True))

        def compare(response: str, references: list[str]) -> Compared:
            if texts[response].is_empty:
                return [0.0] * len(self._names), "the response is empty"
            filled = [reference for reference in references if not texts[reference].is_empty]
            if not filled:
                return [0.0] * len(self._names), "every reference is empty"
            best = _best([values[response, reference] for reference in filled])
            if best is None:
                return [None] * len(self._names), "undefined: every token has the idf weight 0"
            reason = f"cut to {self._model.max_tokens} tokens" if any(texts[text].is_cut for text in (response, *filled)) else None
            rescaled = self._rescaled(best)
            return [rescaled[column] for column in self._columns], reason

        return score_responses(turns, records, self._names, compare, self.against)

    @cached_property
    def _located(self) -> LocatedModel:
        if self._name != "auto":
            return locate_model(self._name, offline=self._offline)
        for name in AUTO:
            try:
                return locate_model(name, offline=True)
            except ResourceError:
                continue
        raise ResourceError(f"bertscore: not computed: none of {', '.join(AUTO)} is on this machine; fetch one or name another model")

    @cached_property
    def _model(self) -> BertModel:
        return BertModel(self._located, self._num_layers)

    @cached_property
    def _equal(self) -> Weights:
        return Weights.of(self._model.equal_weights())

    @cached_property
    def _comparer(self) -> BertComparer:
        folder = self._cache_folder or cache_root()
        return BertComparer(self._model, BlobCache(folder / "bertscore" / "kept.sqlite", self._cache_megabytes))

    @cached_property
    def _baseline(self) -> Triple:
        with _baseline_file(self._located).open(newline="", encoding="utf-8") as file:
            rows = {int(row["LAYER"]): (float(row["P"]), float(row["R"]), float(row["F"])) for row in csv.DictReader(file)}
        return rows[self._model.layers]

    def _rescaled(self, values: Triple) -> Sequence[float]:
        if not self._rescales:
            return values
        return [(value - base) / (1 - base) for value, base in zip(values, self._baseline, strict=True)]


def _best(rows: list[Triple]) -> Triple | None:
    """The largest of each column over the references that could be weighed, or None if none could."""
    weighed = [row for row in rows if not any(map(math.isnan, row))]
    if not weighed:
        return None
    precision, recall, f1 = (max(column) for column in zip(*weighed, strict=True))
    return precision, recall, f1


def _baseline_file(located: LocatedModel) -> Path:
    """bert-score's table of baselines (without importing it, which loads matplotlib and pandas)."""
    spec = importlib.util.find_spec("bert_score")
    folders = spec.submodule_search_locations if spec else None
    if folders and not Path(located.name).is_dir():
        table = Path(folders[0]) / "rescale_baseline" / "en" / f"{located.name}.tsv"
        if table.is_file():
            return table
    raise ResourceError(f"bertscore: bert-score has no rescaling baseline for {located.label}; score it without rescale")
