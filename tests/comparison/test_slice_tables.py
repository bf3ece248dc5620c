from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import succeed

from convbench.analysis.clusters import Clusters
from convbench.analysis.estimates import estimated_means
from convbench.analysis.resampling import Resampling, sign_flip_p
from convbench.comparison import slice_tables as module
from convbench.comparison.model import Settings
from convbench.comparison.slice_tables import slice_tables
from convbench.comparison.task import Entrant, Task, Yardstick
from convbench.harness.finished import load_run
from convbench.types import Conversation, Turn, TurnRecord

PLAN = Resampling(resamples=500, seed=3)
SETTINGS = Settings(resampling=PLAN)
UP = Yardstick("p", "up", "up", "up|v:1", "ranking", True, True, "mean", "unit", True, "all")
DOWN = replace(UP, name="down", label="down", signature="down|v:1", side="response", higher_is_better=False)
CONVERSATIONS, LENGTH = 40, 5
ACTS = ("Disclosure|Edification", "Edification", "Ack.", "", "Disclosure")


def task_of(values: dict[str, np.ndarray], measures: tuple[Yardstick, ...] = (UP, DOWN), acts: tuple[str, ...] = ACTS) -> Task:
    """Conversations of five turns, whose third turns are without an answer, under systems a, b and c."""
    conversations = tuple(
        Conversation(
            f"c{number}",
            "d",
            "s",
            tuple(
                Turn(f"c{number}_{place}", "q", labels={"answerable": "no" if place == 3 else "yes"} | ({"vrm": act} if act else {}))
                for place, act in enumerate(acts, 1)
            ),
        )
        for number in range(CONVERSATIONS)
    )
    turns = tuple(turn for conversation in conversations for turn in conversation.turns)
    dataset = SimpleNamespace(conversations=conversations, turns=turns)
    records = {turn.id: TurnRecord(turn.id) for turn in turns}
    entrants = tuple(Entrant(name, "", SimpleNamespace(name=name, dataset=dataset, records=records)) for name in "abc")
    return Task("d-s", "d, split s", entrants, measures, values)


def drawn(seed: int = 0) -> dict[str, np.ndarray]:
    """Noise; under ``up`` b is better than a on third turns only, and one value in ten is absent from all systems."""
    chance = np.random.default_rng(seed)
    up, down = chance.random((CONVERSATIONS * LENGTH, 3)), chance.random((CONVERSATIONS * LENGTH, 3))
    up[2::LENGTH, 1] += 0.5
    up[chance.random(len(up)) < 0.1] = np.nan
    return {UP.key: up, DOWN.key: down}


PAIRS = [(1, 0), (2, 0), (2, 1)]


def table_of(tables, name):
    return next(table for table in tables if table.name == name)


def row_of(tables, name, value):
    return next(row for row in table_of(tables, name).rows if row.value == value)


def members(task: Task, labels: tuple[str | None, ...], value: str) -> np.ndarray:
    return np.array([value in (label or "").split("|") for label in labels])


def test_only_slicings_that_tell_turns_apart_have_a_table():
    task = task_of(drawn())
    tables, labels = slice_tables(task, PAIRS, SETTINGS)
    assert [table.name for table in tables] == ["depth", "answerable", "dialogue-act"]
    assert list(labels) == ["depth", "answerable", "dialogue-act"]
    assert all(len(column) == len(task.turns) for column in labels.values())
    assert labels["dialogue-act"][:LENGTH] == ("Disclosure|Edification", "Edification", "Ack.", None, "Disclosure")
    assert [row.value for row in tables[0].rows] == ["1", "2", "3", "4-5"]
    assert [table.unlabelled for table in tables] == [0, 0, CONVERSATIONS]
    assert all(table.measures == ("p/up", "p/down") for table in tables)


def test_estimates_are_plain_means_over_the_turns_of_the_slice():
    task = task_of(drawn())
    tables, labels = slice_tables(task, PAIRS, SETTINGS)
    rows = 0
    for table in tables:
        for row in table.rows:
            inside = members(task, labels[table.name], row.value)
            assert row.n_turns == inside.sum()
            assert row.n_conversations == CONVERSATIONS
            for measure in (UP, DOWN):
                values = task.values[measure.key]
                for place, name in enumerate("abc"):
                    estimate = row.systems[measure.key][name]
                    assert estimate.value == pytest.approx(np.nanmean(values[inside, place]), abs=1e-12)
                    assert estimate.n_turns == np.sum(~np.isnan(values[inside, place]))
            for contrast in row.contrasts:
                values = task.values[contrast.measure]
                first, second = "abc".index(contrast.first), "abc".index(contrast.second)
                assert contrast.difference.value == pytest.approx(np.nanmean((values[:, first] - values[:, second])[inside]), abs=1e-12)
            assert [(c.measure, c.first, c.second) for c in row.contrasts] == [
                (key, "abc"[first], "abc"[second]) for key in ("p/up", "p/down") for first, second in PAIRS
            ]
            rows += 1
    assert rows == 4 + 2 + 3


