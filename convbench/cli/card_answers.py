"""The options that answer what a run does not say of its system, put together with those of a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from convbench.cli.option_values import parse_options
from convbench.errors import UsageError

if TYPE_CHECKING:
    from convbench.leaderboard.answers import Answers

FORM = "SOURCE[:SPLIT][=OVERLAP]"
NOTHING = "nothing"


def answers_of(
    file: Path | None, *, submission: str | None, authors: str | None, links: tuple[str, ...], trained_on: tuple[str, ...]
) -> Answers:
    """The answers of a file, with those of the options in their place where both have one.

    Args:
        file: A YAML file of answers.
        submission: ``--id``.
        authors: ``--author``.
        links: ``--link``, each ``NAME=URL``.
        trained_on: ``--trained-on``, each a source or the one word for none.

    Raises:
        MissingFileError, DataError: The file is not there or wrong.
        UsageError: An option has not the form it should have.
    """
    from convbench.config import build_config, load_config
    from convbench.leaderboard.answers import Answers

    values = load_config(Answers, file).model_dump(exclude_unset=True) if file is not None else {}
    given = {"id": submission, "authors": authors, "links": parse_options(links, "--link", "NAME=URL") or None}
    values |= {key: value for key, value in given.items() if value is not None}
    if trained_on:
        values["training"] = _sources(trained_on)
    return build_config(Answers, values, "answers")


def _sources(trained_on: tuple[str, ...]) -> list[dict[str, Any]]:
    if NOTHING not in trained_on:
        return [_source(text) for text in trained_on]
    if len(trained_on) > 1:
        raise UsageError(f"--trained-on {NOTHING}: says that there is no source; leave it or the others out")
    return []


def _source(text: str) -> dict[str, Any]:
    from typing import get_args

    from convbench.leaderboard.card import Overlap

    named, separator, overlap = text.partition("=")
    source, _, split = named.partition(":")
    if not source or (separator and overlap not in get_args(Overlap)):
        raise UsageError(f"--trained-on {text!r}: expected {FORM}, OVERLAP being one of {', '.join(get_args(Overlap))}")
    return {"source": source, "split": split or None, "overlap": overlap or "unknown"}
