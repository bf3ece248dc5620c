"""Whether a system was trained on conversations of the test set, by what its card says it was trained on and what datasets are made of.

What makers answer is heard only where nothing is known of a source, or where they admit more than is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from convbench.datasets import DATASETS
from convbench.datasets.adapters import MINI
from convbench.datasets.origins import Origin, known_name, origins_of
from convbench.leaderboard.card import FILE, Card, TrainingCard
from convbench.leaderboard.names import printable
from convbench.leaderboard.sources import named_in, readings
from convbench.leaderboard.verified import Finding
from convbench.systems.competing import NO_COMPETITORS

Answer = Literal["no", "yes", "unknown"]


@dataclass(frozen=True, slots=True)
class TestSet:
    """What conversations a test set has.

    Attributes:
        dataset: The dataset.
        split: Its split.
        contains: Sources whose conversations it holds besides, as the track says.
    """

    __test__ = False  # no test of pytest's

    dataset: str
    split: str
    contains: tuple[str, ...] = ()

    @property
    def bundled(self) -> bool:
        """Whether it is a mini set, which was written for convbench and holds nothing of any other."""
        return self.split == MINI

    def origins(self) -> tuple[Origin, ...]:
        """What it holds of others."""
        if self.bundled:
            return ()
        stated = (Origin(origin=known_name(name) or name, holds="conversations", source="track.yaml") for name in self.contains)
        return (*origins_of(self.dataset, self.split), *stated)


@dataclass(frozen=True, slots=True)
class Contamination:
    """What follows from a card.

    Attributes:
        answer: ``yes``, ``no``, or ``unknown`` where nothing certain can be said.
        findings: Why.
    """

    answer: Answer
    findings: tuple[Finding, ...]


def contamination(card: Card, test: TestSet) -> Contamination:
    """Whether a system was trained on conversations of a test set.

    Args:
        card: The system's card.
        test: The test set.
    """
    if card.training is None:
        untrained = not card.checkpoints and card.parameters == 0
        if untrained or card.kind in NO_COMPETITORS:
            return Contamination("no", ())
        message = f"{FILE}: training is not given: whether it was trained on the test conversations is not known"
        return Contamination("unknown", (Finding(check="training-unknown", severity="note", message=message),))
    judged = [_judged(source, test) for source in card.training]
    answers = [answer for answer, _ in judged]
    order: tuple[Answer, ...] = ("yes", "unknown", "no")
    answer: Answer = next((answer for answer in order if answer in answers), "no")
    return Contamination(answer, tuple(finding for _, findings in judged for finding in findings))


def _judged(source: TrainingCard, test: TestSet) -> tuple[Answer, list[Finding]]:
    known, why = _known(source, test)
    said = f"{FILE}: trained on {_shown(source)}"
    if known == "yes":
        found = [Finding(check="trained-on-test", severity="flag", message=f"{said}: {why}")]
        if source.overlap == "none":
            message = f"{said}, and answers that it shares no conversation with the test set: {why}"
            found.append(Finding(check="overlap-denied", severity="flag", message=message))
        return "yes", found
    if source.overlap == "some":
        message = f"{said}, which shares conversations with the test set, as its makers say"
        return "yes", [Finding(check="trained-on-test", severity="flag", message=message)]
    if known == "no":
        return "no", [Finding(check="training-related", severity="note", message=f"{said}: {why}")] if why else []
    if source.overlap == "none" and known is None:
        message = f"{said}, of which nothing is known here; its makers say that it shares no conversation with the test set"
        return "no", [Finding(check="overlap-unchecked", severity="note", message=message)]
    reason = why or "nothing is known of it here, and its makers do not say what it shares with the test set"
    return "unknown", [Finding(check="overlap-unknown", severity="note", message=f"{said}: {reason}")]


def _known(source: TrainingCard, test: TestSet) -> tuple[Answer | None, str]:
    """What the table of origins says of a source, and why; None where it does not know the source."""
    found: list[tuple[Answer | None, str]] = []
    for named in named_in(source.source, source.split):
        said = [_of_split(named.name, split, test) for split in readings(named)]
        found += said if named.certain else [_of_uncertain(named.name, said, test)]
    order: tuple[Answer | None, ...] = ("yes", "unknown", None, "no")
    return min(found, key=lambda each: order.index(each[0]), default=(None, ""))


def _of_uncertain(name: str, said: Sequence[tuple[Answer, str]], test: TestSet) -> tuple[Answer | None, str]:
    """Of a source that a known name is only a part of: never ``no``, which would need to know the rest; not ``yes`` for the same reason."""
    if any(answer != "no" for answer, _ in (*said, _of_split(name, None, test))):
        return "unknown", f"it names {name} among other words, so what is meant is not certain: give its name and its split alone"
    return None, ""


def _of_split(name: str, split: str | None, test: TestSet) -> tuple[Answer, str]:
    """What is known of a split of a dataset; of all its splits where none is named."""
    if name == test.dataset:
        return _same_dataset(split, test)
    if split == MINI:
        return "no", ""
    held = list(_held(name, split))
    shared = [mine for mine in held if mine.holds == "conversations" and mine.origin in _conversations(test)]
    if certain := [mine.origin for mine in shared if _certain(mine, split)]:
        return "yes", f"both it and the test set ({test.dataset} {test.split}) have conversations of {certain[0]}"
    if shared:
        return "unknown", f"some of its splits have conversations of {shared[0].origin}, as the test set has: name the split"
    names = {mine.origin for mine in held}
    related = [origin for origin in test.origins() if origin.origin in names]
    return "no", f"the test set has {related[0].holds} of {related[0].origin}, and so has it; no conversation" if related else ""


def _same_dataset(split: str | None, test: TestSet) -> tuple[Answer, str]:
    """Splits of one dataset share no conversation: each is its own."""
    if split == test.split:
        return "yes", f"that is the test set ({test.dataset} {test.split})"
    if split is None and not test.bundled:
        return "unknown", f"the test set is a part of it ({test.dataset} {test.split}): name the split that was trained on"
    return "no", ""


def _held(name: str, split: str | None) -> Iterator[Origin]:
    """What a source has: itself, and what it holds of others, of any of its splits where none is named."""
    yield Origin(origin=name, holds="conversations", source="itself")
    if name in DATASETS.names():
        splits = [split] if split else dict.fromkeys(DATASETS.get(name).splits.values())
        yield from {(origin.origin, origin.holds): origin for each in splits for origin in origins_of(name, each)}.values()


def _certain(origin: Origin, split: str | None) -> bool:
    """Whether the source holds it for certain: all its splits do, or the one that is named."""
    return origin.splits is None or split is not None


def _conversations(test: TestSet) -> list[str]:
    """The names whose conversations the test set has: its dataset's, and those that it took over."""
    own = [] if test.bundled else [test.dataset]
    return [*own, *(origin.origin for origin in test.origins() if origin.holds == "conversations")]


def _shown(source: TrainingCard) -> str:
    return printable(f"{source.source} ({source.split})" if source.split else source.source)
