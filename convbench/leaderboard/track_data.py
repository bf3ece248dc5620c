"""What submissions of a track are scored against: its dataset, its collection where that is at hand, and its measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from convbench.analysis.slices import slicing_names
from convbench.datasets.collection import prepare_store
from convbench.datasets.loading import Dataset, DatasetRequest, open_dataset
from convbench.datasets.store import ArrowPassageStore
from convbench.errors import ConvbenchError, MissingFileError, UsageError
from convbench.harness.expected import named_set, read_expected
from convbench.harness.placed import PlacedPart
from convbench.harness.scoring import Unavailable, check_parts
from convbench.harness.truth import Truth
from convbench.io.digests import value_sha256
from convbench.leaderboard.measures import parts_of
from convbench.leaderboard.track import Track
from convbench.registry import did_you_mean
from convbench.systems.catalog import baseline_names, system_values


@dataclass(frozen=True, slots=True)
class Files:
    """Where the files of datasets are.

    Attributes:
        real_data: Folder of the samples of real data, for tracks with a named set that is not bundled; None: there is none.
        whole: Dataset -> folder of its official files, for tracks without a named set.
    """

    real_data: Path | None = None
    whole: Mapping[str, Path] = field(default_factory=dict)

    def request(self, track: Track) -> DatasetRequest:
        """The request that opens a track's dataset.

        Raises:
            UsageError: The track names a set that does not exist, or one of another dataset.
            MissingFileError: Its files are not at hand.
        """
        if track.set is None:
            folder = self.whole.get(track.dataset)
            if folder is None:
                raise MissingFileError(f"track {track.name}: the files of {track.dataset} are not at hand: name their folder")
            return DatasetRequest(track.dataset, folder, track.split)
        request = named_set(track.set).spec(self.real_data).request()
        if request.name != track.dataset:
            raise UsageError(f"track {track.name}: set {track.set!r} is of {request.name}, the track of {track.dataset}; name another set")
        return request


@dataclass(frozen=True)
class TrackData:
    """An opened track.

    Attributes:
        track: The track.
        dataset: Its dataset.
        store: The passages; None where they are not at hand.
        parts: The metrics that can be computed here, each with the measures that the track asks for.
        unavailable: Those that cannot.
    """

    track: Track
    dataset: Dataset
    store: ArrowPassageStore | None
    parts: tuple[PlacedPart, ...]
    unavailable: tuple[Unavailable, ...]

    @property
    def collection_sha256(self) -> str | None:
        """Digest of the collection: of the one at hand, else the track's."""
        return self.store.sha256 if self.store is not None else self.track.collection_sha256

    @cached_property
    def turn_ids(self) -> tuple[str, ...]:
        """Every turn, in order."""
        return tuple(turn.id for turn in self.dataset.turns)

    @cached_property
    def signatures(self) -> list[list[str | int]]:
        """What values depend on besides the run: signatures in full, versions of metrics, digests of the truth; and what is missing."""
        found: list[list[str | int]] = []
        for placed in self.parts:
            metric = placed.part.metric
            signed = [placed.signature(measure, self.collection_sha256) for measure in metric.measures()]
            found.append([metric.name, metric.version, placed.truth, *signed])
        for each in self.unavailable:
            found.append([each.part.metric.name, each.reason])
        return found

    @cached_property
    def promises(self) -> str:
        """Digest of the baselines that promise something on the track's set, and of what they promise."""
        promised = []
        for name in baseline_names() if self.track.set is not None else ():
            with suppress(ConvbenchError):  # what cannot be read promises nothing
                expected = read_expected(name)
                if expected is not None and (scores := expected.scores.get(self.track.set or "")) is not None:
                    promised.append([name, system_values(name), expected.packages, scores.model_dump(mode="json")])
        return value_sha256(promised)


def open_track(track: Track, files: Files, cache: Path) -> TrackData:
    """Opens what a track's submissions are scored against.

    Args:
        track: The track.
        files: Where datasets are.
        cache: Folder of passage stores.

    Raises:
        MissingFileError: The dataset is not at hand.
        UsageError: The files at hand are not the track's, or the track names a measure or slicing that does not exist.
    """
    dataset = open_dataset(files.request(track))
    _refuse_other(track, "split", track.split, dataset.split)
    _refuse_other(track, "turnset_sha256", track.turnset_sha256, dataset.all_turns().sha256)
    _refuse_unknown_slicings(track)
    store = _store(track, dataset, cache)
    checked = check_parts(parts_of(track, dataset))
    truth = Truth(dataset)
    parts = tuple(PlacedPart.of(part, dataset, truth) for part in checked.ready)
    return TrackData(track, dataset, store, parts, tuple(checked.unavailable))


def _store(track: Track, dataset: Dataset, cache: Path) -> ArrowPassageStore | None:
    """The passages that the track searches. The union of the gold passages stands in for no corpus here, unless it is the collection."""
    try:
        collection = dataset.collection()
    except MissingFileError:
        return None
    if collection.origin == "gold-union" and track.collection_sha256 is None:
        return None
    store = prepare_store(dataset, collection, cache)
    if collection.origin == "gold-union" and store.sha256 != track.collection_sha256:
        return None
    _refuse_other(track, "collection_sha256", track.collection_sha256, store.sha256)
    return store


def _refuse_other(track: Track, what: str, expected: str | None, found: str) -> None:
    if expected not in (None, found):
        raise UsageError(f"track {track.name}: {what}: the files at hand give {found}, the track says {expected}; they are not its files")


def _refuse_unknown_slicings(track: Track) -> None:
    known: Sequence[str] = slicing_names()
    for name in track.slices:
        if name not in known:
            raise UsageError(f"track {track.name}: no slicing {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}")
