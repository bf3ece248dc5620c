from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import succeed
from numpy.typing import NDArray

from convbench.analysis.estimates import Estimate
from convbench.analysis.resampling import Resampling, drawn
from convbench.comparison.consistency import consistency_of
from convbench.comparison.consistency_model import Consistency
from convbench.comparison.gather import tasks_of
from convbench.comparison.model import Settings
from convbench.comparison.task import Entrant, Task
from convbench.harness.agreement_file import agreement_path, write_agreement
from convbench.harness.finished import load_run
from convbench.metrics import squad
from convbench.metrics.overlap import overlap
from convbench.types import TurnRecord

SETTINGS = Settings(Resampling(resamples=400), hit_depth=2, good=0.12)
RUN = ("-d", "topiocqa", "--limit", 5, "--metrics", "retrieval,token-f1")
OTHER_WRITER = ("--set", "generator.passages=1")
"""The baselines share their generator; this makes another of it."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("consistency")
    succeed("run", "bm25-query", "--evidence", "ladder", *RUN, "--out", folder / "evidence")
    succeed("run", "bm25-query", "--history", "ladder", *RUN, "--out", folder / "history")
    succeed("run", "bm25-history", *OTHER_WRITER, *RUN, "--out", folder / "other")
    succeed("run", "bm25-query", "--rankings", folder / "other", *RUN, "--out", folder / "query-on-other")
    lent = ("--rankings", folder / "evidence" / "retrieved")
    succeed("run", "bm25-history", *lent, *OTHER_WRITER, *RUN, "--out", folder / "other-on-query")
    succeed("run", "bm25-history", *lent, *RUN, "--out", folder / "usual-on-query")
    succeed("run", "bm25-history", "--rankings", folder / "history" / "full", *OTHER_WRITER, *RUN, "--out", folder / "other-on-full")
    for reference in ("oracle", "random"):
        succeed("run", reference, *RUN, "--out", folder / reference)
    return folder


def task_of(folder: Path, *names: str) -> Task:
    (task,) = tasks_of([load_run(folder / name) for name in names])
    return task


def told(task: Task) -> Consistency:
    return consistency_of(task, SETTINGS)


def responses(task: Task, label: str) -> NDArray[np.float64]:
    measure = task.primary("response")
    assert measure is not None
    return task.values[measure.key][:, [entrant.label for entrant in task.entrants].index(label)]


def entrant_named(task: Task, label: str) -> Entrant:
    return next(entrant for entrant in task.entrants if entrant.label == label)


def naive_samples(task: Task, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over the resamples, in a loop over turns."""
    found = []
    for weights in np.concatenate(list(drawn(len(task.clusters.names), SETTINGS.resampling))):
        pairs = [(value, weights[place]) for value, place in zip(values, task.clusters.index, strict=True) if not np.isnan(value)]
        total = sum(weight for _, weight in pairs)
        found.append(sum(value * weight for value, weight in pairs) / total if total else np.nan)
    return np.array(found)


def is_mean_of(estimate: Estimate | None, task: Task, values: NDArray[np.float64]) -> None:
    assert estimate is not None
    assert estimate.value == pytest.approx(np.nanmean(values))
    assert estimate.n_turns == (~np.isnan(values)).sum()
    assert estimate.interval == pytest.approx(tuple(np.nanquantile(naive_samples(task, values), [0.025, 0.975])))


def best_rank(task: Task, record: TurnRecord | None, gold: Mapping[str, int]) -> float:
    ids = [id_ for id_, _ in record.passages] if record else []
    return min((ids.index(id_) + 1 for id_ in gold if id_ in ids), default=np.inf)


@pytest.fixture(scope="module")
def pair(runs: Path) -> Task:
    return task_of(runs, "evidence/retrieved", "other", "oracle", "random")


