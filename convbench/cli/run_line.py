"""The ``convbench run`` line to go on with after files were prepared."""

from __future__ import annotations

import shlex

from convbench.cli.options import Source


def run_line(dataset: str, source: Source) -> str:
    """Runs a baseline on a dataset read from where ``source`` says."""
    more = [(f"--{name}", getattr(source, name)) for name in ("data", "split", "corpus", "rewrites")]
    words = ["convbench", "run", "bm25-history", "-d", dataset]
    return shlex.join([*words, *(str(word) for name, value in more if value is not None for word in (name, value))])
