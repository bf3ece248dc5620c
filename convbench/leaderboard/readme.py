"""``leaderboards/README.md``: the standings as Markdown, readable as they are and rendered by GitHub."""

from __future__ import annotations

from collections.abc import Iterator

from convbench.exchange.published import Published
from convbench.leaderboard.board import Board, TrackBoard
from convbench.leaderboard.standings import Row, Standings
from convbench.leaderboard.wording import (
    LETTERS,
    MEASURED,
    OVERLAP,
    REPORTED,
    SIDES,
    TIERS,
    interval_text,
    letters_text,
    line,
    reported_measures,
    reported_remark,
    role_of,
    value_text,
)
from convbench.report.markdown import Markdown, aligned_table, code, escape
from convbench.report.words import counted, magnitude

_HEAD = (
    "# Leaderboards\n\n"
    "`convbench leaderboard build` writes this file, `index.json`, `<track>/standings.csv` and the site; do not edit them by hand. "
    "`convbench leaderboard serve` shows the site."
)


def readme_text(board: Board) -> str:
    """The file's text."""
    parts = [_HEAD, "\n".join(f"- {escape(text)}" for text in (MEASURED, LETTERS)), _contents(board)]
    for dataset in board.datasets:
        parts.append(f"## {escape(dataset)}")
        for each in board.tracks_on(dataset):
            parts += _track(each)
        if dataset in board.reported:
            parts += _reported(board.reported[dataset])
    return "\n\n".join(part for part in parts if part) + "\n"


def _contents(board: Board) -> str:
    rows = [
        [escape(line(each.track.title)), code(each.track.name), escape(each.track.dataset), each.track.tier, str(len(each.scored))]
        for each in board.tracks
    ]
    return aligned_table(["Track", "Name", "Dataset", "Tier", "Systems"], rows) if rows else ""


def _track(each: TrackBoard) -> Iterator[str]:
    track = each.track
    yield f"### {escape(line(track.title))}"
    yield escape(f"{line(track.description, 1000)} Tier: {TIERS[track.tier]}.")
    for standings in each.standings:
        if standings.rows:
            yield f"**{SIDES[standings.side]}**, by {escape(standings.ranked.by)}"
            yield _table(standings)
    if each.scored:
        yield f"All columns, slices and costs: [{track.name}/standings.csv]({track.name}/standings.csv)"
    else:
        yield "Nothing has been measured on this track yet."
    if each.unscored:
        yield f"Not in the standings: {escape('; '.join(f'{line(entry.id, 64)} ({entry.status})' for entry in each.unscored))}"


def _table(standings: Standings) -> Markdown:
    measures = standings.ranked.measures
    header = ["System", "Group", *map(escape, measures), "Parameters", "Trained on test", "Level", "Submitted"]
    return aligned_table(header, [_row(row, measures) for row in standings.rows])


def _row(row: Row, measures: tuple[str, ...]) -> list[str]:
    card, role = row.entry.card, role_of(row)
    name = f"*{escape(line(card.name))}* ({role})" if role else escape(line(card.name))
    scores = [" ".join(filter(None, (value_text(score), interval_text(score)))) for score in map(row.scores.get, measures)]
    size = "unknown" if card.parameters is None else magnitude(card.parameters)
    return [name, letters_text(row.letters), *scores, size, OVERLAP[row.entry.verified.contaminated], row.entry.level, card.submitted]


def _reported(reported: Published) -> Iterator[str]:
    yield f"### {escape(reported.dataset)}: reported by papers"
    yield f"{escape(REPORTED)} They stand in [{reported.dataset}/published.yaml]({reported.dataset}/published.yaml) with their sources."
    for task in SIDES:
        measures = reported_measures(reported, task)
        rows = [
            [
                escape(line(row.system)),
                *(f"{row.scores[measure]:g}" if measure in row.scores else "" for measure in measures),
                escape(line(row.source)),
                escape(line(reported_remark(reported, row))),
            ]
            for row in reported.rows
            if row.task == task
        ]
        if rows:
            table = aligned_table(["System", *map(escape, measures), "Source", "Remark"], rows)
            summary = f"{SIDES[task]}: {counted(len(rows), 'row')}, reported, not measured here"
            yield f"<details>\n<summary>{summary}</summary>\n\n{table}\n\n</details>"
