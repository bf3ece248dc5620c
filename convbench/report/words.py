"""Conditions, collections and settings in words a reader needs no manual for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from convbench.harness.results import DatasetResult, Machine

_HISTORY = {
    "query": "current query only",
    "queries": "current and earlier queries",
    "full": "current query, earlier queries and responses",
    "full-own": "current query, earlier queries and the system's own responses",
    "rewrite": "human rewrite of the query",
    "none": "no history",
}
_REWRITER = {"none": "no rewriter", "human": "human rewrite of the query"}
_EVIDENCE = {
    "retrieved": "answers from retrieved passages",
    "gold": "answers from gold passages",
    "gold+noise": "answers from gold passages among retrieved ones",
    "retrieved-minus-gold": "answers from retrieved passages without the gold ones",
    "other-turn": "answers from gold passages of another conversation",
    "none": "answers without passages",
    "random": "answers from a random passage",
}
_LAST = re.compile(r"last-(\d+)")

ABSENT = "–"
"""Stands for a value that there is none of."""

TIERS = {
    "mini": "bundled mini set, for trying things out",
    "corpus": "corpus file as given",
    "gold-union": "union of the gold passages: no corpus file, so an easier task than the real one",
    "pooled": "pool of a larger collection, so an easier task than the real one",
    "unchecked": "not at hand, so passage ids are unchecked",
}


def conditions_in_words(conditions: Mapping[str, Any]) -> list[str]:
    """One phrase a condition: history, rewriter, rankings, evidence, depth, then any other by its key; those that are null are left out."""
    known = {
        "history": _history,
        "rewriter": _rewriter,
        "rankings": _rankings,
        "evidence": _evidence,
        "passages": _passages,
        "k": _depth,
        "decoding": _decoding,
    }
    given = {key: value for key, value in conditions.items() if value is not None}
    phrases = [phrase(given[key]) for key, phrase in known.items() if key in given]
    return [*phrases, *(f"{key}: {in_words(value)}" for key, value in given.items() if key not in known)]


def _history(history: Any) -> str:
    view = str(history["view"] if isinstance(history, dict) and "view" in history else in_words(history))
    last = _LAST.fullmatch(view)
    words = f"current query, last {last[1]} exchanges" if last else _HISTORY.get(view, f"history: {view}")
    ordered = isinstance(history, dict) and "order" in history and view not in ("query", "none")
    return f"{words}, {str(history['order']).replace('-', ' ')}" if ordered else words


def _rewriter(rewriter: Any) -> str:
    words = in_words(rewriter)
    return _REWRITER.get(words, f"rewriter: {words}")


def _rankings(system: Any) -> str:
    return f"passages from the rankings of {in_words(system)}"


def _evidence(evidence: Any) -> str:
    words = in_words(evidence)
    return _EVIDENCE.get(words, f"evidence: {words}")


def _depth(k: Any) -> str:
    return f"depth {in_words(k)}"


def _passages(count: Any) -> str:
    return f"at most {counted(count, 'passage')}" if isinstance(count, int) else f"passages: {in_words(count)}"


def _decoding(decoding: Any) -> str:
    if not isinstance(decoding, dict) or "temperature" not in decoding:
        return f"decoding: {in_words(decoding)}"
    limits = [f"top {key[-1]} {decoding[key]}" for key, off in (("top_k", 0), ("top_p", 1)) if decoding.get(key, off) != off]
    how = "greedy" if decoding["temperature"] == 0 else ", ".join([f"sampled at temperature {decoding['temperature']}", *limits])
    return f"{how}, up to {counted(decoding['max_new_tokens'], 'token')}" if "max_new_tokens" in decoding else how


def dataset_facts(dataset: DatasetResult) -> list[tuple[str, str]]:
    """(label, text) of what a dataset table was measured on."""
    options = ", ".join(f"{name} = {value}" for name, value in sorted(dataset.options.items()))
    turns = f"{counted(dataset.n_turns, 'turn')} in {counted(dataset.n_conversations, 'conversation')}, {dataset.n_judged:,} judged"
    passages = [counted(dataset.passages, "passage")] if dataset.passages is not None else []
    collection = [f"collection {dataset.collection_sha256[:12]}"] if dataset.collection_sha256 else []
    full = [f"pooled from collection {dataset.pool.full_sha256[:12]}"] if dataset.pool else []
    return [
        ("Collection", "; ".join([*passages, tier_in_words(dataset)])),
        ("Turns", turns),
        ("Options", options or "none"),
        ("Licence", dataset.licence),
        ("Identity", ", ".join([*collection, *full, f"turns {dataset.turnset_sha256[:12]}"])),
    ]


def tier_in_words(dataset: DatasetResult) -> str:
    """What the passages were; of a pool also what it was taken from."""
    pool = dataset.pool
    if pool is None:
        return TIERS[dataset.tier]
    taken = f"gold passages and the top {pool.depth} of {' and '.join(pool.systems)}, out of {counted(pool.full_passages, 'passage')}"
    return f"{TIERS[dataset.tier]}: {taken}"


def machine_in_words(machine: Machine | None) -> str:
    """What times were measured on."""
    if machine is None:
        return "unknown"
    device = [machine.device] if machine.device not in (None, "cpu") else []
    return ", ".join([*device, machine.processor, counted(machine.threads, "thread"), machine.platform])


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural where it needs one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def magnitude(number: int) -> str:
    """A number of parameters, with three digits: ``22.7 M``."""
    rounded = float(f"{number:.3g}")
    size, unit = next(((size, unit) for size, unit in ((1e9, " B"), (1e6, " M"), (1e3, " K")) if rounded >= size), (1, ""))
    return f"{rounded / size:.3g}{unit}"


def in_words(value: Any) -> str:
    """Any JSON value on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {in_words(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(in_words(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return "none" if value is None else str(value)
