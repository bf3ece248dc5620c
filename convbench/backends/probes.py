"""Is a loaded checkpoint in order? All probes for ``convbench check``, the cheap and decisive ones whenever a model is loaded."""

from __future__ import annotations

from collections.abc import Callable

from convbench.backends import number_probes, token_probes
from convbench.backends.calls import calling_transformers
from convbench.backends.finding import Finding
from convbench.backends.loaded import Loaded
from convbench.errors import ResourceError

Probe = Callable[[Loaded], Finding]

PROBES: tuple[Probe, ...] = (
    token_probes.head,
    token_probes.pad_token,
    token_probes.closing_tokens,
    token_probes.one_opening,
    token_probes.control_tokens,
    token_probes.room,
    number_probes.attention,
    number_probes.batches,
    number_probes.pooled_tokens,
    number_probes.vectors,
    number_probes.sharing,
    number_probes.writing,
)
DECISIVE: tuple[Probe, ...] = (
    token_probes.closing_tokens,
    token_probes.one_opening,
    number_probes.attention,
    number_probes.batches,
    number_probes.vectors,
    number_probes.writing,
)
"""What gives plausible, wrong results where it fails, and a few short forward passes show."""


def probe_all(loaded: Loaded) -> list[Finding]:
    """Every probe's finding, in order.

    Raises:
        ResourceError: The model cannot be read at all.
    """
    return [_finding(probe, loaded) for probe in PROBES]


def verify(loaded: Loaded) -> None:
    """Refuses a model that does not compute what its profile says.

    Raises:
        ResourceError: A decisive probe failed; the message is its line.
    """
    for probe in DECISIVE:
        finding = _finding(probe, loaded)
        if finding.status == "failed":
            raise ResourceError(f"{loaded.checkpoint.label}: {finding.line}")


def _finding(probe: Probe, loaded: Loaded) -> Finding:
    with calling_transformers(f"{loaded.checkpoint.label}: {loaded.checkpoint.model_type} models do not compute as decoders here do"):
        return probe(loaded)