def test_outcomes_are_those_of_a_loop(pair: Task) -> None:
    found = told(pair)
    assert found.response_measure == "response-overlap/F1-max"
    assert found.retrieval_measure == "convgqr-line/nDCG@3"
    assert [outcomes.label for outcomes in found.outcomes] == [entrant.label for entrant in pair.entrants]
    for outcomes, joint in zip(found.outcomes, found.joint, strict=True):
        values, records = responses(pair, outcomes.label), entrant_named(pair, outcomes.label).records
        hit = np.array([best_rank(pair, records.get(turn.id), turn.gold) <= 2 for turn in pair.turns])
        good = values >= 0.12
        cells = [hit & good, hit & ~good, ~hit & good, ~hit & ~good]
        assert outcomes.counts == tuple(int(cell.sum()) for cell in cells)
        assert sum(outcomes.counts) == len(pair.turns)
        shares = (outcomes.used_hit, outcomes.unused_hit, outcomes.lucky_miss, outcomes.honest_miss)
        for share, cell in zip(shares, cells, strict=True):
            is_mean_of(share, pair, cell.astype(np.float64))
        is_mean_of(joint.value, pair, values * hit)
        mean = values.mean()
        assert joint.value.value is not None
        assert joint.value.value <= mean + 1e-12


def test_the_gap_is_a_difference_of_two_means_over_the_same_draws(pair: Task) -> None:
    outcomes = told(pair).outcomes[0]
    values, records = responses(pair, outcomes.label), entrant_named(pair, outcomes.label).records
    hit = np.array([best_rank(pair, records.get(turn.id), turn.gold) <= 2 for turn in pair.turns])
    given_hit, given_miss = np.where(hit, values, np.nan), np.where(hit, np.nan, values)
    is_mean_of(outcomes.given_hit, pair, given_hit)
    is_mean_of(outcomes.given_miss, pair, given_miss)
    samples = naive_samples(pair, given_hit) - naive_samples(pair, given_miss)
    assert outcomes.gap.value == pytest.approx(np.nanmean(given_hit) - np.nanmean(given_miss))
    assert outcomes.gap.interval == pytest.approx(tuple(np.nanquantile(samples, [0.025, 0.975])))


def test_the_oracle_has_nothing_but_used_hits(pair: Task) -> None:
    outcomes = next(outcomes for outcomes in told(pair).outcomes if outcomes.label == "oracle")
    assert outcomes.counts == (len(pair.turns), 0, 0, 0)
    assert (outcomes.gap.value, outcomes.given_miss.value) == (None, None)


def test_examples_are_turns_of_their_outcome_the_clearest_first(pair: Task) -> None:
    outcomes = told(pair).outcomes[0]
    values, records = responses(pair, outcomes.label), entrant_named(pair, outcomes.label).records
    turns = {turn.id: (best_rank(pair, records.get(turn.id), turn.gold), value) for turn, value in zip(pair.turns, values, strict=True)}
    order = list(turns)
    unused = [id_ for id_, (rank, value) in turns.items() if rank <= 2 and value < 0.12]
    lucky = [id_ for id_, (rank, value) in turns.items() if rank > 2 and value >= 0.12]
    assert outcomes.examples[1] == tuple(sorted(unused, key=lambda id_: (*turns[id_], order.index(id_)))[:5])
    assert outcomes.examples[2] == tuple(sorted(lucky, key=lambda id_: (-turns[id_][0], -turns[id_][1], order.index(id_)))[:5])
    assert all(len(examples) <= 5 for examples in outcomes.examples)


def test_quality_by_rank_is_that_of_a_loop(pair: Task) -> None:
    found = told(pair).by_rank[0]
    values, records = responses(pair, found.label), entrant_named(pair, found.label).records
    depth = max(len(record.passages) for entrant in pair.entrants for record in entrant.records.values())
    spans = {"1": (1, 1), "2": (2, 2), "3": (3, 3), "4-5": (4, 5), "6-10": (6, 10), "11-20": (11, 20), f"21-{depth}": (21, depth)}
    spans["not found"] = (np.inf, np.inf)
    assert [label for label, _ in found.buckets] == list(spans)
    ranks = [best_rank(pair, records.get(turn.id), turn.gold) for turn in pair.turns]
    for label, estimate in found.buckets:
        low, high = spans[label]
        inside = [value for rank, value in zip(ranks, values, strict=True) if low <= rank <= high]
        assert estimate.n_turns == len(inside)
        assert estimate.value == (pytest.approx(np.mean(inside)) if inside else None)
    assert sum(estimate.n_turns for _, estimate in found.buckets) == len(pair.turns)


