"""Signatures in words: what a measure was computed with, for readers who have no manual at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from convbench.metrics.signatures import parsed

_OWN = ("measure", "protocol", "data", "turns", "truth", "collection")
"""Parts that are said elsewhere: the name, the protocol, and what of the data was used."""

_MISSING = {"zero": "a turn that the run lacks scores 0", "skip": "a turn that the run lacks is left out of the average"}
_TIES = {"id-desc": "equal scores ordered by passage id, descending"}
_UNJUDGED = {"left-out": "turns without gold passages left out", "zero": "turns without gold passages score 0"}
_REFERENCES = {"max": "the best of several references", "leave-one-out": "references left out in turn, the best of the rest, averaged"}
_NORMALISERS = {"squad": "SQuAD normalisation", "none": "texts as they are"}

_PHRASES: Mapping[str, Callable[[str], str]] = {
    "rel": lambda value: f"a passage counts as relevant from grade {value} on",
    "depth": lambda value: f"rankings cut at {value} passages",
    "ties": lambda value: _TIES.get(value, f"ties: {value}"),
    "unjudged": lambda value: _UNJUDGED.get(value, f"turns without gold passages: {value}"),
    "match": lambda value: f"a passage matches by {value.replace('+', ' and ')}",
    "missing": lambda value: _MISSING.get(value, f"missing turns: {value}"),
    "refs": lambda value: _REFERENCES.get(value, f"references: {value}"),
    "against": lambda value: f"against the {value} texts",
    "stem": lambda value: "Porter stemming" if value == "yes" else "no stemming",
    "split": lambda value: f"split into {value}",
    "norm": lambda value: _NORMALISERS.get(value, f"normalised by {value}"),
    "tok": lambda value: f"tokens by {value}",
    "case": lambda value: f"{value} case",
    "smooth": lambda value: f"smoothing {value}",
    "eff": lambda value: "effective order" if value == "yes" else "no effective order",
    "nrefs": lambda value: "a varying number of references" if value == "var" else f"{value} references",
    "model": lambda value: f"model {value}",
    "layer": lambda value: f"layer {value}",
    "idf": lambda value: "idf weights" if value == "yes" else "no idf weights",
    "rescale": lambda value: "rescaled" if value == "yes" else "not rescaled",
    "max": lambda value: f"texts cut at {value} tokens",
    "source": lambda value: f"source: {value}",
    "without": lambda value: "all tokens" if value == "nothing" else f"tokens of the {value} left out",
}

_PACKAGES = ("ir-measures", "rouge-score", "sacrebleu", "bert-score", "transformers")


def signature_in_words(signature: str) -> str:
    """What a signature fixes, apart from name, protocol and data, in phrases; parts that have no words stay as they are."""
    parts = {key: value for key, value in parsed(signature).items() if key not in _OWN}
    phrases = [_phrase(key, value) for key, value in parts.items() if key not in _PACKAGES]
    packages = [f"{key} {parts[key]}" for key in _PACKAGES if key in parts]
    return "; ".join([*phrases, *([f"computed with {', '.join(packages)}"] if packages else [])])


def _phrase(key: str, value: str) -> str:
    if key in _PHRASES:
        return _PHRASES[key](value)
    if key == value:
        return key
    return f"{key.replace('-', ' ')}: {value}"
