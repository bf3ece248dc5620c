"""convbench: benchmark and evaluation toolkit for conversational search.

Importing the package stays cheap: nothing here pulls in torch, transformers, faiss or pyarrow (see ``tests/test_imports.py``).

For notebooks::

    import convbench

    run = convbench.load_run("runs/mine")
    run.to_pandas()
    convbench.compare(["runs/mine", "runs/theirs"]).to_pandas()
    convbench.score_trec("run.trec", "qrels.txt", ["nDCG@3", "RR"]).means()
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convbench.comparison.build import compare
    from convbench.harness.finished import load_run
    from convbench.metrics.trec_scoring import score_trec

__version__ = "0.1.0"

__all__ = ["compare", "load_run", "score_trec"]

_LAZY = {
    "compare": "convbench.comparison.build",
    "load_run": "convbench.harness.finished",
    "score_trec": "convbench.metrics.trec_scoring",
}


def __getattr__(name: str) -> Any:
    """The notebook functions, imported on first use."""
    if name not in _LAZY:
        raise AttributeError(f"module 'convbench' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
