from __future__ import annotations

import time
from pathlib import Path

import pytest

from convbench.analysis.lengths import ByteEstimate, PartLength, TokenizerCount, measure_lengths
from convbench.errors import MissingFileError, ResourceError
from convbench.io.bounds import MAX_DOCUMENT
from convbench.types import Exchange, Passage, Reference, Turn


class Words:
    rule = "one token a word"

    def count(self, texts: list[str]) -> list[int]:
        return [len(text.split()) for text in texts]


def talk(turns: int) -> list[Turn]:
    """Questions of 10 words, responses of 20, one conversation."""
    said = tuple(Exchange(f"c_{n}", "why " * 10, "so " * 20) for n in range(1, turns + 1))
    return [Turn(e.turn_id, e.query, said[:i], (Reference(e.response or ""),), {f"p{i}": 1}) for i, e in enumerate(said)]


def test_parts_by_depth_and_windows_by_view() -> None:
    turns = talk(5)
    gold = {turn.id: set(turn.gold) for turn in turns}
    lengths = measure_lengths(turns, gold, {"p0": Passage("p0", "four words of text", "A title"), "p4": Passage("p4", "x")}, Words())
    assert (lengths.rule, lengths.turns) == ("one token a word", 5)
    assert list(lengths.depths) == ["1", "2", "3-4", "5-8"]
    assert lengths.depths["1"] == {
        "question": PartLength(1, 10, 10, 10),
        "session": PartLength(1, 10, 10, 10),
        "passage": PartLength(1, 6, 6, 6),
        "response": PartLength(1, 20, 20, 20),
    }
    assert lengths.depths["3-4"]["session"] == PartLength(2, 85, 85, 100)
    assert "passage" not in lengths.depths["3-4"]
    assert lengths.depths["5-8"]["session"].longest == 130
    assert [lengths.over[view][64] for view in ("query", "queries", "last-3", "full")] == [0, 0, 0.6, 0.6]
    assert [lengths.over["full"][window] for window in (64, 128, 256)] == [0.6, 0.2, 0]
    assert lengths.over["last-3"][128] == 0  # three exchanges and the question: 100 words


def test_a_text_that_just_fits_is_not_over() -> None:
    assert measure_lengths([Turn("a_1", "w " * 64)], {}, {}, Words()).over["query"][64] == 0
    assert measure_lengths([Turn("a_1", "w " * 65)], {}, {}, Words()).over["query"][64] == 1


def test_nothing_to_measure() -> None:
    lengths = measure_lengths([], {}, {}, ByteEstimate())
    assert (lengths.turns, lengths.depths, lengths.over) == (0, {}, {})
    (turn,) = [Turn("a_1", "why?", references=(Reference(" "), Reference("So.", "knowledge")))]
    assert set(measure_lengths([turn], {}, {}, ByteEstimate()).depths["1"]) == {"question", "session"}


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("abcd", 1), ("abcde", 2), ("東京", 2)])
def test_the_estimate(text: str, tokens: int) -> None:
    assert ByteEstimate().count([text]) == [tokens]


class TestTokenizer:
    def test_counts_are_the_tokenizers_own(self, tmp_path: Path) -> None:
        from tokenizers import Tokenizer
        from tokenizers.models import WordLevel
        from tokenizers.pre_tokenizers import Whitespace
        from tokenizers.processors import TemplateProcessing

        tokenizer = Tokenizer(WordLevel({"[CLS]": 0, "[UNK]": 1, "why": 2}, "[UNK]"))
        tokenizer.pre_tokenizer = Whitespace()
        tokenizer.post_processor = TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 0)])
        tokenizer.enable_truncation(3)
        tokenizer.enable_padding(length=8)
        tokenizer.save(str(tmp_path / "tokenizer.json"))
        for place in (tmp_path, tmp_path / "tokenizer.json"):
            counter = TokenizerCount(place)
            assert counter.count(["", "why why? what?"]) == [1, 6]  # neither cut nor filled up
            assert counter.rule == f"counted with {tmp_path.name}/tokenizer.json, special tokens included"

    def test_what_is_no_tokenizer(self, tmp_path: Path) -> None:
        with pytest.raises(MissingFileError, match=r"tokenizer\.json: no such file; expected a tokenizer\.json or a checkpoint folder"):
            TokenizerCount(tmp_path)
        with (tmp_path / "tokenizer.json").open("wb") as file:
            file.truncate(MAX_DOCUMENT + 1)  # takes no room on the disk
        start = time.process_time()
        with pytest.raises(ResourceError, match=r"tokenizer\.json: not a tokenizer: larger than 512 MiB, the most that is read"):
            TokenizerCount(tmp_path)
        assert time.process_time() - start < 0.2  # it is not read
        (tmp_path / "tokenizer.json").write_text('{"version": "1.0"}')
        with pytest.raises(ResourceError, match=r"tokenizer\.json: not a tokenizer \("):
            TokenizerCount(tmp_path)
