from __future__ import annotations

from typing import get_args

import pytest

from convbench.comparison.task import Role
from convbench.config import build_config
from convbench.harness.results import Results
from convbench.leaderboard import system_card
from convbench.leaderboard.card import Kind
from convbench.systems import SYSTEMS
from convbench.systems.catalog import baseline_names, system_values
from convbench.systems.competing import NO_COMPETITORS, kind_of, shown_by

SHOWN = {"oracle": "ceiling", "random": "floor", "previous-gold": "shortcut"}


@pytest.mark.parametrize("name", baseline_names())
def test_reports_and_leaderboards_keep_the_same_baselines_apart(name: str) -> None:
    values = system_values(name)
    if name == "unified-paper":
        values["model"]["model"] = "sentence-transformers/all-MiniLM-L6-v2"  # it has none of its own
    written = build_config(SYSTEMS.get(values["kind"]), values, name).model_dump(mode="json")
    assert shown_by(written) == SHOWN.get(name, "")
    assert Results.model_construct(system=written).reference == SHOWN.get(name, "")
    assert (system_card.kind(written) in NO_COMPETITORS) == (name in SHOWN)


def test_every_kind_that_does_not_compete_has_its_word_everywhere() -> None:
    assert set(NO_COMPETITORS) <= set(get_args(Kind))
    assert set(NO_COMPETITORS.values()) <= set(get_args(Role))


def test_settings_of_elsewhere_have_a_kind_too() -> None:
    assert (kind_of({"kind": "shortcut"}), shown_by({"kind": "shortcut"})) == ("shortcut", "shortcut")
    assert shown_by({"kind": "two-stage", "retriever": {"type": "bm25"}}) == ""
    assert (shown_by({}), system_card.kind({})) == ("", "other")
