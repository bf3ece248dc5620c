"""Who may be compared with whom, and whether the numbers are those of the runs."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import MINI, succeed, without_digests
from command_line import convbench as command

import convbench
from convbench.analysis.resampling import Resampling
from convbench.comparison.build import compare
from convbench.comparison.model import Settings
from convbench.errors import MissingFileError, UsageError
from convbench.harness.finished import run_folders
from convbench.report.comparison.sections import sections_of

METRICS = ("--metrics", "retrieval,token-f1", "--offline")
QUICK = Settings(resampling=Resampling(resamples=1000))


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Three competitors and both references on two mini sets."""
    out = tmp_path_factory.mktemp("compare") / "runs"
    systems = ("bm25-query", "bm25-queries", "bm25-rewrite", "oracle", "random")
    succeed("run", *systems, "-d", "topiocqa", "-d", "inscit", "--out", out, *METRICS)
    return out


def topiocqa(runs: Path, *systems: str) -> list[Path]:
    return [runs / "topiocqa" / system for system in systems]


def changed(folder: Path, target: Path, **dataset: object) -> Path:
    """A copy of a run whose results say something else of the dataset."""
    shutil.copytree(folder, target)
    results = without_digests(target)
    results["dataset"] |= dataset
    (target / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return target


def test_the_values_are_those_of_the_runs(runs):
    compared = compare(topiocqa(runs, "bm25-query", "bm25-rewrite", "oracle"), settings=QUICK).tasks[0]
    assert compared.task.title == "topiocqa, split mini"
    assert [(entrant.label, entrant.role) for entrant in compared.task.entrants] == [
        ("bm25-query", ""),
        ("bm25-rewrite", ""),
        ("oracle", "ceiling"),
    ]
    for measured in compared.measured:
        for label, value in measured.systems.items():
            results = json.loads((runs / "topiocqa" / label / "results.json").read_text(encoding="utf-8"))
            stored = {f"{m['protocol']}/{m['name']}": m for m in results["metrics"]}[measured.measure.key]
            assert value.estimate.value == pytest.approx(stored["value"], abs=1e-12)
            assert value.estimate.n_turns == stored["n_turns"]


def test_differences_wins_and_p_by_hand(runs):
    first, second = topiocqa(runs, "bm25-rewrite", "bm25-query")
    compared = compare([first, second], baseline="bm25-query", settings=QUICK).tasks[0]
    measured = next(measured for measured in compared.measured if measured.measure.name == "nDCG@3")
    (contrast,) = measured.contrasts
    ours, theirs = (scores_of(folder, "nDCG@3") for folder in (first, second))
    differences = {turn: ours[turn] - theirs[turn] for turn in ours}
    assert (contrast.first, contrast.second) == ("bm25-rewrite", "bm25-query")
    assert contrast.result.mean == pytest.approx(sum(differences.values()) / len(differences))
    assert contrast.result.wins == sum(value > 1e-12 for value in differences.values())
    assert contrast.result.losses == sum(value < -1e-12 for value in differences.values())
    assert contrast.result.n_conversations == len({turn.rpartition("_")[0] for turn in differences})
    assert contrast.result.p == pytest.approx(exact_p(differences), abs=1e-12)  # 9 conversations: every flip is taken


def test_one_that_reads_earlier_gold_is_shown_and_never_best(runs, tmp_path):
    """Even where it has all: it would look like a retriever."""
    succeed("run", "previous-gold", "-d", "topiocqa", "--out", tmp_path / "seen", *METRICS)
    lines = [json.loads(line) for line in (tmp_path / "seen" / "scores.jsonl").read_text(encoding="utf-8").splitlines()]
    text = "".join(json.dumps({**line, "value": line["value"] if line["value"] is None else 1.0}) + "\n" for line in lines)
    (tmp_path / "seen" / "scores.jsonl").write_text(text, encoding="utf-8")
    results = without_digests(tmp_path / "seen")
    results["metrics"] = [
        {**metric, "value": metric["value"] if metric["value"] is None else 1.0, "ci": None} for metric in results["metrics"]
    ]
    (tmp_path / "seen" / "results.json").write_text(json.dumps(results), encoding="utf-8")
    folders = [tmp_path / "seen", *topiocqa(runs, "bm25-query", "bm25-rewrite", "oracle")]
    compared = compare(folders, settings=QUICK).tasks[0]
    roles = {entrant.label: entrant.role for entrant in compared.task.entrants}
    assert list(roles.items()) == [("bm25-query", ""), ("bm25-rewrite", ""), ("previous-gold", "shortcut"), ("oracle", "ceiling")]
    for measured in compared.measured:
        assert {label for pair in measured.contrasts for label in (pair.first, pair.second)} <= {"bm25-query", "bm25-rewrite"}
        assert measured.systems["previous-gold"].group == ""
    table = next(section for section in sections_of(compared, QUICK) if section.title == "Results").tables[0]
    (row,) = [row for row in table.rows if row[0].text == "previous-gold"]
    assert row[0].below == "shortcut"
    assert all(cell.muted and not cell.strong for cell in row)
    assert row[1].text == "100.0"


def exact_p(differences: dict[str, float]) -> float:
    """By every one of the 2^n flips, one loop."""
    sums: dict[str, float] = {}
    for turn, value in differences.items():
        conversation = turn.rpartition("_")[0]
        sums[conversation] = sums.get(conversation, 0.0) + value
    values = np.array(list(sums.values()))
    flips = [abs(float(sum(v if (number >> place) & 1 else -v for place, v in enumerate(values)))) for number in range(2 ** len(values))]
    return sum(flip >= abs(values.sum()) - 1e-12 for flip in flips) / len(flips)


def scores_of(folder: Path, measure: str) -> dict[str, float]:
    lines = [json.loads(line) for line in (folder / "scores.jsonl").read_text(encoding="utf-8").splitlines()]
    return {line["turn_id"]: line["value"] for line in lines if line["measure"] == measure}


def test_the_family_is_what_was_declared(runs):
    folders = topiocqa(runs, "bm25-query", "bm25-queries", "bm25-rewrite", "random")
    against = compare(folders, baseline="bm25-query", measures=["nDCG@3", "F1-max"], settings=QUICK).tasks[0]
    assert against.family.measures == ("nDCG@3", "F1-max")
    assert against.family.pairs == (("bm25-queries", "bm25-query"), ("bm25-rewrite", "bm25-query"))
    assert against.family.tests == 4
    assert [measured.measure.name for measured in against.measured] == ["nDCG@3", "F1-max"]
    each = compare(folders, settings=QUICK).tasks[0]
    assert len(each.family.pairs) == 3
    assert "random" not in {label for pair in each.family.pairs for label in pair}
    others = [measured for measured in each.measured if not measured.measure.declared and measured.measure.tested]
    assert others
    assert all(contrast.adjusted is None and contrast.better == "" for measured in others for contrast in measured.contrasts)


def test_corrected_p_is_holm_over_the_family(runs):
    compared = compare(topiocqa(runs, "bm25-query", "bm25-queries", "bm25-rewrite"), settings=QUICK).tasks[0]
    tests = [contrast for measured in compared.measured if measured.measure.declared for contrast in measured.contrasts]
    ordered = sorted(tests, key=lambda contrast: contrast.result.p)
    highest = 0.0
    for place, contrast in enumerate(ordered):
        highest = max(highest, min(contrast.result.p * (len(tests) - place), 1.0))
        assert contrast.adjusted == pytest.approx(highest)


def test_too_few_conversations_are_said_so(runs):
    strict = replace(QUICK, alpha=0.01)
    compared = compare(topiocqa(runs, "bm25-query", "bm25-queries", "bm25-rewrite"), settings=strict).tasks[0]
    assert any("no difference can be significant here" in note for note in compared.notes)
    assert not any(contrast.better for measured in compared.measured for contrast in measured.contrasts)


def test_datasets_are_tasks_of_their_own(runs):
    compared = compare([runs / "inscit" / "bm25-query", *topiocqa(runs, "bm25-query", "bm25-rewrite")], settings=QUICK)
    assert [task.task.id for task in compared.tasks] == ["inscit-mini", "topiocqa-mini"]
    assert compared.tasks[0].family.tests == 0


def test_the_same_runs_give_the_same_numbers(runs):
    folders = topiocqa(runs, "bm25-query", "bm25-rewrite")
    one, other = (json.dumps(compare(folders, settings=QUICK).to_json()) for _ in range(2))
    assert one == other


def test_different_turns_are_refused(runs, tmp_path):
    succeed("run", "bm25-query", "-d", "topiocqa", "--limit", "3", "--out", tmp_path / "short", *METRICS)
    finished = command("compare", runs / "topiocqa" / "bm25-rewrite", tmp_path / "short", "-o", tmp_path / "out")
    assert finished.code == 2
    assert "their turns differ" in finished.error
    assert str(tmp_path / "short") in finished.error
    assert not (tmp_path / "out").exists()


def test_different_collections_are_refused_or_stand_apart(runs, tmp_path):
    corpus = next(path for path in (MINI / "topiocqa").rglob("*") if "wiki" in path.name)
    header, *rows = corpus.read_text(encoding="utf-8").splitlines(keepends=True)
    other = tmp_path / corpus.name
    other.write_text("".join([header, *rows[:-1]]), encoding="utf-8")
    arguments = ("-d", "topiocqa", "--corpus", other, "--out", tmp_path / "fewer", *METRICS)
    succeed("run", "bm25-query", "bm25-rewrite", *arguments)
    folders = [*topiocqa(runs, "bm25-query", "bm25-rewrite"), *run_folders(tmp_path / "fewer")]
    with pytest.raises(UsageError, match=r"collections differ.*--allow-different-collections"):
        compare(folders, settings=QUICK)
    apart = compare(folders, allow_different_collections=True, settings=QUICK)
    assert len(apart.tasks) == 2
    assert len({task.task.id for task in apart.tasks}) == 2
    assert all("collection " in task.task.title for task in apart.tasks)


def test_different_signatures_are_refused(runs, tmp_path):
    shutil.copytree(runs / "topiocqa" / "bm25-query", tmp_path / "other")
    results = without_digests(tmp_path / "other")
    for metric in results["metrics"]:
        if metric["name"] == "F1-max":
            metric["signature"] = metric["signature"].replace("norm:squad", "norm:none")
    (tmp_path / "other" / "results.json").write_text(json.dumps(results), encoding="utf-8")
    with pytest.raises(UsageError, match=r"F1-max: .*norm is squad against none"):
        compare([runs / "topiocqa" / "bm25-rewrite", tmp_path / "other"], settings=QUICK)
    chosen = compare([runs / "topiocqa" / "bm25-rewrite", tmp_path / "other"], measures=["nDCG@3"], settings=QUICK)
    assert [measured.measure.name for measured in chosen.tasks[0].measured] == ["nDCG@3"]


def test_other_reading_options_are_refused(runs, tmp_path):
    other = changed(runs / "topiocqa" / "bm25-query", tmp_path / "other", options={"first-question": "rewrite"})
    with pytest.raises(UsageError, match="reading options differ"):
        compare([runs / "topiocqa" / "bm25-rewrite", other], settings=QUICK)


def test_scores_that_do_not_give_the_results_are_refused(runs, tmp_path):
    shutil.copytree(runs / "topiocqa" / "bm25-query", tmp_path / "other")
    without_digests(tmp_path / "other")
    path = tmp_path / "other" / "scores.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines[0]["value"] = 1.0 - lines[0]["value"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with pytest.raises(UsageError, match=r"scores\.jsonl gives .* results\.json"):
        compare([runs / "topiocqa" / "bm25-rewrite", tmp_path / "other"], settings=QUICK)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["topiocqa/bm25-query"], "two different runs or more"),
        (["topiocqa/bm25-query", "topiocqa/bm25-query"], "given twice"),
        (["topiocqa/bm25-query", "topiocqa/bm25-rewrite", "--baseline", "bm25-qery"], "Did you mean 'bm25-query'"),
        (["topiocqa/bm25-query", "topiocqa/bm25-rewrite", "--measure", "nDCG@4"], "Did you mean 'nDCG@3'"),
        (["topiocqa/bm25-query", "nothing-here"], "no finished run here or below"),
    ],
)
def test_errors_are_one_line(runs, tmp_path, arguments, message):
    given = [runs / argument if "/" in argument else argument for argument in arguments]
    finished = command("compare", *given, "-o", tmp_path / "out")
    assert message in finished.error
    assert not (tmp_path / "out").exists()


