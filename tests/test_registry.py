from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from convbench.errors import UsageError
from convbench.registry import Registry, did_you_mean

GROUP = "convbench.shapes"
BUILTINS = {"circle": "decimal:Decimal", "square": "fractions:Fraction"}

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a real, tiny distribution with entry points on the path."""

    def write(package: str, entry_points: str, code: str = "class Shape:\n    pass\n") -> None:
        site = tmp_path / package
        info = site / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{entry_points}\n")
        (site / f"{package}.py").write_text(code)
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, package, raising=False)

    return write


def test_a_near_miss_is_suggested() -> None:
    assert did_you_mean("topioqa", ["topiocqa", "qrecc"]) == " Did you mean 'topiocqa'?"
    assert did_you_mean("xyz", ["topiocqa", "qrecc"]) == ""
    assert did_you_mean("anything", []) == ""


def test_built_ins_are_imported_on_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lazy_shape.py").write_text("Shape = 'triangle'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = Registry("shape", {"triangle": "lazy_shape:Shape"})
    assert registry.names() == ["triangle"]
    assert "lazy_shape" not in sys.modules
    assert registry.get("triangle") == "triangle"
    monkeypatch.delitem(sys.modules, "lazy_shape")


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(UsageError, match=r"^unknown shape 'cirle'\. Did you mean 'circle'\? Known: circle, square$"):
        Registry("shape", BUILTINS).get("cirle")
    with pytest.raises(UsageError, match=r"^unknown shape ''\. Known: circle, square$"):
        Registry("shape", BUILTINS).get("")


def test_another_package_adds_a_name(install: Install) -> None:
    install("cb_hexagons", "hexagon = cb_hexagons:Shape")
    registry = Registry("shape", BUILTINS, group=GROUP)
    assert registry.names() == ["circle", "hexagon", "square"]
    assert "cb_hexagons" not in sys.modules
    assert registry.get("hexagon").__module__ == "cb_hexagons"
    assert Registry("shape", BUILTINS).names() == ["circle", "square"]


def test_a_collision_names_both(install: Install) -> None:
    install("cb_circles", "circle = cb_circles:Shape")
    with pytest.raises(
        UsageError, match=r"^two packages register the shape 'circle': decimal:Decimal and cb_circles:Shape; uninstall or rename one$"
    ):
        Registry("shape", BUILTINS, group=GROUP).names()


def test_two_packages_collide_as_well(install: Install) -> None:
    install("cb_first", "star = cb_first:Shape")
    install("cb_second", "star = cb_second:Shape")
    with pytest.raises(UsageError, match="two packages register the shape 'star'"):
        Registry("shape", {}, group=GROUP).get("star")


def test_the_same_entry_point_seen_twice_is_no_collision(install: Install) -> None:
    install("cb_same", "circle = decimal:Decimal")
    assert Registry("shape", BUILTINS, group=GROUP).names() == ["circle", "square"]


@pytest.mark.parametrize(
    ("target", "code", "reason"),
    [
        ("cb_broken_nowhere:Shape", "", "No module named 'cb_broken_nowhere'"),
        ("cb_broken:Missing", "", "has no attribute 'Missing'"),
        ("cb_broken:Shape", "import a_module_that_is_not_there\n", "No module named 'a_module_that_is_not_there'"),
    ],
)
def test_a_plug_in_that_cannot_be_imported(install: Install, target: str, code: str, reason: str) -> None:
    install("cb_broken", f"broken = {target}", code)
    with pytest.raises(UsageError, match=f"the shape 'broken' cannot be imported from {target}: .*{reason}") as caught:
        Registry("shape", BUILTINS, group=GROUP).get("broken")
    assert "\n" not in str(caught.value)
