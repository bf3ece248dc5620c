from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.datasets.corpora import jsonl_passages, tsv_passages
from convbench.errors import DataError, MissingFileError
from convbench.types import Passage

HEADER = "id\ttext\ttitle\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def one(tmp_path: Path, line: str) -> Passage:
    (passage,) = tsv_passages(write(tmp_path / "one.tsv", HEADER + line + "\n"))
    return passage


def test_header_repeated_inside_the_file_is_no_passage(tmp_path: Path) -> None:
    path = write(tmp_path / "c.tsv", HEADER + "1\tIt rains.\tRain\n" + HEADER + "2\tIt snows.\tSnow\n")
    assert list(tsv_passages(path)) == [Passage("1", "It rains.", "Rain"), Passage("2", "It snows.", "Snow")]


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ('"a ""big"" one"', 'a "big" one'),
        ('""', ""),
        ('""""', '"'),
        ('"tab\there"', "tab\there"),
        ('a 5" nail', 'a 5" nail'),
        ('ends with "', 'ends with "'),
        ('two ""doubled"" quotes', 'two ""doubled"" quotes'),
        ('"Yesterday" is a song', '"Yesterday" is a song'),
        ('"One" and "Two"', '"One" and "Two"'),
        ("", ""),
        (" padded ", " padded "),
        ("carriage\rreturn", "carriage\rreturn"),
        ("línea 雨 🌧", "línea 雨 🌧"),
    ],
)
def test_quotes_are_taken_off_only_where_the_whole_field_is_quoted(tmp_path: Path, field: str, text: str) -> None:
    assert one(tmp_path, f"1\t{field}\tA title") == Passage("1", text, "A title")


def test_quoted_title_and_id(tmp_path: Path) -> None:
    assert one(tmp_path, '"7 ""x"""\tplain\t"Mars [SEP] ""Canals"""') == Passage('7 "x"', "plain", 'Mars [SEP] "Canals"')


@pytest.mark.parametrize("field", ['"never closed', '"', '"""', '"closed by ""nobody""'])
def test_unclosed_quote_is_an_error_and_eats_no_line(tmp_path: Path, field: str) -> None:
    path = write(tmp_path / "c.tsv", HEADER + f'1\t{field}\tT\n2\tends it"\tT\n')
    with pytest.raises(DataError, match=r"c\.tsv:2: column 2 opens a quote that this line does not close"):
        list(tsv_passages(path))


def test_quote_left_open_over_two_lines_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "c.tsv", HEADER + '1\t"first half\nsecond half"\tT\n')
    with pytest.raises(DataError, match=r"c\.tsv:2: column 2 opens a quote"):
        list(tsv_passages(path))


@pytest.mark.parametrize(("line", "found"), [("1\tonly a text", 2), ("1\ta\tb\tc", 4), ('1\t"a\tb"', 2)])
def test_wrong_column_count_names_the_line(tmp_path: Path, line: str, found: int) -> None:
    path = write(tmp_path / "c.tsv", HEADER + "1\ta\tb\n" + line + "\n")
    with pytest.raises(DataError, match=rf"c\.tsv:3: found {found} columns, expected 3 .*: id text title"):
        list(tsv_passages(path))


def test_header_in_another_order_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "c.tsv", "id\ttitle\ttext\n1\tRain\tIt rains.\n")
    with pytest.raises(DataError, match=r"c\.tsv:1: found the header 'id title text', expected 'id text title'"):
        list(tsv_passages(path))


@pytest.mark.parametrize("id_", ["", "  ", "a\x00b", "a\x85b", "a\u2028b", '"a\tb"'])
def test_unusable_id_names_the_line(tmp_path: Path, id_: str) -> None:
    with pytest.raises(DataError, match=r"one\.tsv:2: .*id"):
        one(tmp_path, f"{id_}\ttext\ttitle")


@pytest.mark.parametrize("id_", ["A Quiet Place:28", "Año\u00a0Nuevo:3", "zero\u200bwidth", "https://example.org/a?b=c_p0"])
def test_ids_may_hold_blanks_and_any_script(tmp_path: Path, id_: str) -> None:
    assert one(tmp_path, f"{id_}\ttext\ttitle").id == id_


