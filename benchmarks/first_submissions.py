"""Runs the baselines that need no hub on the mini and sample tracks, and packs the runs as submissions.

    python benchmarks/first_submissions.py --real-data FOLDER [--track TRACK] [BASELINE ...]

On the samples of real datasets, whose texts are not ours to pass on, the rankings alone are packed. A submission that exists is left
alone: remove its folder to have it made anew. Afterwards ``convbench leaderboard verify`` and ``convbench leaderboard build``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from convbench.errors import MissingFileError, ResourceError, UsageError
from convbench.harness.expected import MEASURED, named_set
from convbench.harness.reproduce import shipped_system
from convbench.harness.run import run
from convbench.harness.spec import RunSpec
from convbench.leaderboard.answers import Answers
from convbench.leaderboard.pack import pack
from convbench.leaderboard.places import submission_folder
from convbench.leaderboard.track import Track, read_track, track_names
from convbench.systems.catalog import baseline_names, shipped
from convbench.systems.needs import needs_of

FREE = ({"nothing"}, {"packaged weights"})
"""What a baseline may need."""

AUTHORS = "The convbench authors"


def main() -> None:
    """Makes what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real-data", type=Path)
    parser.add_argument("--root", type=Path, default=shipped("leaderboards"))
    parser.add_argument("--track", dest="tracks", action="append")
    parser.add_argument("--submitted", help="day of the submissions, YYYY-MM-DD; default: today")
    parser.add_argument("baselines", nargs="*")
    arguments = parser.parse_args()
    tracks = [read_track(arguments.root, name) for name in arguments.tracks or track_names(arguments.root)]
    with tempfile.TemporaryDirectory() as scratch:
        for track in (track for track in tracks if track.set is not None):
            for baseline in arguments.baselines or free_baselines():
                print(f"{baseline} on {track.name}: {made(baseline, track, Path(scratch), arguments)}", flush=True)


def free_baselines() -> Iterator[str]:
    """The shipped baselines that need neither the hub, nor weights of one's own, nor a server."""
    for name in baseline_names():
        if set(needs_of(shipped_system(name).model_dump())) in FREE:
            yield name


def made(baseline: str, track: Track, scratch: Path, arguments: argparse.Namespace) -> str:
    """Makes one submission; says what became of it."""
    if submission_folder(arguments.root, track.name, baseline).exists():
        return "exists"
    assert track.set is not None
    folder = scratch / track.name / baseline
    try:
        dataset = named_set(track.set).spec(arguments.real_data)
        spec = RunSpec(system=shipped_system(baseline).model_dump(mode="json"), dataset=dataset)
        run(spec, folder, MEASURED, cache=scratch / "cache", offline=True)
        # Nothing of them was trained on conversations: what the encoders were trained on is their published state.
        answers = Answers(authors=AUTHORS, training=(), submitted=arguments.submitted)
        return str(pack(folder, track, arguments.root, answers, rankings_only=track.tier != "mini"))
    except (MissingFileError, ResourceError, UsageError) as error:
        return f"left out: {error}"


if __name__ == "__main__":
    main()
