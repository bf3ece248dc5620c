from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from convbench.errors import DataError
from convbench.io.trec import read_qrels


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "judgements.qrel"
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_blanks_tabs_crlf_and_zero_grades(tmp_path: Path) -> None:
    path = written(tmp_path, "31_1 Q0 CAR_a 0\r\n31_1\t0\tMARCO_1\t4\n\n31_2  0  CAR_a  -1\n")
    assert read_qrels(path) == {"31_1": {"CAR_a": 0, "MARCO_1": 4}, "31_2": {"CAR_a": -1}}


def test_only_ascii_blanks_separate(tmp_path: Path) -> None:
    assert read_qrels(written(tmp_path, "1_1 0 Rio\N{NO-BREAK SPACE}Grande:3 1\n")) == {"1_1": {"Rio\N{NO-BREAK SPACE}Grande:3": 1}}


def test_gunzips_by_name(tmp_path: Path) -> None:
    path = tmp_path / "q.txt.gz"
    path.write_bytes(gzip.compress(b"1_1 0 p 1\n"))
    assert read_qrels(path) == {"1_1": {"p": 1}}


def test_a_repeated_judgement_must_agree(tmp_path: Path) -> None:
    assert read_qrels(written(tmp_path, "1_1 0 p 1\n1_1 0 p 1\n")) == {"1_1": {"p": 1}}
    with pytest.raises(DataError, match=r"judgements\.qrel:2: turn 1_1: passage 'p' has the grades 1 and 2"):
        read_qrels(written(tmp_path, "1_1 0 p 1\n1_1 0 p 2\n"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1_1 0 p", "expected 4 columns 'turn_id 0 passage_id grade', found 3"),
        ("1_1 0 Rio Grande:3 1", "found 5"),
        ("1_1 0 p 1.0", "turn 1_1: grade '1.0' is not an integer"),
        (f"1_1 0 p {'9' * 5000}", f"turn 1_1: grade '{'9' * 39} is not an integer of at most 100 digits$"),
        ("1_1 0 p ٣", "is not an integer"),
    ],
)
def test_bad_lines_name_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_qrels(written(tmp_path, f"9_9 0 p 1\n{line}\n"))
    assert "judgements.qrel:2:" in str(caught.value)


def test_real_integer_qrels_load_as_trec(real_data: Path) -> None:
    qrels = read_qrels(real_data / "qrecc" / "qrels" / "qrecc_qrel.tsv.gz")
    assert sum(map(len, qrels.values())) == 10435
    assert qrels["QReCC-Test_2_2"] == {"51467465": 1, "54470377": 1}