def test_turns_with_several_labels_count_in_each():
    tables, _ = slice_tables(task_of(drawn()), PAIRS, SETTINGS)
    assert {row.value: row.n_turns for row in table_of(tables, "dialogue-act").rows} == {"Disclosure": 80, "Edification": 80, "Ack.": 40}


def test_intervals_and_p_values_are_those_of_the_slice_alone():
    task = task_of(drawn())
    tables, labels = slice_tables(task, PAIRS, SETTINGS)
    inside = members(task, labels["answerable"], "no")
    clusters = Clusters.of([turn.id for turn, held in zip(task.turns, inside, strict=True) if held])
    differences = (task.values[DOWN.key][:, [1]] - task.values[DOWN.key][:, [0]])[inside]
    (contrast,) = [c for c in row_of(tables, "answerable", "no").contrasts if (c.measure, c.first, c.second) == ("p/down", "b", "a")]
    (alone,) = estimated_means(differences, clusters, PLAN)
    assert contrast.difference.interval == pytest.approx(alone.interval)
    assert contrast.p == pytest.approx(sign_flip_p(differences, clusters, PLAN)[0])


def by_hand(p_values: list[float]) -> list[float]:
    """Benjamini and Hochberg: of the tests with no smaller p, the least of p × tests / tests with at most that p."""
    at_most = [sum(other <= p for other in p_values) for p in p_values]
    return [min(1.0, *(q * len(p_values) / count for q, count in zip(p_values, at_most, strict=True) if q >= p)) for p in p_values]


def test_all_tests_of_the_task_are_corrected_together():
    tables, _ = slice_tables(task_of(drawn()), PAIRS, SETTINGS)
    contrasts = [contrast for table in tables for row in table.rows for contrast in row.contrasts]
    assert len(contrasts) == 9 * 2 * len(PAIRS)
    p_values = [contrast.p for contrast in contrasts]
    assert None not in p_values
    assert [contrast.adjusted for contrast in contrasts] == pytest.approx(by_hand(p_values))


def test_a_difference_on_one_slice_is_found_there_and_not_elsewhere():
    tables, _ = slice_tables(task_of(drawn()), PAIRS, SETTINGS)
    better = {
        (row.value, c.measure, c.first, c.second): c.better for row in table_of(tables, "depth").rows for c in row.contrasts if c.better
    }
    assert better == {("3", "p/up", "b", "a"): "b", ("3", "p/up", "c", "b"): "b"}


def test_a_lower_value_is_better_where_the_measure_says_so():
    values = drawn()
    values[DOWN.key][:, 0] += 1
    tables, _ = slice_tables(task_of(values), [(1, 0), (0, 2)], SETTINGS)
    for row in table_of(tables, "depth").rows:
        assert [c.better for c in row.contrasts if c.measure == "p/down"] == ["b", "c"]


def test_no_difference_at_all_is_no_ones_advantage():
    values = drawn()
    values[UP.key][:, 1] = values[UP.key][:, 0]
    tables, _ = slice_tables(task_of(values), [(1, 0)], SETTINGS)
    contrasts = [c for table in tables for row in table.rows for c in row.contrasts if c.measure == "p/up"]
    assert {(c.p, c.better) for c in contrasts} == {(1.0, "")}


def test_small_slices_are_shown_but_not_tested():
    task = task_of(drawn())
    for settings in (replace(SETTINGS, floor_turns=41), replace(SETTINGS, floor_turns=0, floor_conversations=41)):
        tables, _ = slice_tables(task, PAIRS, settings)
        row = row_of(tables, "answerable", "no")
        assert row.small
        assert row.systems["p/up"]["a"].value is not None
        assert {(c.p, c.adjusted, c.better) for c in row.contrasts} == {(None, None, "")}
        assert all(c.difference.value is not None for c in row.contrasts)
    assert not row_of(slice_tables(task, PAIRS, replace(SETTINGS, floor_turns=40))[0], "answerable", "no").small


