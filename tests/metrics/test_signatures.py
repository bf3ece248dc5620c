from __future__ import annotations

from convbench.metrics.signatures import Difference, differences, parsed

ONE = "nDCG@3|protocol:convgqr-line|depth:100|ties:id-desc|turns:abc"
BERT = "bertscore-f1|model:roberta-large@12|L17|idf:no"


def test_parts() -> None:
    assert parsed(ONE) == {"measure": "nDCG@3", "protocol": "convgqr-line", "depth": "100", "ties": "id-desc", "turns": "abc"}
    assert parsed(BERT)["layer"] == "17"
    assert parsed("BLEU|exp")["exp"] == "exp", "a part without a key is its own"


def test_equal_signatures_compare() -> None:
    assert differences(ONE, ONE) == []


def test_what_differs_is_named() -> None:
    other = "nDCG@3|protocol:convgqr-line|depth:5|ties:id-desc|turns:def"
    assert differences(ONE, other) == [Difference("depth", "100", "5"), Difference("turns", "abc", "def")]
    assert [str(each) for each in differences(ONE, other)] == ["depth is 100 against 5", "turns is abc against def"]


def test_a_part_that_only_one_has_differs() -> None:
    assert differences(BERT, BERT.replace("|L17", "")) == [Difference("layer", "17", "absent")]


def test_layers_are_one_part_with_two_values() -> None:
    assert differences(BERT, BERT.replace("|L17", "|L16")) == [Difference("layer", "17", "16")]
