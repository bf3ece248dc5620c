from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import convbench.datasets.loading
from convbench.datasets import DATASETS
from convbench.datasets.adapters import load_card
from convbench.datasets.base import DatasetAdapter
from convbench.datasets.loading import Dataset, DatasetRequest, open_dataset
from convbench.errors import DataError, MissingFileError, UsageError

MINI = Path(convbench.datasets.loading.__file__).parent / "mini"
BUNDLED = sorted(path.name for path in MINI.iterdir() if path.is_dir())


def opened(name: str = "topiocqa", **request: Any) -> Dataset:
    return open_dataset(DatasetRequest(name, **request))


def rewrites(tmp_path: Path, *lines: Any, name: str = "mine.jsonl") -> Path:
    path = tmp_path / name
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines), encoding="utf-8")
    return path


def by_id(dataset: Dataset) -> dict[str, str | None]:
    return {turn.id: turn.rewrite for turn in dataset.turns}


class TestBundled:
    def test_five_sets_are_bundled(self) -> None:
        assert BUNDLED == ["faithdial", "inscit", "orquac", "qrecc", "topiocqa"]

    @pytest.mark.parametrize("name", BUNDLED)
    def test_mini_is_what_comes_without_data(self, name: str) -> None:
        dataset = opened(name)
        assert (dataset.name, dataset.split, dataset.card.name, dataset.notes) == (name, "mini", name, ())
        assert dataset.licence.startswith("Apache-2.0")
        assert all(path.is_file() and MINI in path.parents for path in dataset.files)
        assert by_id(dataset) == by_id(opened(name, split="mini"))
        assert isinstance(dataset.adapter, DatasetAdapter)

    @pytest.mark.parametrize("name", BUNDLED)
    def test_every_turn_has_an_id_and_a_rewrite_of_its_own(self, name: str) -> None:
        turns = opened(name).turns
        assert len({turn.id for turn in turns}) == len(turns) > 30
        assert all(turn.rewrite for turn in turns)

    @pytest.mark.parametrize("name", BUNDLED)
    def test_history_carries_the_rewrites_of_the_turns_it_shows(self, name: str) -> None:
        dataset = opened(name)
        known = by_id(dataset)
        shown = [exchange for turn in dataset.turns for exchange in turn.history if exchange.turn_id in known]
        assert shown
        assert all(exchange.rewrite == known[exchange.turn_id] for exchange in shown)

    def test_a_dataset_without_a_bundled_set(self) -> None:
        with pytest.raises(UsageError, match=r"^cast has no bundled mini set: give its official files with --data DIR"):
            opened("cast")

    @pytest.mark.parametrize("split", ["dev", "no-such-split"])
    def test_another_split_needs_official_files(self, split: str) -> None:
        with pytest.raises(UsageError, match=f"^topiocqa: split '{split}' needs the official files: give them with --data DIR"):
            opened(split=split)


class TestNames:
    def test_every_dataset_has_a_card_of_its_name(self) -> None:
        for name in DATASETS.names():
            card = load_card(name)
            assert card.name == name
            assert card.homepage.startswith("https://")
            assert card.citation.startswith("@")
            assert card.files

    def test_an_unknown_dataset_is_suggested(self) -> None:
        with pytest.raises(UsageError, match=r"^unknown dataset 'topioqa'\. Did you mean 'topiocqa'\? Known: cast, faithdial, "):
            opened("topioqa")
        with pytest.raises(UsageError, match="unknown dataset"):
            load_card("../../secrets")

    def test_an_unknown_split_is_suggested(self, tmp_path: Path) -> None:
        with pytest.raises(
            UsageError, match=r"^topiocqa has no split 'vald'\. Did you mean 'valid'\? Known: dev, mini, train, valid, validation$"
        ):
            opened(data=tmp_path, split="vald")

    @pytest.mark.parametrize("split", ["dev", "valid", "validation", None])
    def test_aliases_and_the_default_lead_to_the_canonical_split(self, tmp_path: Path, split: str | None) -> None:
        shutil.copy(MINI / "topiocqa" / "topiocqa_mini.jsonl", tmp_path / "topiocqa_valid.jsonl")
        dataset = opened(data=tmp_path, split=split)
        assert dataset.split == "dev"
        assert {conversation.split for conversation in dataset.conversations} == {"dev"}
        assert dataset.licence == dataset.card.licence

    def test_missing_and_empty_official_files(self, tmp_path: Path) -> None:
        with pytest.raises(MissingFileError, match="nowhere: no such folder"):
            opened(data=tmp_path / "nowhere")
        with pytest.raises(MissingFileError, match="no file for"):
            opened(data=tmp_path)
        (tmp_path / "topiocqa_valid.jsonl").write_text("")
        with pytest.raises(DataError, match=r"topiocqa_valid\.jsonl: holds no (turns|conversation)"):
            opened(data=tmp_path)


