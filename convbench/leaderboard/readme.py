"""``leaderboards/README.md``: the standings as Markdown, readable as they are and rendered by GitHub."""

from __future__ import annotations

import re
from collections.abc import Iterator

from convbench.exchange.published import Published
from convbench.leaderboard.board import Board, TrackBoard
from convbench.leaderboard.reach import out_of_reach
from convbench.leaderboard.standings import Row, Standings
from convbench.leaderboard.wording import (
    LETTERS,
    MEASURED,
    OVERLAP,
    REPORTED,
    SIDES,
    TIERS,
    group_text,
    interval_text,
    line,
    marks_of,
    reported_measures,
    reported_remark,
    role_of,
    value_text,
)
from convbench.report.markdown import Markdown, aligned_table, code, escape
from convbench.report.words import counted, magnitude

_BECOMES_A_LINK = re.compile(r"://|www\.|@", re.IGNORECASE)
"""What renderers make links of, or mentions, though it is escaped."""

_HEAD = (
    "# Leaderboards\n\n"
    "`convbench leaderboard build` writes this file, `index.json`, `<track>/standings.csv` and the site; do not edit them by hand. "
    "`convbench leaderboard serve` shows the site. [docs/leaderboards.md](../docs/leaderboards.md) says how submissions come in, and what "
    "the columns mean."
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
    if unknowable := out_of_reach(each.standings):
        yield escape(unknowable)
    if each.scored:
        yield f"All columns, slices and costs: [{track.name}/standings.csv]({track.name}/standings.csv)"
    else:
        yield "Nothing has been measured on this track yet."
    if each.unscored:
        yield f"Not in the standings: {'; '.join(f'{_text(entry.id, 64)} ({entry.status})' for entry in each.unscored)}"


def _table(standings: Standings) -> Markdown:
    measures = standings.ranked.measures
    header = ["System", "Group", *map(escape, measures), "Parameters", "Trained on test", "Level", "Marks", "Submitted"]
    return aligned_table(header, [_row(row, measures) for row in standings.rows])


def _row(row: Row, measures: tuple[str, ...]) -> list[str]:
    card, role = row.entry.card, role_of(row)
    name = f"*{_cell(card.name)}* ({role})" if role else _cell(card.name)
    scores = [" ".join(filter(None, (value_text(score), interval_text(score)))) for score in map(row.scores.get, measures)]
    size = "unknown" if card.parameters is None else magnitude(card.parameters)
    trained = OVERLAP[row.entry.verified.contaminated]
    return [name, group_text(row), *scores, size, trained, row.entry.level, marks_of(row.entry), card.submitted]


def _reported(reported: Published) -> Iterator[str]:
    yield f"### {escape(reported.dataset)}: reported by papers"
    yield f"{escape(REPORTED)} They stand in [{reported.dataset}/published.yaml]({reported.dataset}/published.yaml) with their sources."
    for task in SIDES:
        measures = reported_measures(reported, task)
        rows = [
            [
                _cell(row.system),
                *(f"{row.scores[measure]:g}" if measure in row.scores else "" for measure in measures),
                _cell(row.source),
                _cell(reported_remark(reported, row)),
            ]
            for row in reported.rows
            if row.task == task
        ]
        if rows:
            table = aligned_table(["System", *map(escape, measures), "Source", "Remark"], rows)
            summary = f"{SIDES[task]}: {counted(len(rows), 'row')}, reported, not measured here"
            yield f"<details>\n<summary>{summary}</summary>\n\n{table}\n\n</details>"


def _text(text: str, longest: int = 200) -> Markdown:
    """A text that came with a submission; as code where a renderer would make a link of it."""
    shown = line(text, longest)
    return code(shown) if _BECOMES_A_LINK.search(shown) else escape(shown)


def _cell(text: str) -> str:
    """The same in a table, where a bar ends a cell in code, too."""
    shown = _text(text)
    return shown.replace("|", "\\|") if shown.startswith("`") else shown
