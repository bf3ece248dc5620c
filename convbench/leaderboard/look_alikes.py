"""What a text looks like: characters that are taken for one another are made one, and what shows nothing is left out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache

# What shows nothing, whatever its category: Unicode's default-ignorable code points (fillers, joiners, variation selectors, tags, and the
# places kept free for more of them), the empty Braille pattern, and glyphs that are drawn empty.
_IGNORABLE = (
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E),
    (0x2060, 0x206F), (0x2800, 0x2800), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8),
    (0x16FE4, 0x16FE4), (0x1BCA0, 0x1BCA3), (0x1D159, 0x1D159), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip

# Beyond Unicode's table, which keeps letters apart that differ in a serif, or only side by side; capitals only where they look like another
# letter than their small form. Compatibility forms (full width, mathematical, ligatures) are left to NFKC.
_LIKE = {
    "a": "аαɑ", "b": "вβь", "c": "сϲᴄ", "d": "ԁɗ", "e": "еεҽ", "f": "ғƒ", "g": "ɡԍց", "h": "һнհΗ", "j": "јϳ", "k": "кκқ",
    "l": "1i|ӏіıɩιǀ", "m": "мΜ", "n": "пոπηΝ", "o": "0оοσօө", "p": "рρ", "q": "ԛզ", "r": "гᴦ", "s": "ѕꜱ", "t": "тτ", "u": "μυս",
    "v": "νѵ", "w": "ԝшωѡ", "x": "хχ×", "y": "уγүʏΥ", "z": "ζᴢ", "3": "зʒɜ", "-": "_‐‑‒–—―−", "'": "\"`´‘’‚‛“”„‟«»‹›′″",
}  # fmt: skip
_FOLD = {ord(other): one for one, others in _LIKE.items() for other in others}
_SMALL_CAPITAL = re.compile(r"LATIN LETTER SMALL CAPITAL ([A-Z])")
_DRAWN_OVER = ("Mn", "Me")
_NOT_SEEN = ("Cc", "Cf")


def is_ignorable(character: str) -> bool:
    """Whether a character shows nothing by itself, though it may be called a letter, a mark or a symbol."""
    point = ord(character)
    return any(first <= point <= last for first, last in _IGNORABLE)


@lru_cache(maxsize=1 << 16)
def look(text: str) -> str:
    """What a text looks like, blanks kept; two with one look may be taken for each other.

    The procedure is that of Unicode's confusable detection (UTS #39, with its table), and coarser: case, accents and whatever else is drawn
    over a letter, the kind of dash and of quotation mark do not count either.
    """
    return (text.translate(_ascii()) if text.isascii() else folded(text)).replace("rn", "m")


def folded(text: str) -> str:
    """A text of any script as it looks, before ``rn`` is made one letter; ASCII alone takes a table of this."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).translate(_table()).casefold())
    return "".join(filter(_shows, plain)).translate(_table()).casefold().translate(_FOLD)


def _shows(character: str) -> bool:
    if character.isspace():
        return True
    return unicodedata.category(character) not in (*_DRAWN_OVER, *_NOT_SEEN) and not is_ignorable(character)


@cache
def _ascii() -> dict[int, str]:
    """What becomes of each character of ASCII, which no neighbour changes: most texts need nothing else, and this is quick."""
    return {point: folded(chr(point)) for point in range(128)}


@cache
def _table() -> dict[int, str]:
    """Character -> the plainest of those that are taken for it."""
    from confusable_homoglyphs.confusables import confusables_data  # type: ignore[import-untyped]

    alike: dict[str, set[str]] = {}
    for character, others in confusables_data.items():
        for other in (each["c"] for each in others):
            if len(character) == len(other) == 1:
                group = alike.get(character, {character}) | alike.get(other, {other})
                alike |= dict.fromkeys(group, group)
    found = {ord(character): min(group, key=_plainness) for character, group in alike.items()}
    return found | dict(_small_capitals()) | _FOLD


def _plainness(character: str) -> tuple[bool, bool, bool, str]:
    return not character.isascii(), not character.isalpha(), not character.islower(), character


def _small_capitals() -> Iterator[tuple[int, str]]:
    for point in (*range(0x250, 0x2B0), *range(0x1D00, 0x1D80), *range(0xA720, 0xA800)):
        if match := _SMALL_CAPITAL.fullmatch(unicodedata.name(chr(point), "")):
            yield point, match[1].lower()