def test_run_folders_are_found_below(runs):
    assert len(run_folders(runs)) == 10
    assert run_folders(runs / "topiocqa" / "oracle") == [runs / "topiocqa" / "oracle"]
    with pytest.raises(MissingFileError):
        run_folders(MINI)


def test_runs_of_one_name_are_told_apart_and_conditions_do_not_compete(runs, tmp_path):
    for evidence in ("gold", "none"):
        succeed("run", "bm25-query", "-d", "topiocqa", "--evidence", evidence, "--out", tmp_path / evidence, *METRICS)
    folders = [*topiocqa(runs, "bm25-query", "bm25-rewrite"), tmp_path / "gold", tmp_path / "none"]
    entrants = compare(folders, settings=QUICK).tasks[0].task.entrants
    assert [(entrant.label, entrant.role) for entrant in entrants] == [
        ("bm25-query (evidence retrieved)", ""),
        ("bm25-rewrite", ""),
        ("bm25-query (evidence gold)", "condition"),
        ("bm25-query (evidence none)", "condition"),
    ]


def test_copies_of_a_run_are_left_out_and_runs_alike_are_numbered_by_folder(runs, tmp_path, caplog):
    folders = topiocqa(runs, "bm25-query", "bm25-rewrite")
    again = shutil.copytree(folders[0], tmp_path / "again")
    entrants = compare([*folders, again], settings=QUICK).tasks[0].task.entrants
    assert [entrant.label for entrant in entrants] == ["bm25-query", "bm25-rewrite"]
    assert f"{again} holds the same run as {folders[0]}" in caplog.text
    succeed("run", "bm25-query", "-d", "topiocqa", "--set", "retriever.k1=1.5", "--out", tmp_path / "other", *METRICS)
    labels = [entrant.label for entrant in compare([folders[0], tmp_path / "other"], settings=QUICK).tasks[0].task.entrants]
    assert labels == ["bm25-query (bm25-query)", "bm25-query (other)"]


