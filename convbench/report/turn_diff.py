"""The turns that flipped, as lines of text: values, rankings side by side, responses and what changed between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convbench.comparison.flips import Flip, Flips, TurnOutcome
from convbench.comparison.side_by_side import MeasurePair
from convbench.datasets.store import PassageStore
from convbench.metrics.relevance import known_passages
from convbench.report.numbers import per_cent, points
from convbench.report.side_by_side_table import shown
from convbench.report.terminal import WIDEST, Word, cut, filled, printable, width_of, words_of
from convbench.report.word_diff import word_diff
from convbench.report.words import counted
from convbench.views.passages import passage_title

_INDENT, _LABEL = 3, 11
_LINES = 4
"""Lines of a text that are shown, unless all are asked for."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How much is shown.

    Attributes:
        width: Columns.
        passages: Passages of each ranking.
        whole: Whether texts are shown whole.
    """

    width: int
    passages: int
    whole: bool


def summary(found: Flips, slices: Sequence[str], listed: int, width: int) -> list[str]:
    """How many turns (of slices, where there are any) went which way, and which of them follow."""
    import click

    counts, measure = found.counts, found.measure
    better = "better" if measure.ranks else "higher" if measure.higher_is_better else "lower"
    text = f"A {better} on {counts.first_better:,}, equal on {counts.equal:,}, B {better} on {counts.second_better:,}"
    text += f" of {counted(counts.turns, 'turn')}" + (f" with {printable(' and '.join(slices))}" if slices else "")
    if counts.one_sided:
        text += f"; {counted(counts.one_sided, 'turn')} with a value in one run only"
    lines = [click.style(f"{printable(measure.key)}: ", bold=True) + text]
    if listed < len(found.turns):
        lines += filled(
            words_of(f"{listed} of the {counted(len(found.turns), 'turn')} that flipped are shown; --turns N shows more."), width
        )
    return lines


def turn_lines(number: int, flip: Flip, found: Flips, store: PassageStore | None, layout: Layout) -> list[str]:
    """One turn.

    Args:
        number: Its place in the list, from 1.
        flip: The turn.
        found: The list, which knows the measures.
        store: The passages; None where they are not at hand, and shown by id alone.
        layout: How much is shown.
    """
    import click

    lines = [click.style(f"{number}. {printable(flip.turn_id)}", bold=True) + f"  {_values(flip, found.measure)}"]
    for pair in found.beside:
        lines += _text("beside", _beside(flip, pair), layout)
    if flip.query is not None:
        lines += _text("query", flip.query, layout)
    lines += _sent(flip, layout)
    if flip.gold is not None and (flip.first.passages or flip.second.passages):
        lines += _text("gold rank", _gold_ranks(flip), layout)
    lines += _rankings(flip, store, layout)
    lines += _responses(flip, layout)
    for place, reference in enumerate(flip.references or ()):
        lines += _text("reference" if place == 0 else "or", reference, layout)
    return lines


def _values(flip: Flip, pair: MeasurePair) -> str:
    import click

    change = points(flip.difference)
    if not pair.ranks:
        return f"{per_cent(flip.first.value)} -> {per_cent(flip.second.value)} ({change})"
    gained = (flip.difference > 0) == pair.higher_is_better
    judged = click.style(f"{change}, {'B' if gained else 'A'} better", fg="green" if gained else "red")
    return f"{per_cent(flip.first.value)} -> {per_cent(flip.second.value)} ({judged})"


def _beside(flip: Flip, pair: MeasurePair) -> str:
    ours, theirs = (outcome.beside.get(pair.key) for outcome in (flip.first, flip.second))
    change = f" ({points(theirs - ours)})" if ours is not None and theirs is not None else ""
    return f"{pair.key} {shown(ours)} -> {shown(theirs)}{change}"


def _sent(flip: Flip, layout: Layout) -> list[str]:
    """What was searched with, where that is not the user's query."""
    if flip.first.sent == flip.second.sent:
        return _text("sent", flip.first.sent, layout) if flip.first.sent not in ("", flip.query) else []
    texts = ["(the query)" if sent and sent == flip.query else sent or "(nothing)" for sent in (flip.first.sent, flip.second.sent)]
    return [*_text("sent by A", texts[0], layout), *_text("sent by B", texts[1], layout)]