def test_a_turn_that_the_retrieval_measure_leaves_out_is_in_no_table(pair: Task) -> None:
    key = told(pair).retrieval_measure
    assert key is not None
    values = pair.values[key].copy()
    values[:4, 0] = np.nan
    found = told(replace(pair, values={**pair.values, key: values}))
    assert [sum(outcomes.counts) for outcomes in found.outcomes] == [len(pair.turns) - 4, *[len(pair.turns)] * 3]
    assert sum(estimate.n_turns for _, estimate in found.by_rank[0].buckets) == len(pair.turns) - 4
    assert found.joint[0].value.n_turns == len(pair.turns) - 4


def test_gold_begins_at_the_grade_that_the_measure_takes_for_relevant(pair: Task) -> None:
    stricter = replace(pair, measures=tuple(replace(m, signature=m.signature.replace("|rel:1", "|rel:2")) for m in pair.measures))
    assert told(stricter).outcomes == ()  # all grades of this dataset are 1
    assert told(pair).outcomes


def test_support_is_the_overlap_of_tokens(pair: Task) -> None:
    for support in told(pair).support:
        entrant = entrant_named(pair, support.label)
        store = pair.store
        assert store is not None
        assert support.reasons == {}
        for source in ("given", "gold", "history"):
            rows = []
            for turn in pair.turns:
                record = entrant.records[turn.id]
                said = [text for exchange in turn.history for text in (exchange.query, exchange.response) if text]
                ids = {"given": record.evidence, "gold": tuple(turn.gold)}.get(source, ())
                texts = [passage.text for passage in store.get(list(ids))] if source != "history" else [*said, turn.query]
                common = overlap(squad.tokens(" ".join(texts)), squad.tokens(record.response or ""))
                rows.append((common.precision, common.recall))
            is_mean_of(support.values[source, "K-precision"], pair, np.array(rows)[:, 0])
            is_mean_of(support.values[source, "K-recall"], pair, np.array(rows)[:, 1])


def test_support_that_a_run_was_scored_with_is_taken_from_it(runs: Path, tmp_path: Path) -> None:
    scored = succeed("run", "bm25-query", *RUN[:4], "--protocol", "llm-verbose", "--out", tmp_path / "verbose")
    assert scored.code == 0
    task = task_of(tmp_path, "verbose")
    (taken,) = told(task).support
    (computed,) = told(task_of(runs, "evidence/retrieved")).support
    assert taken.values == computed.values
    changed = task.entrants[0].run
    for key in changed.scores:
        if key[1] == "K-precision(given)":
            for turn_id in changed.scores[key]:
                changed.scores[key][turn_id] = 0.25  # type: ignore[index]
    (retold,) = told(task).support
    assert retold.values["given", "K-precision"].value == 0.25
    assert retold.values["given", "K-recall"].value == pytest.approx(taken.values["given", "K-recall"].value)


def test_support_says_why_it_is_lacking(runs: Path) -> None:
    task = task_of(runs, "evidence/none")
    task.entrants[0].run.store = None  # type: ignore[misc]
    (support,) = told(task).support
    assert support.reasons["given"].startswith("the run does not say that its responder was given passages")
    assert "not at hand" in support.reasons["gold"]
    assert set(support.values) == {("history", "K-precision"), ("history", "K-recall")}


RUNGS = ("none", "other-turn", "retrieved-minus-gold", "retrieved", "gold+noise", "gold")


@pytest.fixture(scope="module")
def laddered(runs: Path) -> Task:
    return task_of(runs, *(f"evidence/{name}" for name in reversed(RUNGS)), "oracle", "random")


