"""SQL over runs: right answers, from a cache that is never stale, and no way out of the tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from convbench.errors import DataError, UsageError
from convbench.harness.finished import load_run
from convbench.harness.score_file import read_scores, write_scores
from convbench.store.listing import read_rows
from convbench.store.places import stored_runs
from convbench.store.query import _errors, ask
from convbench.store.tables import score_table
from convbench.types import Score


@pytest.fixture
def root(two_runs, tmp_path) -> Path:
    return Path(shutil.copytree(two_runs, tmp_path / "runs"))


def answer(root: Path, sql: str, most: int = 100_000):
    return ask(read_rows(stored_runs(str(root))).rows, sql, most=most)


def as_scores(table: pa.Table) -> list[Score]:
    return [Score(row["turn_id"], row["measure"], row["value"], row["reason"], row["protocol"]) for row in table.to_pylist()]


def test_scores_are_those_of_the_file(root):
    for _ in range(2):  # parsed, then kept
        rows = answer(root, "SELECT turn_id, measure, value, reason, protocol FROM scores WHERE run = 'a'").rows
        assert [Score(*row) for row in rows] == read_scores(root / "a" / "scores.jsonl")
    assert len(list(root.rglob(".scores.*.parquet"))) == 2


def test_turns_and_runs_are_those_of_the_folders(root):
    records = load_run(root / "a").records
    rows = answer(root, "SELECT turn_id, query, response, abstained, passages, evidence FROM turns WHERE run = 'a'").rows
    assert [row[0] for row in rows] == list(records)
    for turn_id, query, response, abstained, passages, evidence in rows:
        record = records[turn_id]
        assert (query, response, abstained) == (record.query, record.response, record.abstained)
        assert (passages, evidence) == ([id_ for id_, _ in record.passages], list(record.evidence))
    joined = "SELECT system, count(*) FROM runs JOIN scores USING (run) JOIN turns USING (run, turn_id) GROUP BY ALL ORDER BY ALL"
    assert [row[0] for row in answer(root, joined).rows] == ["bm25-query", "bm25-rewrite"]
    assert answer(root, "SELECT sum(turns) FROM runs").rows == ((2 * len(records),),)


def test_the_cache_follows_the_scores(root):
    hostile = [Score("1_1", "m'; DROP", None, 'no "value"\n', "p"), Score("é\u2028", "nDCG@3", 1e-300, None, "")]
    score_table(root / "a")
    write_scores(root / "a" / "scores.jsonl", hostile)
    assert as_scores(score_table(root / "a")) == hostile
    assert as_scores(score_table(root / "a")) == hostile
    (kept,) = (root / "a").glob(".scores.*.parquet")
    kept.write_bytes(b"PAR1 broken")
    assert as_scores(score_table(root / "a")) == hostile
    assert pq.read_table(kept).num_rows == 2


def test_a_kept_file_with_one_other_byte_is_made_again(root, caplog):
    expected = score_table(root / "a")
    (kept,) = (root / "a").glob(".scores.*.parquet")
    whole = kept.read_bytes()
    size = pq.ParquetFile(kept).metadata.row_group(0).total_byte_size
    for place in range(40, min(size, len(whole) // 2), 97):
        broken = bytearray(whole)
        broken[place] ^= 0x10
        kept.write_bytes(broken)
        assert score_table(root / "a").equals(expected), place
    assert kept.read_bytes() == whole
    assert "is made again" in caplog.text


def test_a_parquet_file_alone_is_read_and_checked(root):
    run = root / "a"
    table = score_table(run, keep=False)
    assert not list(run.glob(".scores.*"))
    (run / "scores.jsonl").unlink()
    pq.write_table(table, run / "scores.parquet")
    assert score_table(run).equals(table)
    pq.write_table(pa.table({"turn_id": ["1"]}), run / "scores.parquet")
    with pytest.raises(DataError, match=r"scores\.parquet"):
        score_table(run)


def test_only_so_many_rows(root):
    assert len(answer(root, "SELECT * FROM scores", most=3).rows) == 3
    assert answer(root, "SELECT * FROM scores", most=3).more
    assert not answer(root, "SELECT 1 UNION ALL SELECT 2", most=2).more
    assert not answer(root, "SELECT * FROM scores WHERE false", most=1).rows


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM read_blob('{file}')",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM read_json('{folder}/runs/a/results.json')",
        "COPY scores TO '{folder}/stolen.csv'",
        "ATTACH '{folder}/other.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "PRAGMA enable_external_access = true",
        "CREATE TABLE mine AS SELECT 1",
        "DROP TABLE scores",
        "INSERT INTO scores SELECT * FROM scores",
        "DELETE FROM scores",
        "EXPORT DATABASE '{folder}/all'",
        "SELECT 1; DROP TABLE scores",
        "SELECT * FROM rows",
        "EXPLAIN ANALYZE COPY scores TO '{folder}/stolen.csv'",
        "",
        ";",
        "SELECT",
        "SELECT getenv('HOME')",
        "SELECT 1/",
        "SELECT value FROM scores WHERE value > 'x\x1b[31m'",
    ],
)
def test_nothing_but_the_tables_can_be_read_and_nothing_written(root, tmp_path, sql):
    file = tmp_path / "secret.csv"
    file.write_text("a\n1\n")
    before = sorted(path for path in tmp_path.rglob("*") if ".scores." not in path.name)
    with pytest.raises(UsageError, match=r"^SQL: ") as caught:
        answer(root, sql.format(file=file, folder=tmp_path))
    assert "\n" not in str(caught.value)
    assert sorted(path for path in tmp_path.rglob("*") if ".scores." not in path.name) == before


def test_what_does_not_fit_into_memory_is_not_written_anywhere(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert answer(root, "SELECT current_setting('temp_directory')").rows == (("",),)
    small = {"memory_limit": "30MB", "temp_directory": "", "threads": 1}
    connection = duckdb.connect(":memory:", config=small)
    with pytest.raises(UsageError, match="needs more memory"), _errors(duckdb), connection:
        connection.execute("SELECT list(repeat(i::VARCHAR, 1000)) FROM range(100000) t(i)")
    assert not (tmp_path / ".tmp").exists()


def test_dates_are_utc_and_text_that_is_no_unicode_is_one_line(root):
    rows = read_rows(stored_runs(str(root))).rows
    dates = answer(root, "SELECT date FROM runs ORDER BY run").rows
    assert [date.isoformat() + "+00:00" for (date,) in dates] == [row.date.isoformat() for row in rows]
    turns = root / "a" / "turns.jsonl"
    header, first, *rest = turns.read_text(encoding="utf-8").splitlines()
    first = json.dumps(json.loads(first) | {"response": "half \ud800 pair"})
    turns.write_text("\n".join([header, first, *rest]) + "\n", encoding="utf-8")
    with pytest.raises((UsageError, DataError)) as caught:
        answer(root, "SELECT response FROM turns")
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="Unicode"):
        answer(root, "SELECT '\ud800'")
