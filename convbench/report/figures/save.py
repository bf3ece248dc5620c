"""Pictures as files: SVG for the web, PDF and PNG for papers and slides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convbench.io.atomic import atomic_path, write_text
from convbench.report.figures.canvas import house_style
from convbench.report.figures.picture import Picture
from convbench.report.figures.svg import standalone_svg
from convbench.report.figures.themes import DARK, LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NO_METADATA = {"pdf": {"Creator": None, "Producer": None, "CreationDate": None}, "png": {"Software": None}}


def save_pictures(pictures: Sequence[Picture], folder: Path) -> list[Path]:
    """Writes each picture as ``NAME.svg``, ``NAME.pdf``, ``NAME.png`` (300 dpi) and, for dark backgrounds, ``NAME-dark.png``.

    The same pictures give the same bytes, with the same matplotlib.

    Args:
        pictures: Of any number of tasks; their names are the files'.
        folder: Where to; made if it is not there.

    Returns:
        What was written, in order.

    Raises:
        StorageError: The disk is full or the folder cannot be written to.
    """
    written = []
    for picture in pictures:
        light, path = picture.draw(LIGHT), folder / f"{picture.name}.svg"
        write_text(path, standalone_svg(picture, light, LIGHT))
        written += [path, _save(light, LIGHT, folder / f"{picture.name}.pdf"), _save(light, LIGHT, folder / f"{picture.name}.png")]
        written.append(_save(picture.draw(DARK), DARK, folder / f"{picture.name}-dark.png"))
    return written


def _save(figure: Figure, theme: Theme, path: Path) -> Path:
    kind = path.suffix[1:]
    with house_style(theme), atomic_path(path) as temporary:
        figure.savefig(temporary, format=kind, metadata=_NO_METADATA[kind])
    return path