def under(task: Task, condition: str) -> NDArray[np.float64]:
    label = next(
        entrant.label
        for entrant in task.entrants
        if entrant.run.results.conditions["evidence"] == condition and entrant.name == "bm25-query"
    )
    return responses(task, label)


def test_an_evidence_ladder_has_every_rung_in_order(laddered: Task) -> None:
    (ladder,) = told(laddered).evidence
    assert ladder.name == "bm25-query"
    assert [condition for condition, _, _ in ladder.rungs] == list(RUNGS)
    for condition, label, estimate in ladder.rungs:
        assert entrant_named(laddered, label).run.results.conditions["evidence"] == condition
        is_mean_of(estimate, laddered, under(laddered, condition))


def test_its_differences_are_paired(laddered: Task) -> None:
    (ladder,) = told(laddered).evidence
    is_mean_of(ladder.gain, laddered, under(laddered, "gold") - under(laddered, "none"))
    is_mean_of(ladder.gap, laddered, under(laddered, "gold") - under(laddered, "retrieved"))
    is_mean_of(ladder.distraction, laddered, under(laddered, "gold+noise") - under(laddered, "gold"))
    is_mean_of(ladder.copy_risk, laddered, under(laddered, "other-turn") - under(laddered, "none"))


def test_the_capture_ratio_is_computed_sample_by_sample(laddered: Task) -> None:
    (ladder,) = told(laddered).evidence
    above, below = under(laddered, "retrieved") - under(laddered, "none"), under(laddered, "gold") - under(laddered, "none")
    samples = naive_samples(laddered, above) / naive_samples(laddered, below)
    assert ladder.capture is not None
    assert ladder.capture.value == pytest.approx(above.mean() / below.mean())
    assert ladder.capture.interval == pytest.approx(tuple(np.quantile(samples, [0.025, 0.975])))
    assert ladder.capture_reason is None


def with_responses(task: Task, values: Mapping[str, NDArray[np.float64]]) -> Task:
    key = told(task).response_measure
    assert key is not None
    changed = task.values[key].copy()
    for condition, column in values.items():
        place = next(
            place
            for place, entrant in enumerate(task.entrants)
            if entrant.run.results.conditions["evidence"] == condition and entrant.name == "bm25-query"
        )
        changed[:, place] = column
    return replace(task, values={**task.values, key: changed})


def test_there_is_no_capture_where_the_gain_may_be_0(laddered: Task) -> None:
    swing = np.where(laddered.clusters.index % 2 == 0, 0.2, -0.2)
    task = with_responses(laddered, {"none": np.full(len(swing), 0.4), "gold": 0.4 + swing})
    (ladder,) = told(task).evidence
    assert ladder.gain is not None
    assert ladder.gain.interval is not None
    assert ladder.gain.interval[0] < 0 < ladder.gain.interval[1]
    assert ladder.capture is not None
    assert (ladder.capture.value, ladder.capture.interval) == (None, None)
    assert ladder.capture_reason is not None
    assert "the interval holds 0" in ladder.capture_reason


def test_the_capture_is_over_turns_that_all_three_rungs_have(laddered: Task) -> None:
    partial = under(laddered, "retrieved").copy()
    partial[::3] = np.nan
    (ladder,) = told(with_responses(laddered, {"retrieved": partial})).evidence
    known = ~np.isnan(partial)
    none, gold = under(laddered, "none"), under(laddered, "gold")
    assert ladder.capture is not None
    assert ladder.capture.value == pytest.approx((partial - none)[known].sum() / (gold - none)[known].sum())
    assert ladder.capture.n_turns == known.sum()


def test_a_ladder_without_some_rungs_says_which(runs: Path) -> None:
    (ladder,) = told(task_of(runs, "evidence/gold", "evidence/retrieved", "oracle")).evidence
    assert [condition for condition, _, _ in ladder.rungs] == ["retrieved", "gold"]
    assert ladder.gap is not None
    assert (ladder.gain, ladder.distraction, ladder.copy_risk, ladder.capture) == (None, None, None, None)
    assert ladder.capture_reason == "it needs the system under none, retrieved and gold; not run: none"


