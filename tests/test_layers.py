"""Imports go only downward: a module may import its own package and the layers below it, wherever in the file the import stands."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import convbench

PACKAGE = Path(convbench.__file__).parent
# From bottom to top. What stands side by side must not import one another either.
LAYERS = [
    {"errors", "types"},
    {"registry", "progress", "meter"},
    {"config"},
    {"io"},
    {"datasets"},
    {"views"},
    {"backends"},
    {"writing"},
    {"retrieval", "rewriting", "generation"},
    {"metrics"},
    {"systems"},
    {"analysis"},
    {"harness"},
    {"exchange", "comparison", "store"},
    {"validation", "report"},
    {"training", "leaderboard"},
    {"cli"},
    {"__main__"},
]
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def part_of(dotted: str) -> str:
    """``io`` of ``convbench.io.jsonl``; empty for the bare package, which holds nothing but its version."""
    return [*dotted.split("."), ""][1]


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import from convbench, those within functions and for type checkers included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports hide the layer"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((node.lineno, name) for name in names if name.split(".")[0] == "convbench")


def upward(module: Path, source: str) -> list[str]:
    """The imports of a module that do not go down, as ``path:line imports name``."""
    own = module.parts[0].removesuffix(".py")
    found = []
    for line, name in imports(ast.parse(source)):
        other = part_of(name)
        below = not HEIGHT.keys() & {other} or other == own or HEIGHT[other] < HEIGHT.get(own, len(LAYERS))
        if not below:
            found.append(f"convbench/{module.as_posix()}:{line} imports {name}")
    return found


def test_every_part_has_a_layer() -> None:
    parts = {path.parts[0].removesuffix(".py") for path in MODULES} - {"__init__", "_shipped"}
    assert parts == HEIGHT.keys()


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.as_posix())
def test_imports_go_only_downward(module: Path) -> None:
    assert upward(module, (PACKAGE / module).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import convbench.harness.run",
        "from convbench.harness.run import run",
        "from convbench import cli",
        "from convbench.rewriting import base",
        "def f():\n    from convbench.metrics import METRICS",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from convbench.systems.base import Row",
    ],
)
def test_the_rule_sees_an_import_upward_or_sideways(source: str) -> None:
    assert len(upward(Path("retrieval/bm25.py"), source)) == 1


@pytest.mark.parametrize(
    "source", ["import convbench", "from convbench.retrieval import text", "from convbench.io.jsonl import read_json", "import io"]
)
def test_the_rule_lets_imports_downward_pass(source: str) -> None:
    assert upward(Path("retrieval/bm25.py"), source) == []
