"""Two finished runs side by side: measures that may be compared, and those that must not be, with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from convbench.errors import MissingFileError
from convbench.harness.folder import RunFolder
from convbench.harness.results import MetricResult, Results, read_results
from convbench.metrics.signatures import Difference, differences


@dataclass(frozen=True, slots=True)
class Pair:
    """One measure of both runs.

    Attributes:
        protocol: The protocol.
        name: The measure.
        first: Its value in the first run, None where it has none.
        second: Likewise.
        differing: What keeps the two from being compared; empty where nothing does.
    """

    protocol: str
    name: str
    first: float | None
    second: float | None
    differing: tuple[Difference, ...]

    @property
    def difference(self) -> float | None:
        """Second minus first, where both may be compared."""
        if self.differing or self.first is None or self.second is None:
            return None
        return self.second - self.first


def side_by_side(first: Path, second: Path) -> list[Pair]:
    """The measures that both run folders have, in the first one's order.

    Raises:
        MissingFileError: A folder holds no finished run.
    """
    ours, theirs = _results(first), _results(second)
    known = {(result.protocol, result.name): result for result in theirs.metrics}
    return [_pair(result, other) for result in ours.metrics if (other := known.get((result.protocol, result.name))) is not None]


def _pair(ours: MetricResult, theirs: MetricResult) -> Pair:
    both = ours.signature and theirs.signature
    differing = tuple(differences(ours.signature, theirs.signature)) if both else ()
    return Pair(ours.protocol, ours.name, ours.value, theirs.value, differing)


def _results(path: Path) -> Results:
    folder = RunFolder(path)
    if not folder.results.exists():
        raise MissingFileError(f"{path}: no finished run here (no results.json); expected a folder that `convbench run` made")
    return read_results(folder.results)