def test_runs_that_differ_in_more_than_evidence_make_no_ladder(runs: Path) -> None:
    found = told(task_of(runs, "evidence/gold", "history/full", "query-on-other", "oracle", "random"))
    assert found.evidence == ()
    assert any("--evidence ladder" in note for note in found.notes)


def test_a_history_ladder_and_its_exposure_gap(runs: Path) -> None:
    names = ["rewrite", "full-own", "last-3", "queries", "full", "last-1", "query"]
    task = task_of(runs, *(f"history/{name}" for name in names))
    found = told(task)
    (ladder,) = found.history
    assert [view for view, *_ in ladder.rungs] == ["query", "queries", "last-1", "last-3", "full", "full-own", "rewrite"]
    key = found.retrieval_measure
    assert key is not None
    columns = {view: [entrant.label for entrant in task.entrants].index(label) for view, label, _, _ in ladder.rungs}
    for view, label, retrieved, responded in ladder.rungs:
        assert entrant_named(task, label).run.path.name == view
        is_mean_of(retrieved, task, task.values[key][:, columns[view]])
        is_mean_of(responded, task, responses(task, label))
    assert ladder.exposure is not None
    is_mean_of(ladder.exposure[0], task, task.values[key][:, columns["full"]] - task.values[key][:, columns["full-own"]])
    own, full = (next(label for view, label, *_ in ladder.rungs if view == wanted) for wanted in ("full-own", "full"))
    is_mean_of(ladder.exposure[1], task, responses(task, full) - responses(task, own))


def test_there_is_no_exposure_gap_without_both_views(runs: Path) -> None:
    (ladder,) = told(task_of(runs, "history/full", "history/query")).history
    assert ladder.exposure is None


@pytest.fixture(scope="module")
def grid(runs: Path) -> Task:
    return task_of(runs, "evidence/retrieved", "other", "query-on-other", "other-on-query", "random", "evidence/gold")


def test_a_grid_is_found_and_its_interaction_is_that_of_a_loop(grid: Task) -> None:
    (found,) = told(grid).grids
    assert (found.own, found.other) == ("bm25-query", "bm25-history")
    for (retriever, generator), (label, estimate) in found.cells.items():
        run = entrant_named(grid, label).run
        assert (run.results.conditions.get("rankings", run.name), run.name) == (retriever, generator)
        is_mean_of(estimate, grid, responses(grid, label))
    cell = {pair: responses(grid, label) for pair, (label, _) in found.cells.items()}
    own, other = found.own, found.other
    turns = cell[own, own] - cell[own, other] - cell[other, own] + cell[other, other]
    assert np.abs(turns).max() > 0
    is_mean_of(found.interaction, grid, turns)
    assert found.p is not None
    assert 0 < found.p <= 1


def test_cells_that_add_up_have_no_interaction(grid: Task) -> None:
    key, (found,) = told(grid).response_measure, told(grid).grids
    assert key is not None
    values = grid.values[key].copy()
    labels = [entrant.label for entrant in grid.entrants]
    turns = np.arange(len(grid.turns)) % 8 / 16
    for (retriever, generator), (label, _) in found.cells.items():
        values[:, labels.index(label)] = turns * (retriever == "bm25-query") + 0.25 * (generator == "bm25-query")
    (added,) = told(replace(grid, values={**grid.values, key: values})).grids
    assert (added.interaction.value, added.interaction.interval, added.p) == (0.0, (0.0, 0.0), 1.0)


def test_a_grid_without_a_cell_is_none(runs: Path) -> None:
    found = told(task_of(runs, "evidence/retrieved", "other", "query-on-other"))
    assert found.grids == ()
    assert any("--rankings RUN" in note for note in found.notes)


