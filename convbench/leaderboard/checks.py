"""What is looked at besides the scores: sides that are not whole, passages of another collection, claims, and copied responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from scipy.stats import binom

from convbench.leaderboard.card import FILE, Card
from convbench.leaderboard.copies import Answered, chance_of, is_near, words_of
from convbench.leaderboard.names import printable
from convbench.leaderboard.places import RUN
from convbench.leaderboard.safe_read import refused
from convbench.leaderboard.track_data import TrackData
from convbench.leaderboard.verified import Finding, MeasuredScore
from convbench.types import Turn, TurnRecord

COPIED_SHARE = 0.3
"""Share of the turns with references from which on responses that are references are remarkable."""
CHANCE = 0.001
"""How likely so many may be by chance for them to be remarkable."""
ROUNDING = 0.0005
"""How far a claimed score may be off, as it may have been rounded to three digits."""
_SHOWN = 3


def check_run(records: Mapping[str, TurnRecord], data: TrackData) -> Iterator[Finding]:
    """What keeps a run out that can be read and has every turn.

    Args:
        records: The run, by turn id.
        data: The track.
    """
    unanswered = [turn_id for turn_id, record in records.items() if record.response is None]
    if unanswered and data.track.response and len(unanswered) < len(records):
        first = ", ".join(unanswered[:_SHOWN])
        message = f"{RUN}: {len(unanswered)} of {len(records)} turns have no response (first: {first}); answer every turn, or none"
        yield refused("turns-missing", message)
    for turn_id, record in records.items():
        if len({passage_id for passage_id, _ in record.passages}) < len(record.passages):
            yield refused("passages-repeated", f"{RUN}: turn {printable(turn_id)}: a passage stands there twice")
            break
    if unknown := _unknown_passages(records, data):
        shown = ", ".join(printable(passage_id) for passage_id in unknown[:_SHOWN])
        message = f"{RUN}: {len(unknown)} passages are not in the track's collection (first: {shown}): search that collection"
        yield refused("other-collection", message)


def check_claims(card: Card, scores: Sequence[MeasuredScore]) -> Iterator[Finding]:
    """Scores of the card that are not what was measured, which is what counts."""
    measured = {score.measure: score.value for score in scores}
    for measure, claimed in card.scores.items():
        name = measure.rpartition("/")[2]
        value = measured.get(name)
        if value is None:
            message = f"{FILE}: {printable(measure)}: {claimed:.6g} is claimed, and it was not measured here"
            yield Finding(check="scores-unchecked", severity="note", message=message)
        elif not abs(claimed - value) <= ROUNDING:  # NaN is no value either
            message = f"{FILE}: {printable(measure)}: {claimed:.6g} is claimed, {value:.6g} was measured; the measured value counts"
            yield Finding(check="scores-differ", severity="flag", message=message)


def check_copies(card: Card, records: Mapping[str, TurnRecord], turns: Sequence[Turn]) -> Iterator[Finding]:
    """Responses that are one of their turn's reference responses, or nearly, on more turns than chance has it.

    Case, punctuation, the order of words, letters of other scripts that look the same and one word in ten do not matter, see ``copies``.
    Chance is what the same responses would give on other turns: who always says that there is no answer is often right, and copies nothing.

    Args:
        card: The card.
        records: The run.
        turns: The turns with their references.
    """
    if card.kind == "oracle":
        yield Finding(check="gold-shown", severity="note", message="an oracle: it is shown gold passages, and says a reference response")
        return
    answered = [
        Answered(words_of(record.response), references)
        for turn in turns
        if (record := records.get(turn.id)) and record.response is not None and (references := _references(turn))
    ]
    near = sum(map(is_near, answered))
    if not near > COPIED_SHARE * len(answered):
        return
    chance = chance_of(answered)
    if binom.sf(near - 1, len(answered), chance) < CHANCE:
        exact = sum(each.response in each.references for each in answered)
        message = (
            f"{RUN}: {near} of {len(answered)} responses ({near / len(answered):.0%}) are a reference of their turn, or all but a word in "
            f"ten of one; {exact} have all its words and no other. The same responses on other turns would give {chance:.1%}"
        )
        yield Finding(check="responses-copied", severity="flag", message=message)


def _references(turn: Turn) -> tuple[tuple[str, ...], ...]:
    """The words of reference responses; what has none says nothing."""
    words = (words_of(reference.text) for reference in turn.references if reference.kind != "knowledge")
    return tuple(dict.fromkeys(filter(None, words)))


def _unknown_passages(records: Mapping[str, TurnRecord], data: TrackData) -> list[str]:
    if data.store is None:
        return []
    ids = sorted({passage_id for record in records.values() for passage_id, _ in record.passages})
    return [passage_id for passage_id, row in zip(ids, data.store.rows(ids).tolist(), strict=True) if row < 0]
