from __future__ import annotations

import numpy as np

from convbench.analysis.clusters import Clusters
from convbench.analysis.correlation import intraclass_correlation


def test_conversations_come_from_turn_ids_and_are_sorted() -> None:
    clusters = Clusters.of(["b_2_1", "a_1", "b_2_2", "a_2", "C_1"])
    assert clusters.names == ("C", "a", "b_2")
    assert clusters.index.tolist() == [2, 1, 2, 1, 0]


def test_names_are_in_the_order_of_numpy() -> None:
    names = ["é", "10", "9", "a b", "A", "漢", "", "10"]
    assert list(Clusters.named(names).names) == np.unique(names).tolist()
    assert Clusters.named(names).index.tolist() == np.unique(names, return_inverse=True)[1].tolist()


def test_sums_and_counts_by_a_plain_loop() -> None:
    chance = np.random.default_rng(0)
    values = chance.normal(size=(200, 4))
    values[chance.random(values.shape) < 0.3] = np.nan
    names = [f"c{n}" for n in chance.integers(0, 30, size=200)]
    values[[name == "c7" for name in names], 2] = np.nan
    clusters = Clusters.named(names)
    sums, counts = clusters.totals(values)
    for place, name in enumerate(clusters.names):
        for column in range(4):
            own = [value for value, of in zip(values[:, column], names, strict=True) if of == name and not np.isnan(value)]
            assert np.isclose(sums[place, column], sum(own), atol=1e-12)
            assert counts[place, column] == len(own)


def test_a_conversation_without_turns_sums_to_nothing() -> None:
    clusters = Clusters(("a", "b", "c"), np.array([0, 2, 2]))
    assert clusters.sums(np.array([[1.0], [2.0], [3.0]])).tolist() == [[1.0], [0.0], [5.0]]


def test_no_turns_and_no_columns() -> None:
    assert Clusters.of([]).sums(np.zeros((0, 3))).shape == (0, 3)
    assert Clusters.of(["a_1", "b_1"]).sums(np.zeros((2, 0))).shape == (2, 0)


def test_correlation_is_that_of_an_analysis_of_variance() -> None:
    import pandas as pd
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    chance = np.random.default_rng(5)
    sizes = chance.integers(1, 13, size=40)
    groups = np.repeat(np.arange(40), sizes)
    values = np.repeat(chance.normal(size=40), sizes) + chance.normal(size=len(groups))
    table = anova_lm(ols("value ~ C(group)", data=pd.DataFrame({"value": values, "group": groups})).fit())
    between, within = table["mean_sq"]
    size = (sizes.sum() - (sizes**2).sum() / sizes.sum()) / 39
    found = intraclass_correlation(values, groups)
    assert found is not None
    assert np.isclose(found, (between - within) / (between + (size - 1) * within), rtol=1e-9)


def test_correlation_finds_what_was_put_in() -> None:
    chance = np.random.default_rng(6)
    for truth in (0.0, 0.1, 0.5):
        groups = np.repeat(np.arange(3000), 6)
        values = np.sqrt(truth) * chance.normal(size=3000)[groups] + np.sqrt(1 - truth) * chance.normal(size=len(groups))
        found = intraclass_correlation(values, groups)
        assert found is not None
        assert abs(found - truth) < 0.03


def test_correlation_at_its_ends() -> None:
    groups = np.array([0, 0, 1, 1])
    assert intraclass_correlation(np.array([1.0, 1.0, 0.0, 0.0]), groups) == 1
    assert intraclass_correlation(np.array([1.0, 0.0, 0.0, 1.0]), groups) == -1  # -1 / (size - 1)
    gaps = intraclass_correlation(np.array([1.0, 1.0, 0.0, 0.0]), np.array([7, 7, -3, -3]))
    assert gaps == 1


def test_correlation_is_not_defined_without_two_conversations_a_repeated_turn_or_spread() -> None:
    assert intraclass_correlation(np.array([]), np.array([], dtype=np.intp)) is None
    assert intraclass_correlation(np.array([1.0, 0.0]), np.array([0, 0])) is None
    assert intraclass_correlation(np.array([1.0, 0.0]), np.array([0, 1])) is None
    assert intraclass_correlation(np.array([0.3 - 0.2, 0.1, 0.2 - 0.1, 0.1]), np.array([0, 0, 1, 1])) is None
