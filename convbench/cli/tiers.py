"""The tiers of ``convbench data prepare``: what ships, what lies with the user, what is fetched."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from convbench.cli.data_options import Source
from convbench.cli.run_line import run_line
from convbench.errors import MissingFileError, UsageError

if TYPE_CHECKING:
    from convbench.datasets.download.manifest import DatasetDownloads
    from convbench.datasets.download.obtain import Obtained
    from convbench.datasets.download.places import Places
    from convbench.datasets.pool import Pool

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TierOptions:
    """What ``tier_options`` were given."""

    tier: str | None
    accept_licence: bool
    without_corpus: bool
    fetch_only: bool
    manifest: Path | None
    real_data: Path | None


@dataclass(frozen=True, slots=True)
class TierFiles:
    """The files of a tier, ready to be read.

    Attributes:
        source: Where they are.
        needs_passages: Whether it is an error that no collection can be made of them.
        summary: What to tell of them.
        run: The command to go on with.
    """

    source: Source
    needs_passages: bool = True
    summary: dict[str, Any] = field(default_factory=dict)
    run: str | None = None


def tier_options(function: Callable[..., None]) -> Callable[..., None]:
    """Which files, and how they are fetched; the command gets one ``tier``."""
    names = list(TierOptions.__dataclass_fields__)

    @functools.wraps(function)
    def with_tier(*arguments: Any, **given: Any) -> None:
        own = {name: given.pop(name) for name in names}
        named = click.get_current_context().get_parameter_source("real_data") is ParameterSource.COMMANDLINE
        if named and own["tier"] != "sample":  # in the environment it may stand for other commands
            raise UsageError("--real-data is for the samples: add --tier sample")
        function(*arguments, tier=TierOptions(**own), **given)

    command: Callable[..., None] = with_tier
    decorators = [
        click.option(
            "--tier",
            type=click.Choice(["mini", "sample", "pooled", "full"]),
            help="mini: the bundled set. sample: the samples of --real-data. full: fetch the official files. pooled: find or make the pool "
            "of the full collection. Default: --data, else mini.",
        ),
        click.option("--accept-licence", is_flag=True, help="Accept the licences that are shown; asked for once."),
        click.option("--without-corpus", is_flag=True, help="Leave out the corpus, which is most of the bytes."),
        click.option("--fetch-only", is_flag=True, help="Stop when the files are in place; read nothing."),
        click.option("--manifest", type=click.Path(path_type=Path), help="A downloads.yaml of your own (a mirror ...)."),
        click.option(
            "--real-data",
            type=click.Path(path_type=Path),
            envvar="CONVBENCH_REAL_DATA",
            help="Folder of the samples of real data, for --tier sample. Default: $CONVBENCH_REAL_DATA.",
        ),
    ]
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def files_of_tier(dataset: str, source: Source, given: TierOptions, cache: Path, *, offline: bool) -> TierFiles:
    """Brings the files of a tier into place.

    Raises:
        UsageError: Options that do not go together, licences that are not accepted, or nothing is known to fetch.
        MissingFileError: The samples are not there.
        ResourceError: A file cannot be had.
    """
    from convbench.datasets.adapters import adapter_class

    adapter_class(dataset)  # an unknown one is refused before anything else
    _refuse_unfitting(source, given)
    if given.tier == "full":
        return _full(dataset, source, given, cache, offline=offline)
    if given.tier == "pooled":
        return _pooled(dataset, source, given, cache, offline=offline)
    if given.tier == "sample":
        return TierFiles(_sample(dataset, source, given.real_data))
    return TierFiles(source)


def _refuse_unfitting(source: Source, given: TierOptions) -> None:
    if given.tier is not None and source.data is not None:
        raise UsageError(f"--tier {given.tier} says which files, and --data too: leave one of them out")
    if given.tier == "mini" and source.split not in (None, "mini"):
        raise UsageError(f"--tier mini has no split {source.split!r}: leave --split out, or take --tier full")
    for name in ("accept_licence", "without_corpus", "fetch_only", "manifest"):
        if getattr(given, name) and given.tier not in ("full", "pooled"):
            raise UsageError(f"--{name.replace('_', '-')} is for files that are fetched: add --tier full")
    if given.tier == "pooled" and given.without_corpus:
        raise UsageError("--without-corpus: a pool is made of the corpus; one that is there already is found without it")


def _sample(dataset: str, source: Source, real_data: Path | None) -> Source:
    """The samples are nowhere to be fetched: they lie in a folder of the user's, in the layout of ``baselines/sets.yaml``."""
    from convbench.harness.expected import named_sets

    named = named_sets().get(f"{dataset}-sample")
    if named is None:
        known = ", ".join(name.removesuffix("-sample") for name in named_sets() if name.endswith("-sample"))
        raise UsageError(f"there is no sample of {dataset}: give your files with --data DIR. Samples: {known}")
    if real_data is None:
        raise MissingFileError(
            f"{dataset}: the samples are nowhere to be fetched: name the folder that you have them in with --real-data or "
            "$CONVBENCH_REAL_DATA, or give files with --data DIR"
        )
    spec = named.spec(real_data)
    paths = {key: Path(path) for key in ("data", "corpus", "rewrites") if (path := getattr(spec, key)) is not None}
    return replace(source, split=source.split or spec.split, **(paths | {key: own for key in paths if (own := getattr(source, key))}))