class TestOptions:
    def test_defaults_are_filled_in(self) -> None:
        assert opened("qrecc").options == {"first-question": "asked"}
        assert opened("qrecc", options={"first-question": "rewrite"}).options == {"first-question": "rewrite"}
        assert opened("topiocqa").options == {}

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            (
                "qrecc",
                {"first-qestion": "asked"},
                r"qrecc has no option 'first-qestion'\. Did you mean 'first-question'\? Known: first-question",
            ),
            ("qrecc", {"first-question": "raw"}, "qrecc: option 'first-question' cannot be 'raw'; expected one of asked, rewrite"),
            ("topiocqa", {"first-question": "asked"}, r"topiocqa has no option 'first-question'\. Known: none"),
        ],
    )
    def test_unknown_ones_are_refused(self, name: str, options: dict[str, str], message: str) -> None:
        with pytest.raises(UsageError, match=f"^{message}$"):
            opened(name, options=options)


class TestRewrites:
    def test_they_replace_those_they_name_and_leave_the_others(self, tmp_path: Path) -> None:
        dataset = opened("qrecc")
        first, second = (turn.id for turn in dataset.turns[:2])
        path = rewrites(tmp_path, {"turn_id": second, "rewrite": "my own words", "note": "a spare field"})
        changed = opened("qrecc", rewrites=path)
        assert by_id(changed) == {**by_id(dataset), second: "my own words"}
        assert by_id(changed)[first]
        assert changed.files == (*dataset.files, path)
        assert changed.notes == ()

    def test_history_is_filled_too(self, tmp_path: Path) -> None:
        dataset = opened(rewrites=rewrites(tmp_path, {"turn_id": "1_1", "rewrite": "my own words"}))
        shown = [exchange.rewrite for turn in dataset.turns for exchange in turn.history if exchange.turn_id == "1_1"]
        assert len(shown) > 1
        assert set(shown) == {"my own words"}

    def test_they_take_the_place_of_the_bundled_ones(self, tmp_path: Path) -> None:
        dataset = opened(rewrites=rewrites(tmp_path, {"turn_id": "1_1", "rewrite": "my own words"}))
        assert [rewrite for rewrite in by_id(dataset).values() if rewrite] == ["my own words"]

    def test_official_files_do_not_pick_up_a_file_of_that_name(self, tmp_path: Path) -> None:
        shutil.copytree(MINI / "topiocqa", tmp_path / "official")
        dataset = opened(data=tmp_path / "official", split="mini")
        assert not any(by_id(dataset).values())
        assert [path.name for path in dataset.files] == ["topiocqa_mini.jsonl"]
        given = opened(data=tmp_path / "official", split="mini", rewrites=tmp_path / "official" / "rewrites.jsonl")
        assert by_id(given) == by_id(opened())

    def test_spare_ones_are_noted(self, tmp_path: Path) -> None:
        lines = [{"turn_id": turn_id, "rewrite": "words"} for turn_id in ("98_1", "1_1", "98_2", "98_3", "98_4")]
        dataset = opened(rewrites=rewrites(tmp_path, *lines))
        assert dataset.notes == ("mine.jsonl: 4 rewrites are for turns outside this split (first: 98_1, 98_2, 98_3)",)
        assert by_id(dataset)["1_1"] == "words"

    def test_those_of_turns_beyond_the_limit_are_not_spare(self, tmp_path: Path) -> None:
        last = opened().turns[-1].id
        dataset = opened(rewrites=rewrites(tmp_path, {"turn_id": last, "rewrite": "words"}), limit=1)
        assert len(dataset.notes) == 1
        assert "limited" in dataset.notes[0]

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            ([{"turn_id": "98_1", "rewrite": "a"}], r": none of its 1 rewrites is for a turn of this split \(first: 98_1\)"),
            ([], ": none of its 0 rewrites is for a turn of this split"),
            ([{"turn_id": "1_1", "rewrite": "a"}, {"turn_id": "1_1", "rewrite": "a"}], ":2: a second rewrite for turn '1_1'"),
            ([{"turn_id": "1_1"}], ":1: field 'rewrite' is missing; expected a string"),
            ([{"turn_id": "1_1", "rewrite": None}], ":1: field 'rewrite': expected a string, found null"),
            ([{"id": "1_1", "rewrite": "a"}], ":1: field 'turn_id' is missing"),
            ([{"turn_id": 1, "rewrite": "a"}], ":1: field 'turn_id': expected a string, found int 1"),
            (['{"turn_id": "1_1"'], ":1: not valid JSON"),
        ],
    )
    def test_a_bad_file_names_the_line(self, tmp_path: Path, lines: list[Any], message: str) -> None:
        with pytest.raises(DataError, match=rf"mine\.jsonl{message}"):
            opened(rewrites=rewrites(tmp_path, *lines))

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(MissingFileError, match=r"mine\.jsonl: no such file"):
            opened(rewrites=tmp_path / "mine.jsonl")


