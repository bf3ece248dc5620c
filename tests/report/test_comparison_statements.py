"""Sentences of a comparison say nothing that the tables do not say, and claim no more than the tests allow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from comparisons import QUICK, numbers, statements_of, tables_of, texts_of

from convbench.analysis.estimates import Estimate
from convbench.analysis.resampling import Resampling
from convbench.comparison.build import compare
from convbench.comparison.consistency_model import EvidenceLadder, Grid, HistoryLadder
from convbench.comparison.model import Comparison, Contrast, Measured, Settings, TaskComparison
from convbench.report.comparison.difference_tables import can_tell_apart
from convbench.report.comparison.methods import SIGNATURES, methods_of
from convbench.report.comparison.phrases import either, listed, sizes
from convbench.report.comparison.sections import sections_of
from convbench.report.comparison.signature_words import signature_in_words
from convbench.report.comparison.statements import summary_of


@pytest.fixture(scope="module")
def comparison(compared_runs) -> Comparison:
    return compare(compared_runs["plain"], settings=QUICK)


@pytest.fixture(scope="module")
def faithdial(compared_runs) -> TaskComparison:
    return compare(compared_runs["plain"], measures=["convgqr-line/nDCG@3", "response-overlap/F1-max"], settings=QUICK).tasks[0]


@pytest.fixture(scope="module")
def against(compared_runs) -> TaskComparison:
    return compare(compared_runs["plain"], baseline="bm25-query", measures=["nDCG@3", "F1-max"], settings=QUICK).tasks[0]


@pytest.fixture(scope="module")
def ladders(compared_runs) -> list[TaskComparison]:
    return [compare(compared_runs[part], settings=QUICK).tasks[0] for part in ("evidence", "history")]


def known(compared: TaskComparison) -> set[str]:
    """Every number that stands in a table or under one."""
    return {number for table in tables_of(compared).values() for text in texts_of(table) for number in numbers(text)}


def with_contrasts(compared: TaskComparison, **changes: object) -> TaskComparison:
    """All pairs changed in one way, and nothing told apart by letters."""

    def changed(one: Measured) -> Measured:
        return replace(one, contrasts=tuple(_changed(pair, changes) for pair in one.contrasts))

    return replace(compared, measured=tuple(changed(one) for one in compared.measured))


def _changed(pair: Contrast, changes: dict[str, object]) -> Contrast:
    outside = {name: value for name, value in changes.items() if name in ("better", "adjusted")}
    inside = {name: value for name, value in changes.items() if name not in outside}
    return replace(pair, result=replace(pair.result, **inside), **outside)


def test_no_number_is_missing_from_the_tables(comparison, faithdial, against, ladders):
    checked = 0
    for compared in (*comparison.tasks, faithdial, against, *ladders):
        there = known(compared)
        for statement in statements_of(compared, QUICK):
            assert numbers(statement) <= there, (statement, numbers(statement) - there)
            checked += len(numbers(statement))
    for number in (number for statement in summary_of(comparison) for number in numbers(statement)):
        assert any(number in known(compared) for compared in comparison.tasks), number
    assert checked > 100


def test_statements_are_few_and_stand_in_the_sections(comparison, against):
    for compared in (*comparison.tasks, against):
        told = statements_of(compared, QUICK)
        placed = [statement for section in sections_of(compared, QUICK) for statement in section.statements]
        assert 3 <= len(told) <= 6
        assert set(told) <= set(placed)


def test_who_is_better_is_what_the_tests_say(faithdial):
    retrieval, response, count, *_ = statements_of(faithdial, QUICK)
    measured = next(one for one in faithdial.measured if one.measure.name == "nDCG@3")
    beaten = {pair.second if pair.better == pair.first else pair.first for pair in measured.contrasts if pair.better == "bm25-rewrite"}
    assert beaten == {"bm25-query", "bm25-queries"}
    assert retrieval.startswith("bm25-rewrite has the highest nDCG@3, ")
    assert ": better than every other system, by " in retrieval
    assert response.startswith("bm25-rewrite has the highest F1-max, ")
    apart = sum(bool(pair.better) for one in faithdial.measured for pair in one.contrasts)
    assert count.startswith(f"{apart} of the 6 declared tests (2 measures × 3 pairs) ")


def test_what_is_not_told_apart_is_not_called_equal(faithdial):
    same = with_contrasts(faithdial, better="", adjusted=1.0, p=0.4)
    assert can_tell_apart(same, QUICK)
    retrieval = statements_of(same, QUICK)[0]
    assert "not told apart from any other system" in retrieval
    assert "points or more would have been found with 80 % power, before correction" in retrieval
    for text in statements_of(same, QUICK):
        assert "no difference" not in text.lower()
        assert "equal" not in text.lower()


def test_a_difference_that_only_the_correction_keeps_is_said_to_be_one(faithdial):
    close = with_contrasts(faithdial, better="", adjusted=0.07, p=0.02)
    retrieval = statements_of(close, QUICK)[0]
    assert "Before correction the two would have been told apart (p = 0.0200; after Holm's correction 0.0700)." in retrieval
    assert "would have been found" not in retrieval


def test_systems_that_agree_on_every_turn_are_said_to(faithdial):
    same = with_contrasts(faithdial, better="", adjusted=1.0, p=1.0, wins=0, losses=0, ties=37, mean=0.0, detectable=0.0)
    assert "have the same value on every turn" in statements_of(same, QUICK)[0]


def test_too_few_conversations_are_said_to_be_too_few(compared_runs):
    strict = replace(QUICK, alpha=0.01)
    comparison = compare([run for run in compared_runs["plain"] if run.parent.name == "topiocqa"], settings=strict)
    (topiocqa,) = comparison.tasks
    assert not can_tell_apart(topiocqa, strict)
    assert "with so few conversations no difference can be significant after correction" in statements_of(topiocqa, strict)[0]
    note = "With 9 conversations and 500 resamples the smallest p is about 0.0039, but Holm's first step needs 0.00083"
    assert any(note in text for text in tables_of(topiocqa, strict)["differences"].notes)
    assert "No difference can be significant on topiocqa-mini: there are too few conversations" in " ".join(summary_of(comparison))


def test_too_few_resamples_are_said_to_be_too_few(compared_runs):
    rough = Settings(resampling=Resampling(resamples=50))
    comparison = compare([run for run in compared_runs["plain"] if run.parent.name == "topiocqa"], settings=rough)
    assert "with so few resamples no difference can be significant after correction" in statements_of(comparison.tasks[0], rough)[0]


def test_mini_sets_are_for_trying_things_out(comparison):
    assert summary_of(comparison)[-1] == "All tasks are bundled mini sets, for trying things out: their numbers say little about systems."


def test_against_a_baseline_everyone_is_judged_by_it(against):
    retrieval = statements_of(against, QUICK)[0]
    assert retrieval.startswith("Against the baseline bm25-query, by nDCG@3: ")
    assert "bm25-rewrite is better (by " in retrieval
    assert "bm25-queries is not told apart from it (" in retrieval
    worse = replace(against, measured=tuple(_all_worse(one) for one in against.measured))
    assert "bm25-queries and bm25-rewrite are worse (by " in statements_of(worse, QUICK)[0]


def _all_worse(one: Measured) -> Measured:
    return replace(one, contrasts=tuple(replace(pair, better=pair.second) for pair in one.contrasts))


def test_slices_name_what_was_found_there(faithdial):
    (slices,) = [text for text in statements_of(faithdial, QUICK) if text.startswith("Exploratory: ")]
    (section,) = [section for section in sections_of(faithdial, QUICK) if section.title == "Slices"]
    assert section.statements == (slices,)
    nothing = replace(faithdial, slices=tuple(replace(table, rows=()) for table in faithdial.slices))
    assert not [text for text in statements_of(nothing, QUICK) if "slices" in text]
    (section,) = [section for section in sections_of(nothing, QUICK) if section.title == "Slices"]
    assert section.statements == ("No slice was tested: none has at least 30 turns and 10 conversations.",)


def test_ladders_say_what_retrieval_and_history_bring(ladders):
    evidence, history = ladders
    assert any("Gold passages add +" in text and "retrieved passages bring" in text for text in statements_of(evidence, QUICK))
    assert any(
        "with the dataset's responses in its history against its own ones: nDCG@3 " in text for text in statements_of(history, QUICK)
    )


def test_ladders_and_grids_claim_no_more_than_their_intervals(faithdial):
    sure, unsure = Estimate(0.1, (0.05, 0.15), 37, 11), Estimate(0.02, (-0.05, 0.09), 37, 11)
    consistency = replace(
        faithdial.consistency,
        evidence=(EvidenceLadder("s", (), unsure, None, None, None, None, "the gain is not told apart from 0"),),
        history=(HistoryLadder("s", (), (sure, unsure)),),
        grids=(Grid("s", "t", {}, sure, 0.01), Grid("s", "t", {}, unsure, 0.3)),
    )
    told = statements_of(replace(faithdial, consistency=consistency), QUICK)
    assert any("what share of it retrieved passages bring is not given: the gain is not told apart from 0" in text for text in told)
    assert any("nDCG@3 +10.0 points (95 % interval 5.0 to 15.0); F1-max +2.0 points" in text for text in told)
    assert any(
        "do 10.0 points of F1-max more together than apart (95 % interval 5.0 to 15.0, p = 0.0100, uncorrected)" in text for text in told
    )
    assert any("an interaction of +2.0 points" in text and text.endswith("not told apart from 0.") for text in told)


def test_settings_are_said(compared_runs):
    settings = Settings(resampling=Resampling(resamples=300, seed=7, level=0.9), alpha=0.1)
    comparison = compare(compared_runs["plain"], measures=["nDCG@3"], settings=settings)
    said = " ".join(text for _, paragraphs in methods_of(comparison) for text in paragraphs)
    for words in ("a coverage of 90 %", "300 bootstrap resamples (seed 7)", "at most 10 %"):
        assert words in said
    assert "90 % interval" in tables_of(comparison.tasks[0], settings)["results"].notes[0]
    assert "told apart at 10 %" in tables_of(comparison.tasks[0], settings)["differences"].notes[0]


def test_methods_hold_every_signature_and_protocol(comparison):
    methods = dict(methods_of(comparison))
    signatures = {measured.measure.signature for compared in comparison.tasks for measured in compared.measured}
    assert set(methods[SIGNATURES]) == signatures
    assert any(text.startswith("convgqr-line: ") for text in methods["Protocols"])
    assert any("nDCG@3, RR@100" in text and "rankings cut at 100 passages" in text for text in methods["Measures"])
    assert methods_of(comparison) == methods_of(comparison)


def test_signatures_are_put_into_words():
    words = signature_in_words("rougeL|protocol:p|stem:yes|refs:max|L17|new-part:7|rouge-score:0.1.2|missing:zero|data:d|turns:t|truth:x")
    assert words == (
        "Porter stemming; the best of several references; layer 17; new part: 7; a turn that the run lacks scores 0; "
        "computed with rouge-score 0.1.2"
    )


def test_lists_stay_short():
    many = [f"s{place}" for place in range(8)]
    assert listed(many[:3]) == "s0, s1 and s2"
    assert listed(many) == "s0, s1, s2, s3 and others"
    assert either(many, ["x"]) == "the others"
    assert sizes([0.041, -0.09, 0.05]) == "4.1 to 9.0 points"
    assert sizes([0.041]) == "4.1 points"
