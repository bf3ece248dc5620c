"""``study.md``: what was run, tables, claims and pictures. Every sentence is fixed or follows from a rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import convbench
from convbench.report.markdown import Markdown, aligned_table, code, escape
from convbench.report.numbers import between, level_in_words, per_cent, points, probability
from convbench.report.words import counted, dataset_facts, in_words, machine_in_words
from convbench.training.rendering import rendered
from convbench.training.study.consistency import DERIVED, OF_SIDES
from convbench.training.study.figures import StudyPicture
from convbench.training.study.plan import Arm
from convbench.training.study.report import StudyReport
from convbench.training.study.results import ArmValue, BySeed, ClaimResult, Difference, SetResults

_NONE = "–"


def render_study(report: StudyReport, pictures: Sequence[StudyPicture]) -> str:
    """The report as Markdown; what stands in the study's files is escaped.

    Args:
        report: The study.
        pictures: Those that are written beside it, in the folder ``figures``.
    """
    own = {each.scores.name: [picture for picture in pictures if picture.set_name == each.scores.name] for each in report.sets}
    values = {
        "report": report,
        "study": report.study,
        "version": convbench.__version__,
        "level": level_in_words(report.plan.level),
        "first_arm": next(iter(report.study.arms)),
        "machines": [machine_in_words(machine) for machine in report.machines],
        "arms_table": _table(["Arm", "What it is"], [[name, _arm(arm)] for name, arm in report.study.arms.items()]),
        "sources_table": _sources(report),
        "cells_table": _cells(report),
        "sets": [_set(each, report, own[each.scores.name]) for each in report.sets],
        "claims": [_in_short(claim, each, report) for each in report.sets for claim in each.claims],
        "other_pictures": [picture for picture in pictures if not picture.set_name],
        "meanings": {each.scores.name: _meanings(each, report) for each in report.sets},
    }
    return rendered("study.md.j2", values)


def _table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> Markdown:
    return aligned_table([escape(each) for each in header], [[escape(cell) for cell in row] for row in rows])


def _arm(arm: Arm) -> str | Markdown:
    if not arm.trained:
        return f"not trained: the checkpoint of {arm.generator} answers from the rankings of {arm.retriever}"
    changes = [code(f"{key} = {in_words(value)}") for key, value in arm.set.items()]
    return Markdown("; ".join(changes).replace("|", r"\|")) if changes else "the recipe as it is"


def _sources(report: StudyReport) -> Markdown | None:
    if not report.sources:
        return None
    rows = []
    for source in report.sources:
        data = source.get("data", {})
        digests = [
            *([f"turns {data['turns'][:12]}"] if "turns" in data else []),
            *(f"{file[0]} {file[1][:12]}" for file in data.get("files", ())),
        ]
        split = f", {data['split']}" if data.get("split") else ""
        feeds = ", ".join(f"{objective} {count:,}" for objective, count in source.get("feeds", {}).items())
        rows.append([source["name"], f"{data.get('name', 'file')}{split}", source.get("selection", ""), feeds, "; ".join(digests)])
    return _table(["Source", "Data", "Part", "Examples", "Identity"], rows)


def _cells(report: StudyReport) -> Markdown:
    rows = []
    for cell, held in report.cells.items():
        training = held.training
        made = [training["steps"], training["chosen_step"], f"{training['seconds']:,.0f}"] if training else [_NONE] * 3
        rows.append([cell.arm, cell.seed, *made, f"{report.seconds[cell]:,.0f}"])
    return _table(["Arm", "Seed", "Steps", "Chosen", "Training, s", "Runs, s"], rows)


def _set(results: SetResults, report: StudyReport, pictures: Sequence[StudyPicture]) -> dict[str, Any]:
    scores = results.scores
    return {
        "name": scores.name,
        "facts": dataset_facts(scores.results[0].dataset) if scores.results else [],
        "values_table": _values(results, report),
        "differences_table": _differences(results.differences),
        "evidence_table": _evidence(results.evidence),
        "claims_table": _claims(results),
        "claims": counted(len(results.claims), "claim"),
        "pictures": pictures,
    }


def _values(results: SetResults, report: StudyReport) -> Markdown:
    measures = report.study.measures
    by_place = {(value.shown.arm, value.measure): value for value in results.values}
    header = ["Arm", *(f"{measure}{'' if results.scores.measures[measure].higher_is_better else ' ↓'}" for measure in measures)]
    return _table(header, [[arm, *(_value(by_place.get((arm, measure))) for measure in measures)] for arm in report.study.arms])


def _value(value: ArmValue | None) -> str:
    if value is None or value.estimate.value is None:
        return _NONE
    spread = f" ({per_cent(value.spread[0])} to {per_cent(value.spread[1])})" if value.spread else ""
    return Markdown(f"{per_cent(value.estimate.value)} {between(value.estimate.interval)}".rstrip() + spread)


def _differences(differences: Sequence[Difference]) -> Markdown | None:
    if not differences:
        return None
    rows = []
    for row in differences:
        result = row.result
        mdd = _NONE if result.detectable is None else per_cent(result.detectable)
        p = [_NONE if each is None else probability(each) for each in (result.p, row.adjusted)]
        rows.append(
            [row.first.arm, row.measure, *_numbers(row), mdd, *p, f"{result.wins}/{result.ties}/{result.losses}", _seeds(row.by_seed)]
        )
    return _table(["Arm", "Measure", "Difference", "Interval", "MDD", "p", "Corrected", "W/T/L", "Seeds"], rows)


def _evidence(differences: Sequence[Difference]) -> Markdown | None:
    if not differences:
        return None
    rows = [[row.first.arm, row.measure, row.second.evidence, *_numbers(row), _seeds(row.by_seed)] for row in differences]
    return _table(["Arm", "Measure", "Other evidence", "Difference", "Interval", "Seeds"], rows)


def _claims(results: SetResults) -> Markdown | None:
    if not results.claims:
        return None
    return _table(["Claim", "Test", "Difference", "Interval", "Seeds", "Verdict"], [_claim(each, results) for each in results.claims])


def _claim(result: ClaimResult, results: SetResults) -> list[str]:
    claim, difference = result.claim, result.difference
    shown = f" with the evidence {claim.evidence}" if claim.evidence else ""
    lower = "" if results.scores.measures[claim.measure].higher_is_better else " ↓"
    numbers = [*_numbers(difference), _seeds(difference.by_seed)] if difference else [_NONE] * 3
    return [claim.text, f"{claim.measure}{lower}: {claim.arm} − {claim.against}{shown}", *numbers, result.words]


def _in_short(result: ClaimResult, results: SetResults, report: StudyReport) -> str:
    """A claim and its verdict, on which set where there are several."""
    on = f" ({results.scores.name})" if len(report.sets) > 1 else ""
    return f"{result.claim.text}{on}: {result.words}"


def _numbers(difference: Difference) -> tuple[str, str]:
    mean = difference.result.mean
    return _NONE if mean is None else points(mean), Markdown(between(difference.result.interval) or _NONE)


def _seeds(by_seed: BySeed) -> str:
    return ", ".join(_NONE if value is None else points(value) for value in by_seed.values())


def _meanings(results: SetResults, report: StudyReport) -> list[tuple[str, str]]:
    scores = results.scores
    rule = f"; retrieved: among the first {scores.hit_depth}; good: {scores.response or 'the response'} of {report.study.good:g} or more"
    return [
        (measure.name, measure.meaning + (rule if measure.key in OF_SIDES else "") if measure.key in DERIVED else code(measure.meaning))
        for measure in scores.measures.values()
    ]
