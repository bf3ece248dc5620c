"""Which datasets, and which splits of them, people mean by what they write of their training data.

Nobody writes ``topiocqa`` and ``dev``: it is ``McGill-NLP/TopiOCQA``, ``TopiOCQA validation set``, or ``train, dev``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from convbench.datasets import DATASETS
from convbench.datasets.adapters import MINI
from convbench.datasets.origins import spellings
from convbench.leaderboard.look_alikes import look

_WORD = re.compile(r"[^\W_]+")
_PIECES = re.compile(r"[,;+&|/]|\band\b")
_OWN_FILES = "generic"
"""The adapter of people's own files has the name of no dataset."""
_SHORTEST = 4
"""Letters of a name that is looked for inside longer words; ``cast`` stands in too many."""
_COMMON = ("cast",)

_SPLITS = (("train", "training"), ("dev", "development", "valid", "validation", "val"), ("test", "testing", "eval", "evaluation"))
_WHOLE = ("all", "full", "whole", "entire", "complete", "everything")
_SAY_NOTHING = """
the a an of on from in and plus with only its our split splits set sets part portion subset section data dataset datasets corpus collection
benchmark official original standard public released release version v1 v2 hf ml filtered cleaned deduplicated conversation conversations
conversational dialogue dialogues dialog dialogs session sessions turn turns question questions answer answers query queries rewrite
rewrites passage passages example examples sample samples pair pairs human half some most
"""


@dataclass(frozen=True, slots=True)
class Named:
    """A dataset or origin that a text names.

    Attributes:
        name: By the name that the table of origins has for it.
        splits: The splits that are named, by the names that the dataset has for them; empty where none is, or it has none.
        certain: Whether the whole text was understood: no other words stand there that may change what is meant.
    """

    name: str
    splits: tuple[str, ...]
    certain: bool


def named_in(source: str, split: str | None) -> list[Named]:
    """What a source of training data names, each dataset or origin once. Of several in one source no split is known: whose would it be?

    Args:
        source: What the card calls it.
        split: The part of it that the card names; where there is none, one may stand in the source itself.
    """
    owner, _, bare = source.rpartition("/")
    words = _words(bare)
    names, others = _split_off(words, _known_words())
    if not names:  # an owner's name is left out only where the rest is a name
        names, others = _split_off(_words(source), _known_words())
    if not names:
        names, others = _inside(words)
    if owner and _PIECES.search(owner):
        others = [*others, owner]
    several = len(set(names)) > 1
    return [Named(name, (), certain=True) if several else _named(name, others, split) for name in dict.fromkeys(names)]


def _named(name: str, others: Sequence[str], split: str | None) -> Named:
    left = [word for word in others if word not in _saying_nothing()]
    inside, unknown = _splits_in(name, left)
    if split is None:
        return Named(name, tuple(dict.fromkeys(inside)), not unknown)
    given, odd = _splits_of(name, split)
    has_splits = name in DATASETS.names()
    return Named(name, tuple(dict.fromkeys((*given, *inside))), not (unknown or (odd and has_splits)))


def _splits_of(name: str, text: str) -> tuple[list[str], list[str]]:
    """The splits that a text names, which may be a list of them, and the words that name none."""
    found: list[str] = []
    left: list[str] = []
    for piece in _PIECES.split(text):
        exact = _splits(name).get("".join(_words(piece)))
        if exact:
            found += exact
            continue
        named, odd = _splits_in(name, [word for word in _words(piece) if word not in _saying_nothing() or word in _splits(name)])
        found += named
        left += odd
    return found, left


def _splits_in(name: str, words: Sequence[str]) -> tuple[list[str], list[str]]:
    known = _splits(name)
    return [split for word in words for split in known.get(word, ())], [word for word in words if word not in known]


def _split_off(words: Sequence[str], known: dict[str, str]) -> tuple[list[str], list[str]]:
    """Known names among words, the longest first at each place, and the words that are left; a name may be of several words."""
    names: list[str] = []
    left: list[str] = []
    place = 0
    while place < len(words):
        for end in range(len(words), place, -1):
            if name := known.get("".join(words[place:end])):
                names.append(name)
                place = end
                break
        else:
            left.append(words[place])
            place += 1
    return names, left


def _inside(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """A known name that stands inside a longer word; the rest of the word, and the other words, are left."""
    for place, word in enumerate(words):
        for letters, name in sorted(_known_words().items(), key=lambda item: -len(item[0])):
            if len(letters) >= _SHORTEST and letters not in _COMMON and letters in word:
                before, _, after = word.partition(letters)
                return [name], [*words[:place], *filter(None, (before, after)), *words[place + 1 :]]
    return [], list(words)


def _words(text: str) -> list[str]:
    return _WORD.findall(look(text))


@cache
def _saying_nothing() -> frozenset[str]:
    """Words that do not change which dataset is meant, as they look."""
    return frozenset(_words(_SAY_NOTHING))


@cache
def _known_words() -> dict[str, str]:
    """A name's words in one, as they look -> the name."""
    return {"".join(_words(spelling)): name for spelling, name in spellings().items() if name != _OWN_FILES}


@cache
def _splits(name: str) -> dict[str, tuple[str, ...]]:
    """What names splits of a dataset, as it looks -> the splits."""
    if name not in DATASETS.names():
        return {"".join(_words(word)): () for words in (*_SPLITS, _WHOLE) for word in words}
    own = DATASETS.get(name).splits
    known = {"".join(_words(word)): (split,) for word, split in own.items()}
    for words in _SPLITS:
        if named := next((own[word] for word in words if word in own), None):
            known |= {"".join(_words(word)): (named,) for word in words if "".join(_words(word)) not in known}
    whole = tuple(dict.fromkeys(split for split in own.values() if split != MINI))
    return known | {"".join(_words(word)): whole for word in _WHOLE}


def readings(named: Named) -> Iterator[str | None]:
    """The splits that may be meant; None: any of them, where none is named or more than one thing may be."""
    yield from named.splits
    if not named.splits:
        yield None
