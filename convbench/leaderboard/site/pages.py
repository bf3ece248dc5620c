"""The pages of the site: of all tracks, of each dataset, of each track, and of each submission."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jinja2 import Environment

from convbench.leaderboard.board import Board, TrackBoard
from convbench.leaderboard.entries import Entry, Scored, Unscored
from convbench.leaderboard.history import history_of
from convbench.leaderboard.reach import out_of_reach
from convbench.leaderboard.site import submission_page
from convbench.leaderboard.site.charts import history_chart
from convbench.leaderboard.site.environment import POLICY, asset, environment
from convbench.leaderboard.site.table import SIZES, table_of
from convbench.leaderboard.standings import Row, Standings
from convbench.leaderboard.wording import (
    LETTERS,
    MEASURED,
    OVERLAP,
    REPORTED,
    SIDES,
    TIERS,
    group_text,
    reported_measures,
    reported_remark,
    track_facts,
)
from convbench.report.numbers import per_cent


def site_files(board: Board) -> dict[str, str]:
    """Path within the site -> text, of every page, the style sheet and the script."""
    made = environment()
    made.globals |= {"policy": POLICY, "sides": SIDES, "tiers": TIERS, "overlap": OVERLAP, "sizes": SIZES, "per_cent": per_cent}
    made.globals |= {"letters_mean": LETTERS, "measured_means": MEASURED, "reported_means": REPORTED}
    made.globals |= {"group_text": group_text}
    made.globals |= {"reported_measures": reported_measures, "reported_remark": reported_remark}
    files = {
        "assets/site.css": made.get_template("site.css.j2").render(),
        "assets/site.js": asset("site.js"),
        "index.html": made.get_template("index.html.j2").render(root="", board=board, leaders=leaders),
    }
    for dataset in board.datasets:
        known = {"dataset": dataset, "tracks": board.tracks_on(dataset), "reported": board.reported.get(dataset)}
        files[f"dataset/{dataset}.html"] = made.get_template("dataset.html.j2").render(root="../", leaders=leaders, **known)
    for each in board.tracks:
        files[f"track/{each.track.name}.html"] = made.get_template("track.html.j2").render(root="../", **_track(board, each))
        files.update(_submissions(made, each))
    return files


def leaders(standings: Standings) -> list[Row]:
    """The rows that compete and are not told apart from the best."""
    return [row for row in standings.rows if row.leads]


def page_of(track: str, entry: Entry) -> str | None:
    """Where the page of a submission is, from the root of the site; None where its manifest cannot be read."""
    return f"submission/{track}/{entry.id}.html" if entry.card is not None else None


def _track(board: Board, each: TrackBoard) -> dict[str, Any]:
    sides = [
        {
            "standings": standings,
            "table": table_of(each, standings),
            "steps": history_of(standings),
            "chart": history_chart(standings),
            "contaminated": sum(row.section == "contaminated" for row in standings.rows),
        }
        for standings in each.standings
        if standings.rows
    ]
    return {
        "track": each.track,
        "facts": track_facts(each.track),
        "out_of_reach": out_of_reach(each.standings),
        "sides_shown": sides,
        "kinds": sorted({row.entry.card.kind for standings in each.standings for row in standings.rows}),
        "levels": sorted({entry.level for entry in each.scored}),
        "unscored": [(entry, page_of(each.track.name, entry)) for entry in each.unscored],
        "reported": board.reported_on(each.track),
    }


def _submissions(made: Environment, each: TrackBoard) -> Iterator[tuple[str, str]]:
    for entry in each.entries:
        path = page_of(each.track.name, entry)
        if path is None:
            continue
        known = submission_page.known_of(each, entry) if isinstance(entry, Scored) else _unscored(entry)
        yield path, made.get_template("submission.html.j2").render(root="../../", track=each.track, entry=entry, **known)


def _unscored(entry: Unscored) -> dict[str, Any]:
    return {"scored": None, "about": submission_page.about(entry.card) if entry.card else [], "shown": [], "claims": {}}
