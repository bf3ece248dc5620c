"""Licences are shown and accepted once; the acceptance is kept with the files, and asked for anew when the terms change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone

from convbench.datasets.download.manifest import Licence
from convbench.datasets.download.places import Places
from convbench.io.atomic import write_text
from convbench.io.digests import value_sha256


def accepted(places: Places, licences: Sequence[Licence]) -> bool:
    """Whether just these terms were accepted before."""
    try:
        known = json.loads(places.licences.read_text(encoding="utf-8"))
        return bool(known["sha256"] == _digest(licences))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def remember(places: Places, licences: Sequence[Licence]) -> None:
    """Writes down that these terms were accepted."""
    values = {
        "sha256": _digest(licences),
        "accepted": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "licences": [licence.model_dump() for licence in licences],
    }
    write_text(places.licences, json.dumps(values, ensure_ascii=False, indent=2) + "\n")


def shown_licences(dataset: str, licences: Sequence[Licence], citation: str) -> str:
    """The terms as they are put before the user."""
    lines = [f"{dataset} comes under these terms:"]
    lines += [f"- {each.name} ({each.covers}): {each.terms}\n  {each.url}" for each in licences]
    return "\n".join([*lines, f"Cite: {citation}"])


def _digest(licences: Sequence[Licence]) -> str:
    return value_sha256([licence.model_dump() for licence in licences])
