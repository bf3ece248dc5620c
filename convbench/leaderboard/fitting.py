"""Whether a card and a run belong on a track: turns, dataset, collection, conditions. What packing refuses, reading refuses."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from convbench.leaderboard.card import FILE, Card
from convbench.leaderboard.names import printable
from convbench.leaderboard.places import RUN
from convbench.leaderboard.safe_read import refused
from convbench.leaderboard.track import Track
from convbench.leaderboard.verified import Finding
from convbench.types import Run, TurnSet

_SHOWN = 3
_UNBOUND = ("oracle", "random")
"""Kinds that show a ceiling or a floor; what runs may see does not bind them."""


def misfits(card: Card, run: Run, track: Track, turns: Sequence[str] | None = None) -> list[Finding]:
    """Everything that keeps a card and its run off a track.

    Args:
        card: The card.
        run: The run.
        track: The track.
        turns: The ids of the track's turns, in their order, where the dataset is at hand. Without them the turns are compared by digest,
            which tells that they differ but not where, and needs them in the dataset's order.
    """
    own = turns if turns is not None else tuple(run.records)
    return [
        *_other_place(card, run.header, track),
        *(_uncovered(run, turns) if turns is not None else ()),
        *_other_digests(card, run, track, own),
        *_other_conditions(card, run, track),
        *_other_sides(run, track),
    ]


def _other_place(card: Card, header: Mapping[str, Any], track: Track) -> Iterator[Finding]:
    if card.track != track.name:
        yield refused("other-track", f"{FILE}: track: {printable(card.track)!r}, but the submission stands in {track.name}: move it")
    for key, expected in (("dataset", track.dataset), ("split", track.split)):
        found = header.get(key)
        if None not in (found, expected) and found != expected:
            yield refused("other-dataset", f"{RUN}: its header says {key} {printable(str(found))!r}, the track is of {expected!r}")


def _uncovered(run: Run, turns: Sequence[str]) -> Iterator[Finding]:
    """Turns that were left out, and turns that the track does not have."""
    if missing := [turn_id for turn_id in turns if turn_id not in run.records]:
        message = f"{RUN}: {len(missing)} of the track's {len(turns)} turns are left out ({_first(missing)}); every turn needs a record"
        yield refused("turns-missing", message)
    known = set(turns)
    if extra := [turn_id for turn_id in run.records if turn_id not in known]:
        yield refused("turns-extra", f"{RUN}: {len(extra)} turns are not among the track's {len(turns)} ({_first(extra)}); remove them")


def _other_digests(card: Card, run: Run, track: Track, turns: Sequence[str]) -> Iterator[Finding]:
    """Turn set and collection: what the card says, what the run's header says, and what its turns give, against the track's."""
    collection = run.header.get("collection")
    searched = collection.get("sha256") if isinstance(collection, dict) else None
    given = TurnSet(tuple(turns), "").sha256
    stated: tuple[tuple[str, str, Any], ...] = (
        ("turnset_sha256", FILE, card.turnset_sha256),
        ("turnset_sha256", RUN, run.header.get("turnset_sha256")),
        ("collection_sha256", FILE, card.collection_sha256),
        ("collection_sha256", RUN, searched),
    )
    if isinstance(collection, dict) and collection.get("origin") == "pooled":
        yield refused("other-collection", f"{RUN}: its header says that a pool was searched: run on the track's collection")
    for key, file, found in stated:
        expected = getattr(track, key)
        if None not in (found, expected) and found != expected:
            what = "turn set" if key == "turnset_sha256" else "collection"
            message = f"{file}: {key} is {printable(str(found))}, the track's is {expected}: run on the track's {what}"
            yield refused(f"other-{what.replace(' ', '-')}", message)
    if track.turnset_sha256 not in (None, given):
        message = (
            f"{RUN}: its {len(turns)} turns are not the track's, in the dataset's order (digest {given}, expected {track.turnset_sha256}): "
            "turns are left out, added or in another order"
        )
        yield refused("turns-differ", message)


def _other_conditions(card: Card, run: Run, track: Track) -> Iterator[Finding]:
    """What a run may see. A card that does not say is marked: nobody can tell."""
    if card.kind in _UNBOUND:
        return
    responds = any(record.response is not None for record in run.records.values())
    asked: tuple[tuple[str, str | None, Collection[str]], ...] = (
        ("history", card.history, track.conditions.history),
        ("evidence", card.evidence, track.conditions.evidence if responds else ()),
    )
    for key, found, allowed in asked:
        if allowed and found is None:
            yield Finding(check="conditions-unknown", severity="flag", message=f"{FILE}: {key} is not given; expected {_one_of(allowed)}")
        elif allowed and found not in allowed:
            message = f"{FILE}: {key} is {printable(str(found))!r}, the track takes {_one_of(allowed)}"
            yield refused("other-conditions", message)


def _other_sides(run: Run, track: Track) -> Iterator[Finding]:
    ranked = any(record.passages for record in run.records.values())
    responds = any(record.response is not None for record in run.records.values())
    if not (ranked and track.retrieval) and not (responds and track.response):
        wanted = [name for name, side in (("passages", track.retrieval), ("responses", track.response)) if side]
        yield refused("nothing-to-score", f"{RUN}: no turn has {' or '.join(wanted) or 'anything that the track scores'}")


def _first(ids: Sequence[str]) -> str:
    more = ", ..." if len(ids) > _SHOWN else ""
    return f"first: {', '.join(map(printable, ids[:_SHOWN]))}{more}" if len(ids) > 1 else printable(ids[0])


def _one_of(allowed: Collection[str]) -> str:
    return " or ".join(map(repr, allowed))