def test_tests_that_are_not_made_are_not_corrected_for():
    tables, _ = slice_tables(task_of(drawn()), PAIRS, replace(SETTINGS, floor_turns=41))
    p_values = [c.p for table in tables for row in table.rows for c in row.contrasts if c.p is not None]
    adjusted = [c.adjusted for table in tables for row in table.rows for c in row.contrasts if c.p is not None]
    assert adjusted == pytest.approx(by_hand(p_values))
    assert len(p_values) == 6 * (1 + 1 + 2)  # depth 4-5, answerable yes, two of three acts


def test_a_pair_with_few_values_on_a_large_slice_is_not_tested():
    values = drawn()
    values[UP.key][LENGTH * 9 :, 0] = np.nan  # system a has values in nine conversations only
    tables, _ = slice_tables(task_of(values), PAIRS, SETTINGS)
    row = row_of(tables, "answerable", "yes")
    assert not row.small
    tested = {(c.first, c.second): c.p is not None for c in row.contrasts if c.measure == "p/up"}
    assert tested == {("b", "a"): False, ("c", "a"): False, ("c", "b"): True}


def test_a_slice_without_values_has_none_and_no_test():
    values = drawn()
    values[UP.key][2::LENGTH] = np.nan
    tables, _ = slice_tables(task_of(values), PAIRS, replace(SETTINGS, floor_turns=0, floor_conversations=0))
    row = row_of(tables, "answerable", "no")
    assert row.systems["p/up"]["b"].value is None
    assert {c.p for c in row.contrasts if c.measure == "p/up"} == {None}
    assert None not in {c.p for c in row.contrasts if c.measure == "p/down"}


def test_without_pairs_there_are_values_only():
    tables, _ = slice_tables(task_of(drawn()), [], SETTINGS)
    assert {row.contrasts for table in tables for row in table.rows} == {()}
    assert tables[0].rows[0].systems["p/down"]["c"].value is not None


@pytest.mark.parametrize(
    ("measures", "shown"),
    [
        ((UP, replace(DOWN, declared=False)), ("p/up",)),
        ((UP, replace(DOWN, aggregate="corpus")), ("p/up",)),
        ((UP, replace(DOWN, ranks=False)), ("p/up",)),
        ((replace(UP, declared=False), replace(DOWN, declared=False)), ("p/up", "p/down")),
    ],
)
def test_the_declared_measures_are_shown(measures, shown):
    tables, _ = slice_tables(task_of(drawn(), measures), PAIRS, SETTINGS)
    assert tables[0].measures == shown


def test_without_a_measure_that_tests_there_are_labels_and_no_tables():
    tables, labels = slice_tables(task_of(drawn(), (replace(UP, ranks=False),)), PAIRS, SETTINGS)
    assert tables == ()
    assert "depth" in labels


def test_columns_are_computed_alike_however_many_at_a_time(monkeypatch):
    task = task_of(drawn())
    whole = slice_tables(task, PAIRS, SETTINGS)
    monkeypatch.setattr(module, "_BYTES", 8 * PLAN.resamples * 5)  # five columns
    pieces = slice_tables(task, PAIRS, SETTINGS)
    assert pieces[1] == whole[1]
    for ours, theirs in zip(pieces[0], whole[0], strict=True):
        for one, other in zip(ours.rows, theirs.rows, strict=True):
            assert [c.p for c in one.contrasts] == [c.p for c in other.contrasts]
            assert [c.difference.interval for c in one.contrasts] == [pytest.approx(c.difference.interval) for c in other.contrasts]


def test_real_runs(tmp_path):
    names = ("bm25-history", "bm25-query")
    succeed("run", *names, "-d", "topiocqa", "--metrics", "retrieval", "--out", tmp_path)
    paths = [tmp_path / "topiocqa" / name for name in names]
    entrants = tuple(Entrant(path.name, "", load_run(path)) for path in paths)
    turns = entrants[0].run.dataset.turns
    key = ("convgqr-line", "nDCG@3")
    values = np.array([[entrant.run.scores[key].get(turn.id) for entrant in entrants] for turn in turns], dtype=np.float64)
    measure = replace(UP, protocol=key[0], name=key[1])
    task = Task("topiocqa-mini", "topiocqa", entrants, (measure,), {measure.key: values})
    tables, labels = slice_tables(task, [(0, 1)], replace(SETTINGS, floor_turns=10, floor_conversations=5))
    assert {"depth", "topic", "gold-seen", "answerable", "rewrite-distance"} <= labels.keys()
    whole = next(result.value for result in entrants[0].run.results.metrics if (result.protocol, result.name) == key)
    depth = [row.systems[measure.key]["bm25-history"] for row in table_of(tables, "depth").rows]
    assert sum(estimate.value * estimate.n_turns for estimate in depth) / len(turns) == pytest.approx(whole)
