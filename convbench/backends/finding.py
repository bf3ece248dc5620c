"""What a probe of a checkpoint found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "repaired", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe found.

    Attributes:
        name: The probe.
        status: ``repaired``: not as it should be, and set right here; ``skipped``: it does not apply.
        found: What is there.
        expected: What should be; empty where nothing is amiss.
        do: What to do, or what is done.
    """

    name: str
    status: Status
    found: str
    expected: str = ""
    do: str = ""

    @property
    def line(self) -> str:
        """All of it in one line."""
        parts = [f"{self.name}: {self.found}", f"expected {self.expected}" if self.expected else "", self.do]
        return "; ".join(part for part in parts if part)


def ok(name: str, found: str) -> Finding:
    """Nothing amiss."""
    return Finding(name, "ok", found)


def skipped(name: str, found: str) -> Finding:
    """The probe does not apply."""
    return Finding(name, "skipped", found)


def repaired(name: str, found: str, expected: str, do: str) -> Finding:
    """Set right."""
    return Finding(name, "repaired", found, expected, do)


def failed(name: str, found: str, expected: str, do: str) -> Finding:
    """Wrong, and to be set right by whoever brings the checkpoint."""
    return Finding(name, "failed", found, expected, do)
