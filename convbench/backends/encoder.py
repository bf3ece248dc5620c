"""A text encoder on any checkpoint, as its profile says."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from convbench.backends.base import Encoded
from convbench.backends.checkpoint import Checkpoint, open_checkpoint
from convbench.backends.encode import encode_inputs
from convbench.backends.known import profile_of
from convbench.backends.loaded import Loaded, load, resolved
from convbench.backends.placement import ModelConfig
from convbench.backends.profile import Profile
from convbench.meter import Meter

VERSION = 2


class HFEncoder:
    """Encodes with transformers; nothing is loaded before the first text.

    Args:
        config: The checkpoint and how to run it.
        offline: Refuse the network.
    """

    def __init__(self, config: ModelConfig, *, offline: bool = False) -> None:
        self.config = config
        self._offline = offline

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint's files; where there are two encoders, the one of passages."""
        return open_checkpoint(self.config.model, offline=self._offline, revision=self.config.revision)

    @cached_property
    def profile(self) -> Profile:
        """How the checkpoint is used."""
        return profile_of(self.checkpoint, self.config.profile)[0]

    @cached_property
    def _query_checkpoint(self) -> Checkpoint:
        own = self.profile.query_model
        return open_checkpoint(own, offline=self._offline) if own else self.checkpoint

    @cached_property
    def _passages(self) -> Loaded:
        return load(self.config, "encoder", offline=self._offline)

    @cached_property
    def _queries(self) -> Loaded:
        own = self.profile.query_model
        if own is None:
            return self._passages
        config = self.config.model_copy(update={"model": own, "revision": None, "profile": self.profile.model_dump()})
        return load(config, "encoder", offline=self._offline)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._passages.model.config.hidden_size)

    @property
    def parameters(self) -> dict[str, int]:
        """Parameters of each checkpoint, by its label."""
        return {checkpoint.label: checkpoint.parameters for checkpoint in (self.checkpoint, self._query_checkpoint)}

    def describe(self) -> dict[str, Any]:
        """The checkpoints' files, the profile, and the versions that change vectors."""
        return describe_model(self.config, self.checkpoint, self.profile, queries=self._query_checkpoint, version=VERSION)

    def encode_queries(self, texts: Sequence[str], meter: Meter) -> Encoded:
        """Encodes queries, cut on the right where they are too long."""
        profile, loaded = self.profile, self._queries
        return _encode(loaded, texts, profile.query_prefix, profile.query_suffix, loaded.lengths.session, self.config.batch_tokens, meter)

    def encode_passages(self, texts: Sequence[str], meter: Meter) -> Encoded:
        """Encodes passages, cut on the right where they are too long."""
        profile, loaded = self.profile, self._passages
        return _encode(loaded, texts, profile.passage_prefix, profile.passage_suffix, loaded.lengths.passage, self.config.batch_tokens, meter)


def encode_passages(loaded: Loaded, texts: Sequence[str], batch_tokens: int, meter: Meter) -> Encoded:
    """Encodes passages with a model that is loaded already."""
    profile = loaded.profile
    return _encode(loaded, texts, profile.passage_prefix, profile.passage_suffix, loaded.lengths.passage, batch_tokens, meter)


def describe_model(
    config: ModelConfig, checkpoint: Checkpoint, profile: Profile, *, version: int, queries: Checkpoint | None = None
) -> dict[str, Any]:
    """Everything that changes what a checkpoint computes, batches included: they change the last digits."""
    import torch
    import transformers

    device, dtype = resolved(config, checkpoint)
    described = {**checkpoint.describe(), "profile": profile.model_dump(mode="json"), "version": version}
    if queries is not None and queries is not checkpoint:
        described["queries"] = queries.describe()
    place = {"device": device, "dtype": dtype, "batch_tokens": config.batch_tokens}
    return {**described, **place, "torch": torch.__version__, "transformers": transformers.__version__}


def _encode(loaded: Loaded, texts: Sequence[str], prefix: str, suffix: str, length: int, batch_tokens: int, meter: Meter) -> Encoded:
    """Writes the inputs, equal ones once, and encodes them."""
    form = loaded.form
    end = form.ids(suffix) if suffix else []
    cuts = [form.fit(ids, end, length) for ids in form.all_ids([prefix + form.plain(text) for text in texts])]
    distinct = list(dict.fromkeys(cut.ids for cut in cuts))
    skip = 0 if loaded.profile.pool_prefix else len(form.opening) + len(form.ids(prefix))
    vectors = encode_inputs(loaded, distinct, meter, batch_tokens=batch_tokens, skip=skip)
    rows = {ids: row for row, ids in enumerate(distinct)}
    chosen = [rows[cut.ids] for cut in cuts]
    return Encoded(vectors[chosen], tuple(len(cut.ids) for cut in cuts), tuple(cut.dropped for cut in cuts))
