from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from download_cases import wanted
from pydantic import ValidationError

from convbench.datasets import DATASETS
from convbench.datasets.adapters import load_card
from convbench.datasets.download.manifest import MANIFEST, DownloadFile, Unpack, load_manifest
from convbench.datasets.download.places import Places, prepared_root
from convbench.datasets.download.shown import shown_size, shown_url
from convbench.errors import DataError, UsageError

SHIPPED = load_manifest()
ENTRIES = sorted(SHIPPED.datasets.items())
FILES = [(name, file) for name, entry in ENTRIES for tier in entry.tiers.values() for file in tier.files]
PUBLISHED = {
    "qrecc_data.zip": "f88fcc7ef3678cd6312080389c8abd67",
    "preprocessed/train.txt": "7513a9ef12d8b7a4471166dc4fef77b7",
    "preprocessed/dev.txt": "7765658995cc9ffd5eb39a400d814b20",
    "preprocessed/test.txt": "0cf3a755f06297b9c02e7db45f8dc8be",
    "all_blocks.txt.gz": "1095a3408690e7bbe4d8a87a2bae6356",
}


class TestTheShippedOne:
    def test_every_dataset_with_official_files_is_in_it(self):
        assert set(SHIPPED.datasets) == set(DATASETS.names()) & {"topiocqa", "qrecc", "orquac", "inscit", "faithdial", "cast"}

    @pytest.mark.parametrize(("name", "entry"), ENTRIES)
    def test_every_entry_has_licences_and_a_citation(self, name, entry):
        assert entry.citation
        assert all(each.name and each.covers and each.terms and each.url.startswith("https://") for each in entry.licences)
        card = load_card(name)  # the two must not say different things
        first = entry.licences[0].name
        assert first.split()[0].lower() in card.licence.lower()

    @pytest.mark.parametrize(("name", "file"), FILES, ids=lambda value: value if isinstance(value, str) else value.name)
    def test_every_file_is_fetched_by_https_and_checked_or_says_why_not(self, name, file):
        assert file.hub is not None or all(url.startswith("https://") for url in file.urls)
        assert file.digests or file.unchecked
        assert not any(urlsplit(url).username for url in file.urls)
        if file.hub is not None:
            assert re.fullmatch("[0-9a-f]{40}", file.hub.revision), "a branch may move"

    @pytest.mark.parametrize(("name", "file"), FILES, ids=lambda value: value if isinstance(value, str) else value.name)
    def test_files_of_repositories_are_of_a_commit(self, name, file):
        for url in file.urls:
            if "github" in urlsplit(url).netloc:
                assert re.search("/[0-9a-f]{40}/", url), url

    def test_published_digests_are_in_it(self):
        assert {file.name: file.md5 for _, file in FILES if file.md5} == PUBLISHED

    @pytest.mark.parametrize(("name", "entry"), ENTRIES)
    def test_official_names_are_those_that_adapters_look_for(self, name, entry, tmp_path):
        """With empty files in place, the default split's turns are found, not missing and not several."""
        adapter = DATASETS.get(name)
        from convbench.datasets.base import DatasetSource

        opening = {
            "inscit": '{"x": {"turns": []}}',
            "faithdial": '[{"utterances": []}]',
            "orquac": '{"qid": "x"}',
            "topiocqa": '{"Question": "x"}',
        }
        for file in entry.tiers["full"].files:
            names = ["qrecc_train.json", "qrecc_test.json"] if file.name == "qrecc_data.zip" else [file.name]
            for each in names:
                place = tmp_path / (file.unpack.into if file.unpack else ".") / each
                place.parent.mkdir(parents=True, exist_ok=True)
                text = '{"data": []}' if "quac_format" in each else opening.get(name, '[{"Question": "x"}]')
                if not each.endswith((".zip", ".gz")):
                    place.write_text(text, encoding="utf-8")
        for split in set(adapter.splits.values()) - {"mini", "toy"}:
            assert adapter(DatasetSource(tmp_path, split)).files()[0].is_file(), split

    def test_it_lies_in_the_package(self):
        assert MANIFEST.is_file()
        assert MANIFEST.parent.name == "datasets"


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        "change",
        [
            {"name": "../up"},
            {"name": "/etc/passwd"},
            {"name": "a/../../b"},
            {"name": ".state/lock"},
            {"name": "a/.parts/b"},
            {"name": "a\\b"},
            {"name": ""},
            {"urls": ["ftp://host/f"]},
            {"urls": ["file:///etc/passwd"]},
            {"urls": ["https:///f"]},
            {"urls": []},
            {"hub": {"repo": "a/b", "filename": "f", "revision": "x"}},
            {"hub": {"repo": "a/b", "filename": "../f", "revision": "x"}, "urls": []},
            {"hub": {"repo": "../../x", "filename": "f", "revision": "x"}, "urls": []},
            {"sha256": "short"},
            {"sha256": None},
            {"unchecked": "and yet there is one"},
            {"size": 0},
            {"colour": "red"},
            {"part": "other"},
            {"unpack": {"format": "rar", "into": "x"}},
            {"unpack": {"format": "zip", "into": "../x"}},
            {"unpack": {"format": "zip", "into": "x", "members": []}},
        ],
        ids=str,
    )
    def test_a_file(self, change: dict[str, Any]):
        good = wanted("https://host/f").model_dump(exclude_none=True)
        DownloadFile.model_validate(good)
        with pytest.raises(ValidationError):
            DownloadFile.model_validate({key: value for key, value in {**good, **change}.items() if value is not None})

    def test_two_files_in_one_place(self, tmp_path):
        own = tmp_path / "m.yaml"
        text = MANIFEST.read_text(encoding="utf-8").replace("name: topiocqa_valid.jsonl", "name: topiocqa_train.jsonl")
        own.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=r"m\.yaml:\d+.*two files go to topiocqa_train\.jsonl"):
            load_manifest(own)

    def test_an_unknown_dataset(self):
        with pytest.raises(UsageError, match=r"nothing is known to fetch for 'qrec': .* Did you mean 'qrecc'\? Known: cast, faithdial, "):
            SHIPPED.of("qrec")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host/a/b.zip", "https://host/a/b.zip"),
        ("https://user:pw@host:8443/a?X-Amz-Signature=1&id=7&token=2#frag", "https://host:8443/a?id=7"),
        ("https://drive.google.com/uc?export=download&id=1x", "https://drive.google.com/uc?export=download&id=1x"),
        ("http://[::1", "an address that cannot be read"),
    ],
)
def test_addresses_are_shown_without_secrets(url, shown):
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (27_500_000_000, "27.5 GB"), (10**15, "1000000.0 GB")]
)
def test_sizes(count, shown):
    assert shown_size(count) == shown


def test_places_do_not_meet(tmp_path: Path):
    places = Places.of("some", tmp_path)
    names = ["a/b", "a%2Fb", "a", "b"]
    assert len({places.part(name) for name in names}) == len({places.record(name) for name in names}) == 4
    assert all(place.is_relative_to(places.root) for name in names for place in (places.file(name), places.part(name), places.record(name)))
    assert prepared_root("some", tmp_path) is None


def test_the_defaults_of_unpacking():
    assert Unpack(format="zip", into="x").members == ["*"]
