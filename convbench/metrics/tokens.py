"""How a response is cut into the tokens that overlap measures count: a normaliser and a tokenizer, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from typing import TYPE_CHECKING

from convbench.errors import UsageError
from convbench.metrics import squad

if TYPE_CHECKING:
    from spacy.language import Language

_REMEMBERED = 1 << 16


@dataclass(frozen=True, slots=True)
class Tokens:
    """One way of cutting texts.

    Attributes:
        split: Response -> tokens.
        split_reference: Reference -> tokens; the same but where the original treats them differently.
        empty: What two texts without a token score: 1 where they agree (SQuAD), 0 where the original counts common tokens only.
        parts: What a signature says of it.
    """

    split: Callable[[str], list[str]]
    split_reference: Callable[[str], list[str]]
    empty: float
    parts: dict[str, str]


def tokens(normaliser: str, tokenizer: str) -> Tokens:
    """The way of cutting that a protocol names.

    - ``squad`` on ``whitespace``: SQuAD's official evaluation.
    - ``squad`` on ``spacy``: INSCIT's ``eval.py``, which normalises what spaCy's English tokenizer has cut.
    - ``content-words`` on ``spacy``: the lower-cased tokens that are neither stop words nor punctuation, as ``baselines.py`` of Q²
      (Honovich et al. 2021) does and FaithDial after it.
    - ``content-words-of-lowered-reference`` on ``spacy``: the same, and the reference is put in lower case before it is cut, as that
      script does with knowledge texts (``U.S.`` and ``u.s.`` are cut differently).

    Raises:
        UsageError: There is no such pair.
    """
    ways: dict[tuple[str, str], tuple[Callable[[str], list[str]], Callable[[str], list[str]], float]] = {
        ("squad", "whitespace"): (squad.tokens, squad.tokens, 1.0),
        ("squad", "spacy"): (_squad_of_spacy, _squad_of_spacy, 1.0),
        ("content-words", "spacy"): (_content_words, _content_words, 0.0),
        ("content-words-of-lowered-reference", "spacy"): (_content_words, lambda text: _content_words(text.lower()), 0.0),
    }
    if (normaliser, tokenizer) not in ways:
        known = ", ".join(f"{n} on {t}" for n, t in ways)
        raise UsageError(f"no tokens for the normaliser {normaliser!r} on the tokenizer {tokenizer!r}; expected one of {known}")
    given, expected, empty = ways[normaliser, tokenizer]
    version = f"-{metadata.version('spacy')}" if tokenizer == "spacy" else ""
    remember = lru_cache(maxsize=_REMEMBERED)
    return Tokens(remember(given), remember(expected), empty, {"norm": normaliser, "tok": f"{tokenizer}{version}"})


@lru_cache(maxsize=1)
def _english() -> Language:
    """SpaCy's English tokenizer, stop words and punctuation; no trained model is needed for them."""
    import spacy

    return spacy.blank("en")


def _squad_of_spacy(text: str) -> list[str]:
    return squad.tokens(" ".join(token.text for token in _english().make_doc(" ".join(text.lower().split()))))


def _content_words(text: str) -> list[str]:
    return [token.text.lower() for token in _english().make_doc(text) if not token.is_stop and not token.is_punct]
