"""A checkpoint examined: its files, every probe of what was loaded, and what is sent for one turn."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from convbench.backends.checkpoint import Checkpoint, open_checkpoint
from convbench.backends.encoder import beside
from convbench.backends.finding import Finding, failed, ok
from convbench.backends.known import profile_of
from convbench.backends.loaded import Kind, Loaded, assemble, can_respond
from convbench.backends.placement import ModelConfig
from convbench.backends.probes import probe_all
from convbench.backends.shown import Shown, example, shown
from convbench.errors import UsageError


@dataclass(frozen=True, slots=True)
class Examined:
    """What ``convbench check`` says.

    Attributes:
        checkpoint: Its label.
        profile: Where its profile comes from.
        device: Where it was tried out.
        dtype: In which precision.
        findings: What the probes found, in order.
        sent: A turn's session, passage and, where it responds, the end of its prompt.
    """

    checkpoint: str
    profile: str
    device: str
    dtype: str
    findings: tuple[Finding, ...]
    sent: dict[str, Shown]

    @property
    def failure(self) -> Finding | None:
        """The first probe that failed."""
        return next((finding for finding in self.findings if finding.status == "failed"), None)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        place = {"checkpoint": self.checkpoint, "profile": self.profile, "device": self.device, "dtype": self.dtype}
        sent = {name: each.as_json() for name, each in self.sent.items()}
        return {**place, "findings": [asdict(finding) for finding in self.findings], "sent": sent}


def examine(config: ModelConfig, *, offline: bool) -> Examined:
    """Loads a checkpoint and tries everything out.

    Raises:
        ResourceError: Its files cannot be had or are damaged, so that there is nothing to try.
        UsageError: Nothing says how it wants to be used.
    """
    checkpoint = open_checkpoint(config.model, offline=offline, revision=config.revision)
    profile, origin = profile_of(checkpoint, config.profile)
    kind: Kind = "decoder" if can_respond(checkpoint, profile) else "encoder"
    loaded = assemble(config, kind, offline=offline)
    findings = [_files(checkpoint, kind), *_other_encoder(loaded, offline=offline), *probe_all(loaded)]
    try:
        sent = shown(loaded, *example())
    except UsageError as error:
        sent = {}
        expected = "room for a turn of a bundled conversation"
        findings.append(failed("a turn's inputs", str(error), expected, "raise lengths or shorten the form"))
    return Examined(checkpoint.label, origin, loaded.device, loaded.dtype, tuple(findings), sent)


def _files(checkpoint: Checkpoint, kind: Kind) -> Finding:
    """Whatever is wrong with them was refused before."""
    adapter = f", adapter of {len(checkpoint.adapter_tensors)} tensors on {checkpoint.base.name}" if checkpoint.base else ""
    return ok("files", f"{checkpoint.model_type}, {checkpoint.parameters_of(kind):,} parameters{adapter}")


def _other_encoder(loaded: Loaded, *, offline: bool) -> list[Finding]:
    """Where another checkpoint encodes the other side, the two must have vectors of one length."""
    profile = loaded.profile
    name, side = profile.query_model or profile.passage_model, "queries" if profile.query_model else "passages"
    if name is None:
        return []
    other = open_checkpoint(beside(loaded.checkpoint, name), offline=offline)
    size, own = (each.config.get("hidden_size") for each in (other, loaded.checkpoint))
    if size != own:
        do = f"name the encoder of {side} that belongs to it"
        return [failed("other encoder", f"{other.label} has vectors of {size} numbers for {side}", f"{own}", do)]
    return [ok("other encoder", f"{side} are encoded by {other.label}: check it as well")]
