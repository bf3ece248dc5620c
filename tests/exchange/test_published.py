from __future__ import annotations

from pathlib import Path

import pytest

from convbench.errors import DataError, UsageError
from convbench.exchange.published import published, published_datasets, read_published

FILE = """\
dataset: mine
unit: per cent
tasks:
  retrieval: {protocol: null, note: as printed}
sources:
  A: {arxiv: "1234.56789"}
rows:
- {system: x, kind: dense, task: retrieval, scores: {"R@10": 12.5}, source: A, verify: true, note: twice}
"""


def written(tmp_path: Path, text: str) -> Path:
    (tmp_path / "mine").mkdir()
    path = tmp_path / "mine" / "published.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_rows() -> None:
    assert published_datasets() == ["faithdial", "inscit", "orquac", "qrecc", "topiocqa"]
    found = {name: published(name) for name in published_datasets()}
    assert sum(len(each.rows) for each in found.values()) == 98
    (unified,) = (row for row in found["topiocqa"].rows if row.system.startswith("UniConv") and row.task == "retrieval")
    assert (unified.scores, unified.verify, unified.source) == ({"nDCG@3": 42.6}, True, "UniConv")
    assert found["topiocqa"].sources["UniConv"].arxiv == "2507.07030"
    assert found["topiocqa"].tasks["retrieval"].protocol == "convgqr-line"


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (row,) = read_published(written(tmp_path, FILE)).rows
    assert row.model_dump() == {
        "system": "x",
        "kind": "dense",
        "task": "retrieval",
        "scores": {"R@10": 12.5},
        "source": "A",
        "verify": True,
        "note": "twice",
    }


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("source: A,", "source: B,", "[rows.0]: source 'B' is not among 'sources'."),
        ("task: retrieval,", "task: response,", "[rows.0]: task 'response' is not among 'tasks'"),
        ("12.5", "125", "[rows.0]: R@10: found 125.0, expected a value in per cent"),
        ("verify", "verfy", ":8: rows.0.verfy: extra inputs are not permitted, found True. Did you mean 'verify'?"),
        ("dataset: mine", "dataset: other", "dataset: found 'other', expected 'mine'"),
        ("1234.56789", "none yet", ":6: sources.A.arxiv: string should match pattern"),
    ],
)
def test_a_malformed_file(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read_published(written(tmp_path, FILE.replace(old, new)))
    assert said in str(caught.value)


def test_nothing_in_print_on_a_dataset() -> None:
    with pytest.raises(UsageError, match=r"no published numbers on 'qrec'\. Did you mean 'qrecc'\?"):
        published("qrec")
