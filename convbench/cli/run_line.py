"""The ``convbench run`` line to go on with after files were prepared."""

from __future__ import annotations

import shlex

from convbench.cli.data_options import Source


def run_line(dataset: str, source: Source) -> str:
    """Runs a baseline on a dataset read from where ``source`` says, and as it says."""
    more = [(f"--{name}", getattr(source, name)) for name in ("data", "split", "corpus", "rewrites")]
    more += [("--option", f"{name}={value}") for name, value in source.options.items()]
    if (part := source.conversations) is not None:
        more.append(("--conversations", f"{part.part}:{part.hold_out.count or part.hold_out.share}:{part.hold_out.salt}"))
    more.append(("--limit", source.limit))
    words = ["convbench", "run", "bm25-history", "-d", dataset]
    return shlex.join([*words, *(str(word) for name, value in more if value is not None for word in (name, value))])
