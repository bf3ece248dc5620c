"""Reports of runs that lack something: turns, responses, conversations, or a lead over another."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import pytest
from command_line import succeed
from comparisons import QUICK

from convbench.analysis.tie_groups import share_a_letter, tie_groups
from convbench.comparison.build import compare
from convbench.comparison.model import TaskComparison
from convbench.errors import MissingFileError
from convbench.report.comparison.methods import methods_of
from convbench.report.comparison.results_tables import declared_results
from convbench.report.comparison.sections import sections_of
from convbench.report.comparison.statements import summary_of

METRICS = ("--metrics", "retrieval,token-f1,rouge", "--offline")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, its rankings alone, the same without two conversations, and both of one conversation."""
    folder = tmp_path_factory.mktemp("lacking")
    succeed("run", "bm25-query", "-d", "topiocqa", *METRICS, "--out", folder / "whole")
    rankings = (folder / "whole" / "retrieval.trec").read_text(encoding="utf-8")
    (folder / "rankings.trec").write_text(rankings, encoding="utf-8")
    lines = [line for line in rankings.splitlines(keepends=True) if not line.startswith(("1_", "2_"))]
    (folder / "part.trec").write_text("".join(lines), encoding="utf-8")
    lenient = ("--protocol", "convgqr-lenient")
    succeed("run", folder / "rankings.trec", "-d", "topiocqa", *METRICS, "--out", folder / "rankings")
    succeed("run", folder / "rankings.trec", "-d", "topiocqa", *lenient, *METRICS, "--out", folder / "lenient")
    succeed("run", folder / "part.trec", "-d", "topiocqa", *lenient, *METRICS, "--out", folder / "lenient-part")
    for system in ("bm25-query", "bm25-rewrite"):
        succeed("run", system, "-d", "topiocqa", "--limit", "1", *METRICS, "--out", folder / "one" / system)
    return folder


def notes(compared: TaskComparison) -> set[str]:
    table = declared_results(compared, QUICK)
    return {cell.note for row in (table.rows if table else ()) for cell in row if cell.note}


def test_a_run_without_responses_says_so_under_every_measure_of_them(runs: Path) -> None:
    compared = compare([runs / "whole", runs / "rankings"], settings=QUICK).tasks[0]
    assert notes(compared) == {"the run holds no responses"}


def test_turns_that_a_protocol_leaves_out_are_counted_once(runs: Path) -> None:
    compared = compare([runs / "lenient", runs / "lenient-part"], measures=["nDCG@3"], settings=QUICK).tasks[0]
    assert notes(compared) == {"13 turns without a value: missing from the run and left out, as the protocol has it"}
    report = (runs / "lenient-part" / "report.md").read_text(encoding="utf-8")
    assert "missing from the run and left out" in report
    assert "missing from the run, scored 0" not in report


def test_lenient_means_bear_the_name_of_their_protocol(runs: Path) -> None:
    comparison = compare([runs / "lenient", runs / "lenient-part"], measures=["nDCG@3"], settings=QUICK)
    assert [measured.measure.label for measured in comparison.tasks[0].measured] == ["nDCG@3 (convgqr-lenient)"]
    assert "the highest nDCG@3 (convgqr-lenient)" in summary_of(comparison)[0]


def test_one_conversation_tests_nothing_and_the_summary_says_so(runs: Path) -> None:
    said = summary_of(compare([runs / "one" / "bm25-query", runs / "one" / "bm25-rewrite"], settings=QUICK))
    assert any("there are too few conversations" in sentence for sentence in said)


def test_no_measure_in_common_is_no_lack_of_conversations(runs: Path) -> None:
    said = summary_of(compare([runs / "rankings", runs / "lenient"], settings=QUICK))
    assert not any("too few" in sentence for sentence in said)


def test_none_of_those_with_the_same_value_leads_alone(runs: Path) -> None:
    comparison = compare([runs / "whole", runs / "rankings"], measures=["nDCG@3"], settings=QUICK)
    first, second = (entrant.label for entrant in comparison.tasks[0].task.entrants)
    assert f"{first} has the highest nDCG@3 (45.4 %, as has {second})" in summary_of(comparison)[0]
    results = next(section for section in sections_of(comparison.tasks[0], QUICK) if "Results" in section.title)
    assert results.statements[0].startswith(f"{first} has the highest nDCG@3, 45.4 %, as has {second}, not told apart from any other")


def test_few_conversations_are_swapped_in_every_way(runs: Path) -> None:
    statistics = dict(methods_of(compare([runs / "whole", runs / "rankings"], settings=QUICK)))["Statistics"]
    assert any("no more than 500 ways to swap, each is taken once, and p is exact" in paragraph for paragraph in statistics)


def test_letters_beyond_z_are_whole_letters() -> None:
    found = tie_groups(range(30), list(itertools.combinations(range(30), 2)))
    assert not any(share_a_letter(found[one], found[other]) for one, other in itertools.combinations(range(30), 2))
    assert share_a_letter("b(aa)", "(aa)(ab)")
    assert not share_a_letter("ab", "")


def test_a_dataset_that_is_gone_is_named_with_the_run_that_needs_it(runs: Path, tmp_path: Path) -> None:
    moved = runs / "moved"
    shutil.copytree(runs / "one", moved)
    for folder in moved.iterdir():
        info = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        info["spec"]["dataset"]["data"] = str(tmp_path / "gone")
        (folder / "run.json").write_text(json.dumps(info), encoding="utf-8")
    with pytest.raises(MissingFileError, match="bm25-query was made from it, so put it back where it was"):
        compare([moved / "bm25-query", moved / "bm25-rewrite"], settings=QUICK)
