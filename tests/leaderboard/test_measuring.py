from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from submission_folders import submit, track_of

from convbench.leaderboard.measured import Measured, measure, remember, remembered
from convbench.leaderboard.track import Track
from convbench.leaderboard.track_data import Files, TrackData, open_track
from convbench.leaderboard.verified import MeasuredScore
from convbench.leaderboard.verify import measure_each
from convbench.metrics.token_f1 import TokenF1Metric
from convbench.types import Score, Turn, TurnRecord


class Breaking(TokenF1Metric):
    # A plug-in that one response breaks.

    def score(self, turns: Sequence[Turn], records: dict[str, TurnRecord]) -> list[Score]:
        if any(record.response == "break" for record in records.values()):
            raise ZeroDivisionError("a plug-in's own fault\nin two lines")
        return super().score(turns, records)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrackData:

    changes = {"set": "topiocqa-mini", "turnset_sha256": None, "collection_sha256": None, "retrieval": None}
    track = Track.model_validate(
        {
            **track_of(tmp_path_factory.mktemp("root")).model_dump(),
            **changes,
            "response": {"measures": ["F1-max", "F1-loo"], "by": "F1-max"},
        }
    )
    return open_track(track, Files(), tmp_path_factory.mktemp("cache"))


def submitted(root: Path, data: TrackData, id_: str, response: str) -> None:
    submit(root, id_, [{"turn_id": turn_id, "response": response} for turn_id in data.turn_ids])


def test_what_breaks_in_a_plug_in_is_no_finding_and_stops_no_other(data: TrackData, tmp_path: Path) -> None:
    (placed,) = data.parts
    breaking = replace(data, parts=(replace(placed, part=replace(placed.part, metric=Breaking(["F1-max", "F1-loo"]))),))
    submitted(tmp_path, data, "broken", "break")
    submitted(tmp_path, data, "whole", "It opened in 1937.")
    found = dict(measure_each(tmp_path, breaking, {"broken": "k1", "whole": "k2"}, Files(), 1, tmp_path))
    assert isinstance(found["broken"], ZeroDivisionError)
    assert isinstance(found["whole"], Measured)
    assert found["whole"].level == "re-scored"
    with pytest.raises(ZeroDivisionError):
        measure(tmp_path, breaking, "broken", "k", None)


def test_what_is_remembered_is_what_was_measured(tmp_path: Path) -> None:
    score = MeasuredScore(
        measure="F1-max", side="response", signature="F1-max|x", value=1 / 3, interval=(0.1, 0.7), by_depth={"1": (0.1, 3)}
    )
    found = Measured(key="k", level="re-scored", scores=(score,), by_turn={"F1-max": (0.1, None, 1 / 3)})
    remember(tmp_path, found)
    assert remembered(tmp_path, "k") == found
    assert remembered(tmp_path, "other") is None
    (file,) = (tmp_path / "leaderboards" / "measured").iterdir()
    file.rename(file.with_name("other.json"))
    assert remembered(tmp_path, "other") is None
    file.write_text("{")
    assert remembered(tmp_path, "k") is None


@pytest.mark.slow
def test_processes_that_die_take_nobody_else_with_them(data: TrackData, tmp_path: Path) -> None:
    # Where the data are gone, every process that is started dies at once; each submission is then given one of its own.
    submitted(tmp_path, data, "one", "In 1937.")
    submitted(tmp_path, data, "two", "By ferry.")
    gone = replace(data, track=data.track.model_copy(update={"set": None}))
    object.__setattr__(gone, "turn_ids", data.turn_ids * 100)  # enough to be worth processes
    found = dict(measure_each(tmp_path, gone, {"one": "k1", "two": "k2"}, Files(), 2, tmp_path))
    assert {id_: str(own) for id_, own in found.items()} == dict.fromkeys(("one", "two"), "the process that scored it was ended")
