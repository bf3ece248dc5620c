from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.errors import ConvbenchError, InvariantError, RunFileError, UsageError
from convbench.metrics.invariants import check_turn
from convbench.metrics.invariants_at_once import suspects
from convbench.metrics.measure_names import rank_measure
from convbench.metrics.rank_arrays import Judged, measured
from convbench.metrics.rank_records import ArrayEvaluator, RankEvaluator, ranks_of
from convbench.metrics.rank_reference import IrMeasuresEvaluator
from convbench.metrics.retrieval import RetrievalMetric
from convbench.retrieval.canonical import LARGEST, canonical
from convbench.types import Turn, TurnRecord

NAMES = [
    *(f"{kind}@{cutoff}" for kind in ("nDCG", "RR", "R", "P", "Success", "Hits", "AP") for cutoff in (1, 3, 10, 100)),
    *("nDCG", "RR", "MAP", "AP"),
]

IDS = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=3)
SCORES = st.sampled_from([0.0, -0.0, 1.0, 1 + 1e-9, 200.0, 200 + 1e-6, -1e30, 1e-45, 7]) | st.floats(-1e38, 1e38)
RANKINGS = st.dictionaries(IDS, SCORES, max_size=30)
GOLD = st.dictionaries(IDS, st.integers(-1, 10_000), max_size=6)


def engines(names: list[str], depth: int, relevant_from: int) -> tuple[RankEvaluator, RankEvaluator]:
    measures = [rank_measure(name, depth) for name in names]
    return ArrayEvaluator(measures, depth, relevant_from), IrMeasuresEvaluator(measures, depth, relevant_from)


def assert_alike(turns: list[Turn], records: dict[str, TurnRecord], *, depth: int = 100, relevant_from: int = 1) -> None:
    names = [name for name in NAMES if rank_measure(name, depth).cutoff <= depth]
    ours, reference = engines(names, depth, relevant_from)
    np.testing.assert_allclose(ours.values(turns, records), reference.values(turns, records), rtol=0, atol=1e-12)


@given(
    st.lists(st.tuples(GOLD, RANKINGS | st.none()), max_size=5),
    st.sampled_from([1, 5, 100]),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_any_turns(
    cases: list[tuple[dict[str, int], dict[str, float] | None]], depth: int, relevant_from: int, chance: random.Random
) -> None:
    turns, records = [], {}
    for number, (gold, ranking) in enumerate(cases, 1):
        found = list((ranking or {}).items())
        chance.shuffle(found)
        if found and chance.random() < 0.7:  # passages of the ranking, so that something is found
            gold |= {passage_id: chance.randint(0, 3) for passage_id, _ in chance.sample(found, min(3, len(found)))}
        turns.append(Turn(f"c_{number}", "?", gold=gold))
        if ranking is not None:
            records[f"c_{number}"] = TurnRecord(f"c_{number}", passages=tuple(found))
    assert_alike(turns, records, depth=depth, relevant_from=relevant_from)


def many_turns(count: int, *, tied: bool) -> Iterator[tuple[Turn, TurnRecord]]:
    """Deep rankings, few or many gold passages, grades to 4."""
    chance = random.Random(int(tied))
    passages = [f"wiki:{number}" for number in range(600)]
    for number in range(count):
        turn_id = f"c{number // 10}_{number % 10 + 1}"
        gold = {id_: chance.randint(1, 4) for id_ in chance.sample(passages, chance.choice([1, 1, 2, 9, 150]))}
        found = chance.sample(passages, chance.choice([0, 1, 99, 100, 101, 300]))
        ranking = tuple((id_, round(chance.gauss(0, 1), 1) if tied else -float(rank)) for rank, id_ in enumerate(found))
        yield Turn(turn_id, "?", gold=gold), TurnRecord(turn_id, passages=ranking)


EDGES = st.sampled_from([LARGEST, -LARGEST, -LARGEST / 2, -LARGEST * 0.51, 3.4e38, -3.4e38, 0.0, -0.0, 2**53, 2**53 + 1, 1.0, 1 + 1e-9])


@given(st.dictionaries(IDS, EDGES, max_size=12), st.lists(IDS, max_size=4), st.sampled_from([1, 4, 100]), st.randoms(use_true_random=False))
def test_ranks_are_places_in_the_canonical_ranking(
    ranking: dict[str, float], strangers: list[str], depth: int, chance: random.Random
) -> None:
    passages = chance.sample(list(ranking.items()), len(ranking))
    wanted = list(dict.fromkeys([*strangers, *(id_ for id_, _ in passages[:6])]))

    def in_canonical() -> list[tuple[int, str]]:
        ordered = canonical("c_1", passages, depth).passages
        return [(rank, id_) for rank, (id_, _) in enumerate(ordered, 1) if id_ in wanted]

    def found(ranks: Callable[[], list[tuple[int, str]]]) -> list[tuple[int, str]] | str:
        try:
            return ranks()
        except RunFileError as error:
            return str(error)

    assert found(lambda: ranks_of(wanted, "c_1", passages, depth)) == found(in_canonical)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("relevant_from", [1, 3])
def test_many_turns(tied: bool, relevant_from: int) -> None:
    pairs = list(many_turns(200, tied=tied))
    assert_alike([turn for turn, _ in pairs], {turn.id: record for turn, record in pairs}, depth=200, relevant_from=relevant_from)


def test_the_metric_gives_the_same_scores_by_either_engine() -> None:
    pairs = list(many_turns(60, tied=True))
    turns, records = [turn for turn, _ in pairs], {turn.id: record for turn, record in pairs if turn.number != 4}
    ours, reference = RetrievalMetric(), RetrievalMetric(engine="ir_measures")
    assert ours.score(turns, records) == reference.score(turns, records)
    assert ours.measures() == reference.measures()


@pytest.mark.parametrize(
    "passages",
    [
        (("a", float("nan")),),
        (("a", 2.0), ("b", float("nan")), ("c", 1.0)),
        (("a", 1e39), ("b", 1.0)),
        (("a", 1.0), ("b", 1e39), ("c", 0.5)),
        (("a", 10**400), ("b", 1.0)),
        (("a", 2.0), ("b", float("-inf"))),
        (("a", 3.0), ("b", 2.0), ("a", 1.0)),
        (("a", 1.0), ("b", 2.0), ("a", 1.0)),
        (("a", -3.4028234663852886e38), ("b", -3.4028234663852886e38)),
    ],
)
@pytest.mark.parametrize("gold", [{}, {"b": 1}])
def test_the_engines_refuse_the_same(passages: tuple[tuple[str, float], ...], gold: dict[str, int]) -> None:
    turns = [Turn("c_1", "?", gold={"p": 1}), Turn("c_2", "?", gold=gold)]
    records = {"c_1": TurnRecord("c_1", passages=(("p", 1.0),)), "c_2": TurnRecord("c_2", passages=passages)}
    messages = []
    for engine in engines(["R@5"], 100, 1):
        with pytest.raises(ConvbenchError, match="turn c_2") as caught:
            engine.values(turns, records)
        messages.append((type(caught.value), str(caught.value)))
    assert messages[0] == messages[1]


def test_an_engine_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="engine 'trec'; expected arrays or ir_measures"):
        RetrievalMetric(engine="trec")  # type: ignore[arg-type]


