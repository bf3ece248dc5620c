"""How long sessions, passages and responses are, turn by turn, and how much of them a model's window would cut."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from convbench.errors import MissingFileError, ResourceError
from convbench.io.bounds import MAX_DOCUMENT, MIB
from convbench.types import Passage, Turn
from convbench.views.history import history_view, utterances
from convbench.views.passages import passage_text
from convbench.views.session import SessionTemplate

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WINDOWS = (64, 128, 256, 512, 1024, 2048, 4096)
"""Window sizes in tokens."""

VIEWS = ("query", "queries", "last-3", "full")
"""History views that are measured, without the view of a system's own responses, which no data show."""

PARTS = ("question", "session", "passage", "response")

_DEPTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_BATCH = 512
_BYTES_PER_TOKEN = 4


class TokenCounter(Protocol):
    """Counts tokens; ``rule`` says how."""

    @property
    def rule(self) -> str:
        """One line for readers."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text."""


class ByteEstimate:
    """One token for every four bytes of UTF-8, rounded up: close for English and subword vocabularies, and not blind to other scripts."""

    rule = f"estimated: one token for every {_BYTES_PER_TOKEN} bytes of UTF-8, rounded up"

    def count(self, texts: Sequence[str]) -> list[int]:
        """The estimates."""
        return [-(-len(text.encode()) // _BYTES_PER_TOKEN) for text in texts]


class TokenizerCount:
    """The tokens of a ``tokenizer.json``, special tokens included, nothing cut.

    Args:
        path: The file, or the checkpoint folder that holds it.

    Raises:
        MissingFileError: There is no such file.
        ResourceError: The file is not a tokenizer, or larger than a document may be.
    """

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        file = path / "tokenizer.json" if path.is_dir() else path
        if not file.is_file():
            raise MissingFileError(f"{file}: no such file; expected a tokenizer.json or a checkpoint folder that holds one")
        if file.stat().st_size > MAX_DOCUMENT:
            raise ResourceError(f"{file}: not a tokenizer: larger than {MAX_DOCUMENT // MIB} MiB, the most that is read as one document")
        try:
            self._tokenizer: Tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises bare exceptions
            raise ResourceError(f"{file}: not a tokenizer ({str(error).splitlines()[0]:.200})") from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.rule = f"counted with {file.parent.name}/{file.name}, special tokens included"

    def count(self, texts: Sequence[str]) -> list[int]:
        """The exact numbers."""
        return [len(encoding.ids) for encoding in self._tokenizer.encode_batch_fast(list(texts))]


@dataclass(frozen=True, slots=True)
class PartLength:
    """Lengths of one part over some turns: means of words (cut at blanks) and tokens, and the most tokens of any."""

    count: int
    words: float
    tokens: float
    longest: int


@dataclass(frozen=True, slots=True)
class Lengths:
    """What was measured.

    Attributes:
        rule: How tokens were counted.
        turns: How many turns there are.
        depths: Turn numbers (``1``, ``3-4`` ...) -> part -> its lengths; parts that no turn of that depth has are left out.
        over: History view -> window size -> share of the turns whose session does not fit.
    """

    rule: str
    turns: int
    depths: Mapping[str, Mapping[str, PartLength]]
    over: Mapping[str, Mapping[int, float]]


def measure_lengths(turns: Sequence[Turn], gold: Mapping[str, set[str]], passages: Mapping[str, Passage], counter: TokenCounter) -> Lengths:
    """Measures sessions (the question after its history, as systems write it), gold passages with titles, and main responses.

    Args:
        turns: The turns.
        gold: Turn id -> its gold passages.
        passages: The gold passages whose texts are known, by id.
        counter: Counts tokens.
    """
    template = SessionTemplate()
    sums: dict[int, dict[str, _Sum]] = {}
    over = {view: dict.fromkeys(WINDOWS, 0) for view in VIEWS}
    passage_lengths = _passage_lengths(passages, counter)
    for start in range(0, len(turns), _BATCH):
        batch = turns[start : start + _BATCH]
        for view in VIEWS:
            texts = [template.write(turn.query, utterances(history_view(view, turn))) for turn in batch]
            tokens = counter.count(texts)
            for window in WINDOWS:
                over[view][window] += sum(length > window for length in tokens)
            if part := {"query": "question", "full": "session"}.get(view):
                _add(sums, part, batch, texts, tokens)
        answered = [(turn, text) for turn in batch if (text := _response(turn))]
        responses = [text for _, text in answered]
        _add(sums, "response", [turn for turn, _ in answered], responses, counter.count(responses))
        for turn in batch:
            for passage in sorted(gold.get(turn.id, set()) & passage_lengths.keys()):
                _sum_of(sums, turn, "passage").add(*passage_lengths[passage])
    return Lengths(
        counter.rule,
        len(turns),
        {_depth_name(place): {part: sums[place][part].mean() for part in PARTS if part in sums[place]} for place in sorted(sums)},
        {view: {window: count / len(turns) for window, count in counts.items()} for view, counts in over.items()} if turns else {},
    )


@dataclass(slots=True)
class _Sum:
    count: int = 0
    words: int = 0
    tokens: int = 0
    longest: int = 0

    def add(self, words: int, tokens: int) -> None:
        self.count += 1
        self.words += words
        self.tokens += tokens
        self.longest = max(self.longest, tokens)

    def mean(self) -> PartLength:
        return PartLength(self.count, self.words / self.count, self.tokens / self.count, self.longest)


def _add(sums: dict[int, dict[str, _Sum]], part: str, turns: Sequence[Turn], texts: Sequence[str], tokens: Sequence[int]) -> None:
    for turn, text, length in zip(turns, texts, tokens, strict=True):
        _sum_of(sums, turn, part).add(len(text.split()), length)


def _sum_of(sums: dict[int, dict[str, _Sum]], turn: Turn, part: str) -> _Sum:
    return sums.setdefault(bisect_left(_DEPTHS, turn.number), {}).setdefault(part, _Sum())


def _depth_name(place: int) -> str:
    first = _DEPTHS[place - 1] + 1 if place else 1
    if place == len(_DEPTHS):
        return f"{first}+"
    return str(first) if first == _DEPTHS[place] else f"{first}-{_DEPTHS[place]}"


def _passage_lengths(passages: Mapping[str, Passage], counter: TokenCounter) -> dict[str, tuple[int, int]]:
    """Words and tokens of every passage: each is counted once, however many turns it is gold of."""
    lengths: dict[str, tuple[int, int]] = {}
    ids = list(passages)
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        texts = [passage_text(passages[id_]) for id_ in batch]
        lengths |= {id_: (len(text.split()), tokens) for id_, text, tokens in zip(batch, texts, counter.count(texts), strict=True)}
    return lengths


def _response(turn: Turn) -> str:
    return next((reference.text for reference in turn.references if reference.kind == "response" and reference.text.strip()), "")