def _gold_ranks(flip: Flip) -> str:
    if not flip.gold:
        return "the turn has no relevance judgement"
    return f"A {_gold_rank(flip.first)}, B {_gold_rank(flip.second)}; best of {counted(len(flip.gold), 'gold passage')}"


def _gold_rank(outcome: TurnOutcome) -> str:
    return str(outcome.gold_rank) if outcome.gold_rank else f"not among {counted(len(outcome.passages), 'passage')}"


def _rankings(flip: Flip, store: PassageStore | None, layout: Layout) -> list[str]:
    """Both rankings, one column each."""
    tops = [outcome.passages[: layout.passages] for outcome in (flip.first, flip.second)]
    if not any(tops):
        return []
    known = _beginnings(store, {id_ for top in tops for id_, _ in top})
    room = (layout.width - _INDENT - _LABEL - 2) // 2
    left, right = ([_passage(rank, id_, flip, known, room) for rank, (id_, _) in enumerate(top, 1)] or ["(no passage)"] for top in tops)
    rows = ["A" + " " * (room + 1) + "B"]
    for place in range(max(len(left), len(right))):
        ours, theirs = (column[place] if place < len(column) else "" for column in (left, right))
        gap = " " * (2 + room - width_of(ours))
        rows.append(_coloured(ours) + (gap + _coloured(theirs) if theirs else ""))
    return _labelled("rankings", rows)


def _beginnings(store: PassageStore | None, ids: set[str]) -> dict[str, str]:
    """Title and text of the passages that are at hand, as much as could fit."""
    if store is None:
        return {}
    passages = known_passages(store, ids)
    return {
        id_: f"{title}: {text}" if title else text
        for id_, title, text in ((id_, passage_title(passage), passage.text[:WIDEST]) for id_, passage in passages.items() if passage)
    }


def _passage(rank: int, id_: str, flip: Flip, known: Mapping[str, str], room: int) -> str:
    grade = (flip.gold or {}).get(id_, 0)
    graded = max((flip.gold or {}).values(), default=1) > 1
    gold = f" (gold, grade {grade})" if grade and graded else " (gold)" if grade else ""
    return cut(f"{rank:>2} {'*' if grade else ' '} {printable(id_)}{gold}  {printable(known.get(id_, ''))}".rstrip(), room)


def _coloured(cell: str) -> str:
    import click

    return click.style(cell, fg="green") if cell[3:4] == "*" else cell


def _responses(flip: Flip, layout: Layout) -> list[str]:
    ours, theirs = flip.first.response, flip.second.response
    if ours is None and theirs is None:
        return []
    if ours == theirs:
        return _text("both say", ours or "(nothing)", layout)
    lines = [*_text("A says", _said(ours), layout), *_text("B says", _said(theirs), layout)]
    changes = word_diff(ours or "", theirs or "")
    return lines + _filled("changes", changes, layout) if changes else lines


def _said(response: str | None) -> str:
    return "(no response)" if response is None else response if response.strip() else "(an empty response)"


def _text(label: str, text: str, layout: Layout) -> list[str]:
    return _filled(label, words_of(text), layout)


def _filled(label: str, words: Sequence[Word], layout: Layout) -> list[str]:
    lines = filled(words, layout.width - _INDENT - _LABEL - len(" ..."))
    if len(lines) > _LINES and not layout.whole:
        lines = [*lines[: _LINES - 1], f"{lines[_LINES - 1]} ..."]
    return _labelled(label, lines)


def _labelled(label: str, lines: Sequence[str]) -> list[str]:
    import click

    heads = [click.style(f"{label:<{_LABEL}}", dim=True), *[" " * _LABEL] * len(lines)]
    return [f"{'':<{_INDENT}}{head}{line}" for head, line in zip(heads, lines, strict=False)]