def test_rankings_as_arrays_of_grades() -> None:
    chance = np.random.default_rng(0)
    grades, golds, qrels, run = [], [], {}, {}
    for number in range(300):
        row = chance.choice([0, 0, 0, 0, 1, 2, 3], size=chance.choice([0, 1, 7, 300]))
        missed = chance.integers(1, 4, size=chance.integers(0, 4))
        ids = {f"p{rank}": int(grade) for rank, grade in enumerate(row) if grade}
        ids |= {f"q{at}": int(grade) for at, grade in enumerate(missed)}
        grades.append(row)
        golds.append(np.sort(list(ids.values()))[::-1])
        qrels[str(number)] = ids
        run[str(number)] = {f"p{rank}": -float(rank) for rank in range(len(row))}
    rows = [np.concatenate([*lists, []]).astype(np.int32) for lists in (grades, golds)]
    ends = [np.cumsum([len(each) for each in lists]) for lists in (grades, golds)]
    judged = Judged.in_rankings(rows[0], ends[0], rows[1], ends[1])

    asked = {"nDCG@3": "nDCG@3", "nDCG": "nDCG", "RR": "RR(rel=2)", "MAP": "AP(rel=2)", "R@10": "R(rel=2)@10", "P@5": "P(rel=2)@5"}
    values = measured(judged, [rank_measure(name, 1000) for name in asked], relevant_from=2)
    measures = [ir_measures.parse_measure(name) for name in asked.values()]
    expected = np.zeros_like(values)
    for metric in ir_measures.pytrec_eval.iter_calc(measures, qrels, {id_: found for id_, found in run.items() if found and qrels[id_]}):
        expected[int(metric.query_id), measures.index(metric.measure)] = metric.value
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12)
    assert expected[:, 0].any()


CHECKED = ["P@1", "Success@1", "Hits@1", "RR@1", "RR@10", "RR@100", "R@1", "R@10", "R@100", "Success@10", "nDCG@1", "nDCG@3", "MAP"]


@given(
    rank=st.integers(1, 150),
    changed=st.dictionaries(st.sampled_from(CHECKED), st.sampled_from([0.0, 0.3, 0.5, 1.0, 1.5, -1e-3, float("nan")]), max_size=2),
)
def test_every_turn_that_breaks_an_invariant_is_a_suspect(rank: int, changed: dict[str, float]) -> None:
    measures = [rank_measure(name, 100) for name in CHECKED]
    turn = Turn("c_1", "?", gold={f"p{rank:03}": 1})
    record = TurnRecord("c_1", passages=tuple((f"p{at:03}", -float(at)) for at in range(1, 151)))
    right = ArrayEvaluator(measures, 100, 1).values([turn], {"c_1": record})[0]
    assert suspects(CHECKED, right[None], np.array([True])) == []
    values = right.copy()
    for name, value in changed.items():
        values[CHECKED.index(name)] = value
    for one_gold in (True, False):
        try:
            check_turn("c_1", dict(zip(CHECKED, values.tolist(), strict=True)), 1, {"p": 1} if one_gold else {"p": 1, "q": 1})
            refused = False
        except InvariantError:
            refused = True
        assert bool(suspects(CHECKED, np.stack([right, values]), np.array([True, one_gold]))) == refused