def _full(dataset: str, source: Source, given: TierOptions, cache: Path, *, offline: bool) -> TierFiles:
    from convbench.datasets.download.manifest import load_manifest
    from convbench.datasets.download.obtain import obtain
    from convbench.datasets.download.places import Places
    from convbench.datasets.loading import check_names

    entry, places = load_manifest(given.manifest).of(dataset), Places.of(dataset, cache)
    located = replace(source, data=places.root)
    check_names(located.spec(dataset).request())  # before anything is fetched for a split that there is not
    _have_accepted(dataset, entry, places, given=given.accept_licence)
    spare = given.without_corpus or source.corpus is not None
    files = [file for file in entry.tiers["full"].files if not (spare and file.part == "corpus")]
    obtained = obtain(files, places, offline=offline)
    for note in entry.tiers["full"].notes:
        _log.info("%s: %s", dataset, note)
    has_corpus = source.corpus is not None or any(file.part == "corpus" for file in files)
    return TierFiles(located, has_corpus, _summary(places, entry, obtained), run_line(dataset, located))


def _pooled(dataset: str, source: Source, given: TierOptions, cache: Path, *, offline: bool) -> TierFiles:
    """The conversations, and the default pool: found where it is in its place, else made of the full tier."""
    from convbench.datasets.pool import pool_folder, read_pool
    from convbench.harness.pooling import DEPTH, SYSTEMS, PoolRequest, make_pool, pool_place

    def place(files: TierFiles) -> Path:
        opened = replace(files.source, corpus=None, limit=None, conversations=None).open(dataset)
        return pool_place(cache, opened.name, opened.split, SYSTEMS, DEPTH, opened.options)

    files = _full(dataset, source, replace(given, without_corpus=True), cache, offline=offline)
    if pool_folder(folder := place(files)) is not None:
        pool = read_pool(folder)
        if source.corpus is not None:
            _refuse_pool_of_another(pool, dataset, files.source, cache)
    else:
        files = _full(dataset, source, given, cache, offline=offline)
        if given.fetch_only:
            return files
        spec = replace(files.source, limit=None, conversations=None).spec(dataset)
        pool = make_pool(PoolRequest(spec, SYSTEMS, (), DEPTH, folder, cache, offline))
    pooled = replace(files.source, corpus=pool.folder)
    told = {**files.summary, "tier": "pooled", "pool": str(pool.folder), "pooled": pool.manifest.describe()}
    return TierFiles(pooled, summary=told, run=run_line(dataset, pooled))


def _refuse_pool_of_another(pool: Pool, dataset: str, source: Source, cache: Path) -> None:
    """The pool in the cache's place is of one collection, and the user has named one."""
    from convbench.datasets.collection import prepare_store

    opened = replace(source, limit=None, conversations=None).open(dataset)
    found, own = prepare_store(opened, opened.collection(), cache).sha256, pool.manifest.full.sha256
    if found != own:
        raise UsageError(
            f"{pool.folder}: a pool of another collection than --corpus {source.corpus} (digest {own[:12]}, and {found[:12]}): "
            f"leave --corpus out, or make one with `convbench data pool {dataset} --corpus {source.corpus} --out DIR`"
        )


def _have_accepted(dataset: str, entry: DatasetDownloads, places: Places, *, given: bool) -> None:
    from convbench.datasets.download.licences import accepted, remember, shown_licences

    if accepted(places, entry.licences):
        return
    click.echo(shown_licences(dataset, entry.licences, entry.citation), err=True)
    if not given:
        if not sys.stdin.isatty():
            raise UsageError(f"the licences of {dataset} are not accepted yet: read them above, and add --accept-licence")
        if not click.confirm("Do you accept them?", err=True):
            raise UsageError(f"the licences of {dataset} are not accepted: nothing was fetched")
    remember(places, entry.licences)


def _summary(places: Places, entry: DatasetDownloads, obtained: Sequence[Obtained]) -> dict[str, Any]:
    files = [
        {
            "name": each.file.name,
            "path": str(each.path),
            "bytes": each.record.bytes if each.record.bytes is not None else each.record.size,
            "sha256": each.record.digests.get("sha256"),
            "source": each.record.source,
            "how": each.how,
            "checked": each.checked,
        }
        for each in obtained
    ]
    return {
        "tier": "full",
        "root": str(places.root),
        "files": files,
        "licence": "; ".join(f"{licence.name} ({licence.covers})" for licence in entry.licences),
        "citation": entry.citation,
    }
