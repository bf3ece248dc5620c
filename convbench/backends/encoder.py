"""A text encoder on any checkpoint, as its profile says."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from convbench.backends.base import Encoded
from convbench.backends.checkpoint import Checkpoint, open_checkpoint
from convbench.backends.encode import encode_inputs
from convbench.backends.inputs import unpooled
from convbench.backends.known import profile_of
from convbench.backends.loaded import Kind, Loaded, can_respond, load, refuse_int8, resolved
from convbench.backends.placement import ModelConfig
from convbench.backends.profile import Profile
from convbench.meter import Meter

VERSION = 3


class HFEncoder:
    """Encodes with transformers; nothing is loaded before the first text.

    Args:
        config: The checkpoint and how to run it.
        offline: Refuse the network.
        to_respond: Load what writes responses too, where the checkpoint has it.
    """

    def __init__(self, config: ModelConfig, *, offline: bool = False, to_respond: bool = False) -> None:
        self.config = config
        self._offline, self._to_respond = offline, to_respond

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint that was named; where there are two encoders, one of them."""
        return open_checkpoint(self.config.model, offline=self._offline, revision=self.config.revision)

    @cached_property
    def profile(self) -> Profile:
        """How the checkpoint is used."""
        return profile_of(self.checkpoint, self.config.profile)[0]

    @cached_property
    def _others(self) -> dict[str, Checkpoint]:
        """The checkpoint of the other side, under ``queries`` or ``passages``, where there is one."""
        named = {"queries": self.profile.query_model, "passages": self.profile.passage_model}
        return {side: open_checkpoint(beside(self.checkpoint, name), offline=self._offline) for side, name in named.items() if name}

    @property
    def kind(self) -> Kind:
        """What is loaded of the checkpoint; raises ``UsageError`` where it is to write in 8-bit integers."""
        kind: Kind = "decoder" if self._to_respond and can_respond(self.checkpoint, self.profile) else "encoder"
        refuse_int8(self.config, kind)
        return kind

    @cached_property
    def _own(self) -> Loaded:
        return load(self.config, self.kind, offline=self._offline)

    @cached_property
    def queries(self) -> Loaded:
        """What encodes queries."""
        return self._side("queries")

    @cached_property
    def passages(self) -> Loaded:
        """What encodes passages."""
        return self._side("passages")

    def load(self) -> None:
        """Loads what encodes queries and passages, so that it is not loaded within the first batch."""
        _ = self.queries, self.passages

    def _side(self, side: str) -> Loaded:
        if side not in self._others:
            return self._own
        profile = {**self.profile.model_dump(), "query_model": None, "passage_model": None, "responds": False}
        changes = {"model": self._others[side].located.name, "revision": None, "profile": profile}
        return load(self.config.model_copy(update=changes), "encoder", offline=self._offline)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.passages.dim

    @property
    def parameters(self) -> dict[str, int]:
        """Parameters that are loaded of each checkpoint, by its label."""
        others = {checkpoint.label: checkpoint.parameters_of("encoder") for checkpoint in self._others.values()}
        return {self.checkpoint.label: self.checkpoint.parameters_of(self.kind), **others}

    def describe(self) -> dict[str, Any]:
        """The checkpoints' files, the profile, and the versions that change vectors."""
        others = {side: checkpoint.describe() for side, checkpoint in self._others.items()}
        return {**describe_model(self.config, self.checkpoint, self.profile, version=VERSION), "as": self.kind, **others}

    def encode_queries(self, texts: Sequence[str], meter: Meter) -> Encoded:
        """Encodes queries, cut on the right where they are too long."""
        profile, loaded = self.profile, self.queries
        length = loaded.lengths.session
        return _encode(loaded, texts, profile.query_prefix, profile.query_suffix, length, self.config.batch_tokens, meter)

    def encode_passages(self, texts: Sequence[str], meter: Meter) -> Encoded:
        """Encodes passages, cut on the right where they are too long."""
        profile, loaded = self.profile, self.passages
        length = loaded.lengths.passage
        return _encode(loaded, texts, profile.passage_prefix, profile.passage_suffix, length, self.config.batch_tokens, meter)


def beside(checkpoint: Checkpoint, name: str) -> str:
    """A checkpoint that another one's profile names: a folder as seen from the other's, or what the name is anywhere."""
    folder = checkpoint.located.path / name
    return str(folder) if folder.is_dir() else name


def describe_model(config: ModelConfig, checkpoint: Checkpoint, profile: Profile, *, version: int) -> dict[str, Any]:
    """Everything that changes what a checkpoint computes, batches included: they change the last digits."""
    import torch
    import transformers

    device, dtype = resolved(config, checkpoint)
    described = {**checkpoint.describe(), "profile": profile.model_dump(mode="json"), "version": version}
    place = {"device": device, "dtype": dtype, "batch_tokens": config.batch_tokens}
    return {**described, **place, "torch": torch.__version__, "transformers": transformers.__version__}


def _encode(loaded: Loaded, texts: Sequence[str], prefix: str, suffix: str, length: int, batch_tokens: int, meter: Meter) -> Encoded:
    """Writes the inputs, equal ones once, and encodes them."""
    form = loaded.form
    end = form.ids(suffix) if suffix else []
    cuts = [form.fit(ids, end, length) for ids in form.all_ids([prefix + form.plain(text) for text in texts])]
    distinct = list(dict.fromkeys(cut.ids for cut in cuts))
    vectors = encode_inputs(loaded, distinct, meter, batch_tokens=batch_tokens, skip=unpooled(loaded, prefix))
    rows = {ids: row for row, ids in enumerate(distinct)}
    chosen = [rows[cut.ids] for cut in cuts]
    return Encoded(vectors[chosen], tuple(len(cut.ids) for cut in cuts), tuple(cut.dropped for cut in cuts))