def test_frames_hold_every_number(runs):
    comparison = convbench.compare(topiocqa(runs, "bm25-query", "bm25-rewrite", "oracle"), settings=QUICK)
    contrasts, values = comparison.to_pandas(), comparison.values_to_pandas()
    assert len(contrasts) == sum(len(measured.contrasts) for measured in comparison.tasks[0].measured)
    assert len(values) == 3 * len(comparison.tasks[0].measured)
    row = contrasts.set_index("measure").loc["convgqr-line/nDCG@3"]
    held = comparison.tasks[0].measured[0].contrasts[0]
    assert (row["mean"], row["p_adjusted"]) == (held.result.mean, held.adjusted)
    frame = convbench.load_run(runs / "topiocqa" / "bm25-query").to_pandas()
    assert frame["convgqr-line/nDCG@3"].mean() == pytest.approx(
        values[(values.system == "bm25-query") & (values.measure == "convgqr-line/nDCG@3")].value.item()
    )


def test_the_command_writes_everything(runs, tmp_path):
    folders = topiocqa(runs, "bm25-query", "bm25-rewrite", "oracle")
    finished = succeed("compare", *folders, "-o", tmp_path / "out", "--resamples", "1000", "--json")
    out = tmp_path / "out"
    assert finished.json == json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    assert finished.json["schema"] == "convbench.comparison/1"
    assert {path.name for path in out.iterdir()} == {"comparison.json", "report.html", "report.md", "tables", "figures"}
    assert list((out / "figures").glob("*.pdf"))
    assert list((out / "tables").glob("*.tex"))
    table = next((out / "tables").glob("*results*.csv"))
    with table.open(encoding="utf-8", newline="") as handle:
        assert len(list(csv.reader(handle))) == 4
    before = {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    succeed("compare", *folders, "-o", out, "--resamples", "1000")
    assert before == {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_files_of_an_earlier_comparison_do_not_stay(runs, tmp_path):
    out = tmp_path / "out"
    succeed("compare", runs / "topiocqa", runs / "inscit", "-o", out, "--resamples", "200", "--measure", "nDCG@3")
    for mine in ("tables/mine.csv", "figures/mine.png"):
        (out / mine).write_text("mine", encoding="utf-8")
    assert list(out.glob("*/inscit*"))
    succeed(
        "compare", *topiocqa(runs, "bm25-query", "bm25-rewrite"), "-o", out, "--resamples", "200", "--measure", "nDCG@3", "--no-figures"
    )
    assert not list(out.glob("*/inscit*"))
    assert [path.name for path in out.glob("figures/*")] == ["mine.png"], "only what a comparison wrote is removed"
    assert list(out.glob("tables/topiocqa*"))
    assert (out / "tables" / "mine.csv").exists()


def test_a_file_in_the_place_of_the_folder_is_refused_at_once(runs, tmp_path):
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    finished = command("compare", *topiocqa(runs, "bm25-query", "bm25-rewrite"), "-o", tmp_path / "out")
    assert finished.error == f"{tmp_path / 'out'}: is a file; expected a folder for the report"


def test_folders_are_given_as_on_the_command_line(runs):
    one = compare(runs / "topiocqa", measures="nDCG@3", settings=QUICK)
    assert len(one.tasks[0].task.entrants) == 5
    assert [measured.measure.name for measured in one.tasks[0].measured] == ["nDCG@3"]


def test_a_copy_that_was_scored_otherwise_is_no_copy(runs, tmp_path):
    again = shutil.copytree(runs / "topiocqa" / "bm25-query", tmp_path / "again")
    succeed("score", again, "--protocol", "convgqr-lenient", "--offline")
    labels = [e.label for e in compare([runs / "topiocqa" / "bm25-query", again], settings=QUICK).tasks[0].task.entrants]
    assert labels == ["bm25-query (bm25-query)", "bm25-query (again)"]
    with pytest.raises(UsageError, match="two different runs"):
        compare([again, shutil.copytree(again, tmp_path / "copy")], settings=QUICK)
