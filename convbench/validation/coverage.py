"""A file's turns against a dataset's: what is missing, what is too much, and whether another split or numbering was meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from convbench.datasets.loading import dataset_facts, open_dataset
from convbench.errors import ConvbenchError
from convbench.validation.problems import Findings
from convbench.validation.target import Target

_NUMBERINGS: Mapping[str, Callable[[str], str]] = {
    "'_' before the turn's number instead of '-'": lambda id_: re.sub(r"[-:/#](?=[0-9]+$)", "_", id_),
    "the turns counted from 1 instead of 0": lambda id_: re.sub(r"[-_:/#](?:q#)?([0-9]{1,9})$", lambda found: f"_{int(found[1]) + 1}", id_),
    "what stands before the conversation's number left out": lambda id_: re.sub(r"^.*?([0-9]+_[0-9]+)$", r"\1", id_),
}
"""What would make the turn ids fit -> how."""


_LONGEST_ID = 200
"""Characters of an id that numbering is looked for in: none of the field's comes near, and patterns are slow on long ones."""


def check_turns(lines: Mapping[str, int | None], target: Target, required: Collection[str], findings: Findings) -> None:
    """Compares turn ids.

    Args:
        lines: The file's turns, each with the line where it first appears.
        target: What the file should be about.
        required: The turns that a measure averages over; a file may lack others.
        findings: Gets what differs.
    """
    turns = target.dataset.turns
    for turn in turns:
        if turn.id not in lines:
            check = "missing-turns" if turn.id in required else "missing-unscored-turns"
            findings.add(check, turn.id, dataset=target.label, of=len(turns))
    check_extra_turns(lines, target, findings)


def check_extra_turns(lines: Mapping[str, int | None], target: Target, findings: Findings) -> None:
    """Turns that the dataset does not have, and why that may be."""
    known = {turn.id for turn in target.dataset.turns}
    extra = [turn_id for turn_id in lines if turn_id not in known]
    for turn_id in extra:
        findings.add("extra-turns", turn_id, lines[turn_id], dataset=target.label)
    fitting = len(lines) - len(extra)
    if extra and (found := _better_numbering(lines, known, fitting)):
        findings.add("wrong-numbering", fits=f"{found[1]} of {len(lines)} would fit with {found[0]}, now {fitting}")
    elif 2 * fitting < len(lines) and (found := _better_split(lines, target, fitting)):
        findings.add("wrong-split", fits=f"{found[1]} of {len(lines)} turns are in {found[0]!r}, {fitting} in {target.dataset.split!r}")


def check_header(header: Mapping[str, object], target: Target, findings: Findings) -> None:
    """The dataset and split that a joint run says it is of."""
    dataset = target.dataset
    split = str(header.get("split", dataset.split))
    if header.get("dataset", dataset.name) not in (dataset.name, target.request.name):
        findings.add("header", f"dataset {header['dataset']!r:.60}", dataset=target.label)
    elif dataset_facts(target.request).splits.get(split, split) != dataset.split:
        findings.add("header", f"split {split!r:.60}", dataset=target.label)


def _better_numbering(turn_ids: Iterable[str], known: Collection[str], fitting: int) -> tuple[str, int] | None:
    """The change of ids with which most fit, and how many, where that are more than now."""
    ids = [turn_id for turn_id in turn_ids if len(turn_id) <= _LONGEST_ID]
    counted = [(what, sum(change(turn_id) in known for turn_id in ids)) for what, change in _NUMBERINGS.items()]
    best = max(counted, key=lambda pair: pair[1])
    return best if best[1] > fitting else None


def _better_split(turn_ids: Collection[str], target: Target, fitting: int) -> tuple[str, int] | None:
    """The split that has most of the turns, and how many, where that are more than in this one; only what is there is looked at."""
    if target.request.data is None:
        return None
    counted = []
    for split in sorted({*dataset_facts(target.request).splits.values()} - {target.dataset.split}):
        try:
            other = open_dataset(replace(target.request, split=split, rewrites=None, limit=None, conversations=None))
        except ConvbenchError:
            continue  # its files are not there, or not in order: nothing can be said of it
        counted.append((split, len({turn.id for turn in other.turns} & set(turn_ids))))
    best = max(counted, key=lambda pair: pair[1], default=None)
    return best if best and best[1] > fitting else None
