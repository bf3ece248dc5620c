from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from download_cases import CONTENT, OTHER, Waits, sha256, wanted
from scripted_server import Answer, FileServer, file_server
from small_disk import small_disk

from convbench.datasets.download.manifest import DownloadFile
from convbench.datasets.download.obtain import Obtained, obtain
from convbench.datasets.download.places import Places, prepared_root
from convbench.errors import DataError, ResourceError, StorageError

RULE = {"format": "zip", "into": "unpacked", "members": ["*.jsonl"]}


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as running:
        running.script["/f"] = [Answer(CONTENT)]
        yield running


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places.of("some", tmp_path)


def obtained(files: list[DownloadFile], places: Places, *, offline: bool = False, **more: object) -> list[Obtained]:
    return obtain(files, places, offline=offline, patience=Waits(**more).patience)


def archive(path: Path) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("data/one.jsonl", "1" * 10_000)
        packed.writestr("data/two.jsonl", random.Random(3).randbytes(50_000))
        packed.writestr("notes.txt", "words")
    content = path.read_bytes()
    path.unlink()
    return content


class TestOneFile:
    def test_a_second_call_asks_for_nothing(self, server, places):
        file = wanted(f"{server.url}/f")
        [first] = obtained([file], places)
        [second] = obtained([file], places)
        assert (first.how, second.how) == ("fetched", "there before")
        assert first.record == second.record
        assert (first.path.read_bytes(), first.checked) == (CONTENT, "sha256")
        assert len(server.asked) == 1

    def test_the_place_is_known_once_everything_is_there(self, server, places, tmp_path):
        files = [wanted(f"{server.url}/f"), wanted(f"{server.url}/gone", name="other.bin")]
        with pytest.raises(ResourceError, match=r"^1 of 2 files could not be had: other\.bin: http://.*/gone: HTTP 404; put a copy here: "):
            obtained(files, places)
        assert prepared_root("some", tmp_path) is None
        assert places.file("file.bin").read_bytes() == CONTENT
        server.script["/gone"] = [Answer(CONTENT)]
        assert [each.how for each in obtained(files, places)] == ["there before", "fetched"]
        assert prepared_root("some", tmp_path) == places.root

    def test_a_copy_of_ones_own(self, server, places):
        file = wanted(f"{server.url}/f", name="deep/file.bin")
        places.file(file.name).parent.mkdir(parents=True)
        places.file(file.name).write_bytes(CONTENT)
        [found] = obtained([file], places, offline=True)
        assert (found.how, found.record.source) == ("copy of yours", "a copy that lay there")
        assert [each.how for each in obtained([file], places)] == ["there before"]
        assert server.asked == []

    def test_a_copy_that_is_another_file_is_neither_taken_nor_overwritten(self, server, places):
        file = wanted(f"{server.url}/f")
        places.root.mkdir(parents=True)
        places.file(file.name).write_bytes(OTHER)
        with pytest.raises(DataError, match=rf"file\.bin: its sha256 is {sha256(OTHER)}, expected {sha256(CONTENT)}: .*remove it"):
            obtained([file], places)
        assert places.file(file.name).read_bytes() == OTHER
        assert server.asked == []

    @pytest.mark.parametrize("damage", [b"short", OTHER])
    def test_a_file_that_changed_since(self, server, places, damage):
        file = wanted(f"{server.url}/f")
        obtained([file], places)
        places.file(file.name).write_bytes(damage)
        with pytest.raises(DataError, match="this is not the file of"):
            obtained([file], places)
        places.file(file.name).unlink()
        assert [each.how for each in obtained([file], places)] == ["fetched"]

    @pytest.mark.parametrize("how", ["overwritten", "replaced"])
    def test_another_file_of_the_same_size_and_time_is_seen(self, server, places, tmp_path, how):
        file = wanted(f"{server.url}/f")
        obtained([file], places)
        place, stat = places.file(file.name), places.file(file.name).stat()
        written = place if how == "overwritten" else tmp_path / "new"
        written.write_bytes(bytes(reversed(CONTENT)))
        os.utime(written, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        written.replace(place)
        assert (place.stat().st_size, place.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
        with pytest.raises(DataError, match="this is not the file of"):
            obtained([file], places)

    def test_a_record_of_an_older_version_is_not_trusted_without_a_look(self, server, places):
        file = wanted(f"{server.url}/f")
        [first] = obtained([file], places)
        old = {
            "name": file.name,
            "size": first.record.size,
            "mtime_ns": first.path.stat().st_mtime_ns,
            "digests": dict(first.record.digests),
        }
        places.record(file.name).write_text(json.dumps(old))
        assert [each.how for each in obtained([file], places) + obtained([file], places)] == ["copy of yours", "there before"]

    def test_a_touched_file_is_read_again_and_found_good(self, server, places):
        file = wanted(f"{server.url}/f")
        obtained([file], places)
        places.file(file.name).touch()
        assert [each.how for each in obtained([file], places)] == ["copy of yours"]
        assert len(server.asked) == 1

    def test_a_manifest_that_has_learnt_a_digest(self, server, places):
        obtained([wanted(f"{server.url}/f", checked=False)], places)
        md5 = {"sha256": None, "md5": hashlib.md5(CONTENT).hexdigest()}
        assert [each.record.digests["md5"] for each in obtained([wanted(f"{server.url}/f", **md5)], places)] == [md5["md5"]]
        with pytest.raises(DataError, match="its md5 is"):
            obtained([wanted(f"{server.url}/f", sha256=None, md5="0" * 32)], places)

    @pytest.mark.parametrize("digest", ["sha256", "md5"])
    def test_the_right_file_in_the_place_of_one_that_a_manifest_no_longer_wants(self, server, places, digest):
        obtained([wanted(f"{server.url}/f")], places)
        published = {"sha256": None, digest: hashlib.new(digest, OTHER).hexdigest()}
        newer = wanted(f"{server.url}/f", content=OTHER, **published)
        with pytest.raises(DataError, match="remove it, or put the right one there"):
            obtained([newer], places)
        places.file(newer.name).write_bytes(OTHER)
        assert [each.how for each in obtained([newer], places) + obtained([newer], places)] == ["copy of yours", "there before"]

    def test_without_a_published_digest_a_file_is_held_to_what_it_was(self, server, places):
        file = wanted(f"{server.url}/f", checked=False)
        obtained([file], places)
        places.file(file.name).write_bytes(OTHER)
        with pytest.raises(DataError, match=rf"its sha256 is {sha256(OTHER)}, and it was {sha256(CONTENT)} when it came"):
            obtained([file], places)

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "file.bin"}'])
    def test_a_broken_record_is_no_record(self, server, places, text):
        file = wanted(f"{server.url}/f")
        obtained([file], places)
        places.record(file.name).write_text(text)
        assert [each.how for each in obtained([file], places)] == ["copy of yours"]

    def test_files_whose_names_differ_only_in_folders(self, server, places):
        server.script["/g"] = [Answer(OTHER)]
        files = [wanted(f"{server.url}/f", name="a/b.bin"), wanted(f"{server.url}/g", name="a%2Fb.bin", content=OTHER)]
        obtained(files, places)
        assert [each.how for each in obtained(files, places)] == ["there before"] * 2


class TestOffline:
    def test_nothing_is_asked_for_and_every_missing_file_is_named(self, server, places):
        server.script["/g"] = [Answer(CONTENT)]
        files = [wanted(f"{server.url}/f"), wanted(f"{server.url}/g", name="g.bin")]
        with pytest.raises(ResourceError) as raised:
            obtained(files, places, offline=True)
        said = str(raised.value)
        assert said.startswith("2 of 2 files could not be had: file.bin: not there, and --offline forbids fetching it from ")
        assert all(f"put a copy here: {places.file(file.name)}" in said for file in files)
        assert server.asked == []

    def test_what_was_fetched_before_is_enough(self, server, places):
        file = wanted(f"{server.url}/f")
        obtained([file], places)
        assert [each.how for each in obtained([file], places, offline=True)] == ["there before"]


class TestArchives:
    @pytest.fixture
    def packed(self, tmp_path, server) -> DownloadFile:
        content = archive(tmp_path / "packed.zip")
        server.script["/a"] = [Answer(content)]
        return wanted(f"{server.url}/a", content=content, name="packed.zip", unpack=RULE)

    def test_the_content_stays_and_the_archive_goes(self, server, places, packed):
        [first] = obtained([packed], places)
        assert first.path == places.file("unpacked")
        assert sorted(path.name for path in first.path.rglob("*.*")) == ["one.jsonl", "two.jsonl"]
        assert (first.record.files, first.record.bytes) == (2, 60_000)
        assert not places.file("packed.zip").exists()
        assert [each.how for each in obtained([packed], places)] == ["there before"]
        assert len(server.asked) == 1

    def test_a_copy_of_ones_own_stays(self, server, places, packed):
        places.root.mkdir(parents=True)
        places.file("packed.zip").write_bytes(server.script["/a"][0].content)
        assert [each.how for each in obtained([packed], places, offline=True)] == ["copy of yours"]
        assert places.file("packed.zip").exists()
        assert [each.how for each in obtained([packed], places, offline=True)] == ["there before"]

    @pytest.mark.parametrize("damage", ["gone", "short", "more"])
    def test_content_that_is_no_longer_whole_is_made_again(self, server, places, packed, damage):
        [first] = obtained([packed], places)
        two = first.path / "data" / "two.jsonl"
        expected = two.read_bytes()
        {"gone": two.unlink, "short": lambda: two.write_bytes(b"x"), "more": lambda: (first.path / "new").write_bytes(b"x")}[damage]()
        obtained([packed], places)
        assert two.read_bytes() == expected
        assert not (first.path / "new").exists()
        assert len(server.asked) == 2

    def test_other_content_of_the_same_size_and_time_is_made_again(self, server, places, packed):
        [first] = obtained([packed], places)
        two = first.path / "data" / "two.jsonl"
        expected, stat = two.read_bytes(), two.stat()
        two.write_bytes(bytes(reversed(expected)))
        os.utime(two, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        obtained([packed], places)
        assert two.read_bytes() == expected

    def test_content_that_was_copied_is_read_again_once(self, server, places, packed, tmp_path):
        [first] = obtained([packed], places)
        shutil.copytree(first.path, tmp_path / "copy")
        shutil.rmtree(first.path)
        (tmp_path / "copy").rename(first.path)
        [second] = obtained([packed], places)
        assert (second.how, second.record.content) == ("there before", first.record.content)
        assert second.record.state != first.record.state
        assert obtained([packed], places)[0].record == second.record
        assert len(server.asked) == 1

    def test_an_archive_that_was_fetched_and_not_unpacked(self, server, places, packed):
        """As a call leaves it that is killed while it unpacks."""
        plain = packed.model_copy(update={"unpack": None})
        obtained([plain], places)
        (places.root / ".unpacked.99.tmp").mkdir()
        [found] = obtained([packed], places)
        assert found.record.files == 2
        assert not places.file("packed.zip").exists()
        assert not (places.root / ".unpacked.99.tmp").exists()
        assert len(server.asked) == 1

    def test_a_refused_archive(self, server, places, packed, tmp_path):
        with pytest.raises(DataError, match=r"packed\.zip: gives more than 100 B"):
            obtained([packed.model_copy(update={"unpack": packed.unpack.model_copy(update={"most_bytes": 100})})], places)
        assert not places.file("unpacked").exists()
        assert prepared_root("some", tmp_path) is None


class TestRoom:
    def test_too_much_is_not_begun(self, server, places):
        with pytest.raises(StorageError, match=r"1000000\.0 GB are needed and .* GB are free: free some space, or choose another place"):
            obtained([wanted(f"{server.url}/f", checked=False, about=10**15)], places)
        assert server.asked == []

    def test_all_files_count_together_with_what_they_unpack_to(self, server, places, tmp_path):
        free = shutil.disk_usage(tmp_path).free
        half = [
            wanted(f"{server.url}/f", checked=False, name=f"{n}.zip", about=int(free * 0.3), unpack=RULE | {"into": f"{n}"}) for n in "12"
        ]
        with pytest.raises(ResourceError, match="HTTP 404"):  # there is room, so it is asked for
            obtained([half[0].model_copy(update={"urls": [f"{server.url}/gone"]})], places)
        unpacked = {"unpack": half[1].unpack.model_copy(update={"about": int(free * 0.5)})}
        with pytest.raises(StorageError, match="are needed"):
            obtained([half[0], half[1].model_copy(update=unpacked)], places)

    def test_what_is_there_already_does_not_count(self, server, places):
        file = wanted(f"{server.url}/f", checked=False)
        obtained([file], places)
        assert obtained([file.model_copy(update={"about": 10**15})], places)

    def test_a_server_that_announces_more_than_there_is_room_for(self, server, places):
        server.script["/f"] = [Answer(CONTENT, length=10**15)]
        with pytest.raises(StorageError, match="are needed"):
            obtained([wanted(f"{server.url}/f", checked=False)], places)
        assert not places.file("file.bin").exists()

    def test_a_full_disk(self, server, tmp_path):
        """The disk fills while the file comes; with more room the same call fetches only the rest."""
        with small_disk(tmp_path / "disk", kib=200) as disk:
            places, file = Places.of("some", disk.folder), wanted(f"{server.url}/f", size=None)
            server.script["/f"] = [Answer(CONTENT, length=-1)]  # so there is no check of the room
            with pytest.raises(StorageError, match=r"cannot write: the disk is full: free some space.*run the same command again"):
                obtained([file], places)
            kept = places.part(file.name).stat().st_size
            assert 100_000 < kept <= 204_800
            assert not places.file(file.name).exists()
            disk.resize(2 << 10)
            server.script["/f"] = [Answer(CONTENT)]
            obtained([file], places)
            assert places.file(file.name).read_bytes() == CONTENT
            assert server.asked[-1].given == len(CONTENT) - kept