class TestLimit:
    def test_it_counts_conversations_and_says_so(self) -> None:
        whole, some = opened(), opened(limit=2)
        assert some.conversations == whole.conversations[:2]
        assert some.turns == whole.turns[: len(some.turns)]
        assert some.notes == (f"limited to the first 2 of {len(whole.conversations)} conversations: not a result on topiocqa",)

    @pytest.mark.parametrize("limit", [9, 1000])
    def test_a_limit_that_cuts_nothing_says_nothing(self, limit: int) -> None:
        assert opened(limit=limit).notes == ()
        assert opened(limit=limit).conversations == opened().conversations


class TestTurnSets:
    @pytest.mark.parametrize("name", BUNDLED)
    def test_they_are_parts_of_all_in_order(self, name: str) -> None:
        dataset = opened(name)
        everything = dataset.all_turns()
        assert everything.ids == tuple(turn.id for turn in dataset.turns)
        for part in (dataset.retrieval_turns(), dataset.response_turns()):
            assert part.ids == tuple(turn_id for turn_id in everything.ids if turn_id in set(part.ids))
            assert part.ids
        assert dataset.retrieval_turns().rule == dataset.card.retrieval_turns
        gold = {turn.id for turn in dataset.turns if turn.gold}
        assert set(dataset.retrieval_turns().ids) <= gold

    def test_knowledge_alone_is_no_response_reference(self) -> None:
        dataset = opened("qrecc")
        expected = [turn.id for turn in dataset.turns if any(r.text and r.kind in ("response", "additional") for r in turn.references)]
        assert list(dataset.response_turns().ids) == expected
        assert len(expected) < len(dataset.turns)


class TestIdentity:
    def test_the_place_does_not_matter(self, tmp_path: Path) -> None:
        identities = []
        for place in ("here", "there"):
            shutil.copytree(MINI / "qrecc", tmp_path / place)
            identities.append(opened("qrecc", data=tmp_path / place, split="mini").identity(tmp_path / "cache"))
        assert identities[0] == identities[1]
        assert str(tmp_path) not in json.dumps(identities[0])

    def test_what_is_read_does(self, tmp_path: Path) -> None:
        cache = tmp_path / "cache"
        first = opened("qrecc").turns[0].id
        requests: list[dict[str, Any]] = [
            {},
            {"limit": 2},
            {"options": {"first-question": "rewrite"}},
            {"rewrites": rewrites(tmp_path, {"turn_id": first, "rewrite": "one"}, name="one.jsonl")},
            {"rewrites": rewrites(tmp_path, {"turn_id": first, "rewrite": "two"}, name="two.jsonl")},
        ]
        identities = [json.dumps(opened("qrecc", **request).identity(cache)) for request in requests]
        assert len(set(identities)) == len(requests)