def test_a_grid_needs_the_very_rankings_that_were_lent(runs: Path) -> None:
    cells = ("query-on-other", "other-on-query")
    assert told(task_of(runs, "history/full", "other", *cells)).grids == ()  # bm25-query, but with another history
    assert len(told(task_of(runs, "history/query", "other", *cells)).grids) == 1
    assert told(task_of(runs, "history/query", "other", "query-on-other", "other-on-full")).grids == ()


def test_a_grid_needs_the_same_settings_of_a_generator(runs: Path) -> None:
    cells = ("evidence/retrieved", "other", "query-on-other")
    assert told(task_of(runs, *cells, "usual-on-query")).grids == ()
    assert len(told(task_of(runs, *cells, "usual-on-query", "other-on-query")).grids) == 1


def test_notes_say_how_to_get_what_is_lacking(pair: Task) -> None:
    notes = told(pair).notes
    for wanted in ("--evidence ladder", "--history ladder", "--rankings RUN"):
        assert sum(wanted in note for note in notes) == 1


def test_runs_without_responses_have_no_consistency(tmp_path: Path) -> None:
    succeed("run", "bm25-query", *RUN, "--set", "generator=null", "--out", tmp_path / "search")
    found = told(task_of(tmp_path, "search"))
    assert (found.outcomes, found.by_rank, found.joint, found.support) == ((), (), (), ())
    assert found.notes


def agreeing(task: Task, place: int) -> list[tuple[float | None, bool | None]]:
    """Writes an agreement file into a run's folder: every fifth turn has no value."""
    run = task.entrants[place].run
    values = [(None, None) if n % 5 == 0 else ((n % 7) / 3 - 1, n % 3 == 0) for n in range(len(task.turns))]
    rows = [
        {"turn_id": turn.id, "rank_correlation": correlation, "top1": top1, "passages": [], **({} if n % 5 else {"reason": "none"})}
        for n, (turn, (correlation, top1)) in enumerate(zip(task.turns, values, strict=True))
    ]
    header = {"k": 7, "response": "gold", "model": {"name": "m"}, "run_sha256": run.results.run_sha256}
    write_agreement(agreement_path(run.path, "gold"), header, reversed(rows))
    return values


def test_self_agreement_is_read_from_run_folders(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "evidence" / "retrieved", tmp_path / "first")
    shutil.copytree(runs / "other", tmp_path / "second")
    task = task_of(tmp_path, "first", "second")
    values = np.array(agreeing(task, 1), dtype=np.float64)
    (agreement,) = told(task).agreement
    assert (agreement.label, agreement.k, agreement.response) == (task.entrants[1].label, 7, "gold")
    is_mean_of(agreement.rank_correlation, task, values[:, 0])
    is_mean_of(agreement.top1, task, values[:, 1])


def test_self_agreement_of_another_run_is_left_out_with_a_note(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "evidence" / "retrieved", tmp_path / "first")
    task = task_of(tmp_path, "first")
    agreeing(task, 0)
    file = tmp_path / "first" / "agreement-gold.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace(task.entrants[0].run.results.run_sha256, "0" * 64), encoding="utf-8")
    found = told(task)
    assert found.agreement == ()
    assert any("self-agreement of bm25-query is left out" in note and "another run" in note for note in found.notes)


def test_one_conversation_has_values_without_intervals(tmp_path: Path) -> None:
    alone = ("-d", "topiocqa", "--limit", 1, "--metrics", "retrieval,token-f1")
    for name in ("retrieved", "gold"):
        succeed("run", "bm25-query", "--evidence", name, *alone, "--out", tmp_path / name)
    found = told(task_of(tmp_path, "retrieved", "gold"))
    (ladder,) = found.evidence
    assert ladder.gap is not None
    assert ladder.gap.value is not None
    assert ladder.gap.interval is None
    assert found.outcomes[0].used_hit.interval is None
    assert found.outcomes[0].gap.interval is None


def test_it_is_the_same_every_time(laddered: Task) -> None:
    assert told(laddered) == told(laddered)