def test_gzip_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "c.tsv.gz"
    path.write_bytes(gzip.compress('\ufeffid\ttext\ttitle\r\n1\t"a ""b"""\tc\r\n'.encode()))
    assert list(tsv_passages(path)) == [Passage("1", 'a "b"', "c")]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no such file"):
        next(tsv_passages(tmp_path / "none.tsv"))


fields = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=30)  # Python 3.10 cannot write NUL


@given(st.lists(st.tuples(fields, fields), max_size=5))
def test_what_csv_writes_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "c.tsv"
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, delimiter="\t")
        writer.writerow(["id", "text", "title"])
        writer.writerows([str(n), text, title] for n, (text, title) in enumerate(rows))
    assert [(p.text, p.title) for p in tsv_passages(path)] == rows


@pytest.mark.parametrize(("dataset", "count"), [("topiocqa", 1142), ("inscit", 394)])
def test_real_samples_read_as_csv_reads_them(real_data: Path, dataset: str, count: int) -> None:
    path = real_data / dataset / "corpus" / "full_wiki_segments.sample.tsv"
    with path.open(encoding="utf-8", newline="") as handle:
        expected = [Passage(*row) for row in csv.reader(handle, delimiter="\t")][1:]
    assert list(tsv_passages(path)) == expected
    assert len(expected) == count


def test_jsonl_streams_all_files_in_order(tmp_path: Path) -> None:
    first = write(tmp_path / "a.jsonl", '{"id": "u_p0", "contents": "It rains."}\n\n')
    second = tmp_path / "b.jsonl.gz"
    second.write_bytes(gzip.compress('{"id": "u_p1", "contents": "雪", "extra": 1}\n'.encode()))
    passages = jsonl_passages([first, second], id_field="id", text_field="contents")
    assert list(passages) == [Passage("u_p0", "It rains."), Passage("u_p1", "雪")]


def test_jsonl_is_a_stream(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"id": "1", "text": "x"}\nnot json\n')
    passages = jsonl_passages([path, tmp_path / "missing.jsonl"], id_field="id", text_field="text")
    assert next(passages) == Passage("1", "x")
    with pytest.raises(DataError, match=r"a\.jsonl:2: not valid JSON"):
        next(passages)


def test_jsonl_title_may_be_absent_or_null(tmp_path: Path) -> None:
    lines = [{"id": "1", "text": "a", "title": "T"}, {"id": "2", "text": "b", "title": None}, {"id": "3", "text": "c"}]
    path = write(tmp_path / "a.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    titles = [p.title for p in jsonl_passages([path], id_field="id", text_field="text", title_field="title")]
    assert titles == ["T", "", ""]
    assert [p.title for p in jsonl_passages([path], id_field="id", text_field="text")] == ["", "", ""]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ('{"text": "a"}', "field 'id' is missing"),
        ('{"id": 7, "text": "a"}', "field 'id': expected a string, found int 7"),
        ('{"id": "7"}', "field 'text' is missing"),
        ('{"id": "7", "text": null}', "field 'text': expected a string, found null"),
        ('{"id": "7", "text": "a", "title": ["x"]}', "field 'title': expected a string, found list"),
        ('{"id": "", "text": "a"}', "the passage id is empty"),
        ('{"id": "a\\nb", "text": "a"}', "holds a control character"),
    ],
)
def test_jsonl_bad_field_names_file_and_line(tmp_path: Path, record: str, message: str) -> None:
    path = write(tmp_path / "a.jsonl", '{"id": "1", "text": "x"}\n' + record + "\n")
    with pytest.raises(DataError, match=rf"a\.jsonl:2: .*{message}"):
        list(jsonl_passages([path], id_field="id", text_field="text", title_field="title"))


def test_blank_lines_are_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path / "c.tsv", HEADER + "1\ta\tb\n\n2\tc\td\n\n")
    assert [passage.id for passage in tsv_passages(path)] == ["1", "2"]


@pytest.mark.parametrize("id_", ["", " ", "a\u2423b", "a\x07b"])
def test_ids_that_would_break_a_run_file_are_refused(tmp_path: Path, id_: str) -> None:
    path = write(tmp_path / "c.tsv", HEADER + f"{id_}\ta\tb\n")
    with pytest.raises(DataError, match=r"c\.tsv:2: .*passage id"):
        list(tsv_passages(path))
