"""Options and places that the commands of ``convbench leaderboard`` share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from convbench.cli.option_values import parse_options
from convbench.errors import MissingFileError, UsageError

F = TypeVar("F", bound=Callable[..., Any])

DIFFERS = 1
"""Exit code where something that was committed is not what it is now."""


def root_option(function: F) -> F:
    """The folder of leaderboards."""
    text = "Folder of leaderboards. Default: `leaderboards` in the checkout of convbench."
    return click.option("--root", type=click.Path(path_type=Path), help=text)(function)


def json_option(function: F) -> F:
    """JSON in place of text."""
    return click.option("--json", "as_json", is_flag=True, help="Print as JSON.")(function)


def real_data_option(function: F) -> F:
    """The samples of real data."""
    text = "Folder of samples of real data, for the sample tracks. Default: $CONVBENCH_REAL_DATA."
    return click.option("--real-data", type=click.Path(path_type=Path), envvar="CONVBENCH_REAL_DATA", help=text)(function)


def data_options(function: Callable[..., None]) -> Callable[..., None]:
    """Where the data of tracks are, bundled sets apart; the command gets ``files`` and ``cache``."""

    @functools.wraps(function)
    def with_files(*arguments: Any, real_data: Path | None, data: tuple[str, ...], cache: Path | None, **given: Any) -> None:
        from convbench.io.cache import cache_root
        from convbench.leaderboard.track_data import Files

        whole = {name: Path(folder) for name, folder in parse_options(data, "--data", "DATASET=DIR").items()}
        function(*arguments, files=Files(real_data, whole), cache=cache or cache_root(), **given)

    command: Callable[..., None] = with_files
    decorators: list[Callable[[Callable[..., None]], Callable[..., None]]] = [
        real_data_option,
        click.option("--data", multiple=True, metavar="DATASET=DIR", help="A dataset's official files, for its full-scale track."),
        click.option(
            "--cache", type=click.Path(path_type=Path), help="Folder for passage stores. Default: $CONVBENCH_CACHE, ~/.cache/convbench."
        ),
    ]
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def root_of(root: Path | None) -> Path:
    """The folder of leaderboards: the one that was named, else convbench's own."""
    from convbench.systems.catalog import shipped

    place = root if root is not None else shipped("leaderboards")
    if not place.is_dir():
        raise MissingFileError(f"{place}: no such folder; expected a folder of leaderboards (--root)")
    return place


def writable_root(root: Path | None) -> Path:
    """As ``root_of``; a folder inside the installed package is for reading."""
    place = root_of(root)
    if root is None and place.parent.name == "_shipped":
        raise UsageError("the leaderboards inside the installed package are not to be changed: name your own folder with --root")
    return place


def show_packed(done: dict[str, str], *, as_json: bool) -> None:
    """Says what became of a run: where it was packed, or why it was refused."""
    if "refused" in done:
        click.echo(f"refused: {done['refused']}", err=True)
    elif not as_json:
        click.echo(f"packed: {done['packed']}")
