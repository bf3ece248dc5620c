from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convbench.datasets import hash_sort, id_index, passage_parts
from convbench.datasets.corpora import tsv_passages
from convbench.datasets.store import ArrowPassageStore, PassageStore
from convbench.datasets.store_build import build_store
from convbench.errors import DataError, MissingFileError, StorageError
from convbench.types import Passage

SOURCES = {"corpus.tsv": "0" * 64}
PASSAGES = [Passage(f"article {n}: é雨", f"sentence number {n} 🌧\n" * (n % 4), f"title {n}" if n % 3 else "") for n in range(20)]


def build(folder: Path, passages: Sequence[Passage] = PASSAGES, part_rows: int = 3, sources: dict[str, str] = SOURCES) -> ArrowPassageStore:
    return build_store(lambda: iter(passages), folder, sources=sources, part_rows=part_rows)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_reads_what_was_stored_across_parts(tmp_path: Path) -> None:
    store = build(tmp_path / "store")
    assert isinstance(store, PassageStore)
    assert len(store) == 20
    assert list(store) == PASSAGES
    assert store.get([PASSAGES[19].id, PASSAGES[0].id, PASSAGES[19].id]) == [PASSAGES[19], PASSAGES[0], PASSAGES[19]]
    assert store.get([]) == []
    assert len(list((tmp_path / "store").glob("*/part-*.arrow"))) == 7


@pytest.mark.parametrize("size", [1, 2, 7])
def test_batches_and_blocks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(passage_parts, "_BATCH", size)
    monkeypatch.setattr(passage_parts, "_BLOCK", 3)
    store = build(tmp_path / "store", part_rows=8)
    assert list(store) == PASSAGES
    assert store.texts(6, 19) == PASSAGES[6:19]
    assert store.get([p.id for p in PASSAGES]) == PASSAGES


@pytest.mark.parametrize("size", [1, 3, 7, 20, 99])
@pytest.mark.parametrize("part_rows", [8, 20])
def test_ids_are_those_that_arrow_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, part_rows: int) -> None:
    monkeypatch.setattr(passage_parts, "_BATCH", size)
    ids = ["id", "雨", "a b", "é", "x" * 300, *map(str, range(15))]
    store = build(tmp_path / "store", [Passage(id_, "") for id_ in ids], part_rows=part_rows)
    chance = Random(0)
    rows = [chance.randrange(20) for _ in range(200)]
    assert store.ids(rows) == store.ids(np.array(rows)) == [ids[row] for row in rows]
    assert store.ids([]) == []
    assert [id_ for part in store._parts._parts for id_ in part.ids()] == ids
    with pytest.raises(IndexError, match="row 20 is outside"):
        store.ids([3, 20])


@pytest.mark.parametrize(("start", "stop"), [(0, 20), (2, 4), (3, 6), (5, 5), (7, 3), (18, 99), (-4, -1)])
def test_texts_is_a_slice(tmp_path: Path, start: int, stop: int) -> None:
    assert build(tmp_path / "store").texts(start, stop) == PASSAGES[start:stop]


def test_rows_and_ids(tmp_path: Path) -> None:
    store = build(tmp_path / "store")
    rows = store.rows([PASSAGES[7].id, "nowhere", PASSAGES[2].id, PASSAGES[7].id, "\ud800"])
    assert rows.dtype == np.int64
    assert rows.tolist() == [7, -1, 2, 7, -1]
    assert store.rows([]).tolist() == []
    assert store.ids(np.array([19, 0, 19])) == [PASSAGES[19].id, PASSAGES[0].id, PASSAGES[19].id]
    assert PASSAGES[5].id in store
    assert "nowhere" not in store
    assert 5 not in store


@pytest.mark.parametrize("row", [-1, 20])
def test_row_outside_the_store_is_an_error(tmp_path: Path, row: int) -> None:
    with pytest.raises(IndexError, match=rf"row {row} is outside the store's rows 0 to 19"):
        build(tmp_path / "store").ids([0, row])


def test_unknown_ids_are_counted_and_named(tmp_path: Path) -> None:
    store = build(tmp_path / "store")
    with pytest.raises(DataError, match=r"store: 7 passage ids unknown to .* 20 passages, first: 'x0', 'x1', 'x2', 'x3', 'x4'$"):
        store.get([PASSAGES[0].id, *(f"x{n}" for n in range(7)), "x0"])


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ids_ = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="\u2423"), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(ids_, st.tuples(texts, texts), min_size=1, max_size=12), st.integers(1, 5), st.randoms())
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, records: dict[str, tuple[str, str]], part_rows: int, random: Random) -> None:
    passages = [Passage(id_, *rest) for id_, rest in records.items()]
    store = build(tmp_path_factory.mktemp("any"), passages, part_rows=part_rows)
    ids = list(records)
    random.shuffle(ids)
    assert list(store) == passages
    assert store.ids(store.rows(ids)) == ids
    assert [store.get([id_])[0] for id_ in ids] == store.get(ids)
    assert {p.id: (p.text, p.title) for p in store.get(ids)} == records


def test_digest_is_of_the_content_alone(tmp_path: Path) -> None:
    digests = {build(tmp_path / str(n), part_rows=n, sources={"f": str(n)}).sha256 for n in (1, 3, 20, 1000)}
    assert len(digests) == 1
    changed = [
        [*PASSAGES[:19], Passage(PASSAGES[19].id, PASSAGES[19].text + " ", PASSAGES[19].title)],
        [PASSAGES[1], PASSAGES[0], *PASSAGES[2:]],
        PASSAGES[:19],
    ]
    others = {build(tmp_path / f"other{n}", passages).sha256 for n, passages in enumerate(changed)}
    assert len(others) == 3
    assert not digests & others


def test_digest_keeps_fields_apart(tmp_path: Path) -> None:
    layouts = [[Passage("a", "bc")], [Passage("ab", "c")], [Passage("a", "c", "b")], [Passage("a", "b", "c")]]
    assert len({build(tmp_path / str(n), passages).sha256 for n, passages in enumerate(layouts)}) == 4


def test_manifest_lists_parts_and_sources(tmp_path: Path) -> None:
    store = build(tmp_path / "store")
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    assert manifest["rows"] == 20
    assert manifest["sources"] == SOURCES
    assert manifest["sha256"] == store.sha256
    assert [part["rows"] for part in manifest["parts"]] == [3, 3, 3, 3, 3, 3, 2]


def test_progress_adds_up(tmp_path: Path) -> None:
    steps: list[int] = []
    build_store(lambda: iter(PASSAGES), tmp_path / "store", sources=SOURCES, part_rows=8, progress=steps.append)
    assert steps == [8, 8, 4]


def test_finished_store_is_opened_without_reading_the_source(tmp_path: Path) -> None:
    before = build(tmp_path / "store").sha256

    def unread() -> Iterator[Passage]:
        raise AssertionError("the source was read")

    assert build_store(unread, tmp_path / "store", sources=SOURCES).sha256 == before


def test_other_sources_replace_the_store(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    build(folder)
    (folder / "passages-of-mine").mkdir()
    store = build(folder, PASSAGES[:5], sources={"corpus.tsv": "1" * 64})
    assert list(store) == PASSAGES[:5]
    build(tmp_path / "fresh", PASSAGES[:5], sources={"corpus.tsv": "1" * 64})
    assert contents(folder) == contents(tmp_path / "fresh")
    assert (folder / "passages-of-mine").is_dir()


def test_failed_rebuild_leaves_the_old_store_usable(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    opened = build(folder)

    def broken() -> Iterator[Passage]:
        yield from PASSAGES[:10]
        raise DataError("corpus.tsv", "cut short", line=11)

    with pytest.raises(DataError, match="cut short"):
        build_store(broken, folder, sources={"corpus.tsv": "1" * 64}, part_rows=3)
    assert list(ArrowPassageStore(folder)) == PASSAGES
    build(folder, PASSAGES[:10], sources={"corpus.tsv": "1" * 64})
    assert list(opened) == PASSAGES, "what is open stays readable when it is replaced"


@pytest.mark.parametrize("hashed", ["constant", "two values"])
def test_hash_collisions_do_not_confuse_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hashed: str) -> None:
    def weak(ids: Sequence[str]) -> np.ndarray:
        return np.array([0 if hashed == "constant" else len(id_) % 2 for id_ in ids], dtype="<u8") + np.uint64(2**64 - 2)

    monkeypatch.setattr(id_index, "hash_texts", weak)
    store = build(tmp_path / "store")
    ids = [p.id for p in PASSAGES]
    assert store.rows(ids[::-1]).tolist() == list(range(20))[::-1]
    assert store.rows(["nowhere", ids[3], "nowhere!"]).tolist() == [-1, 3, -1]
    with pytest.raises(DataError, match=r"\[article 4: é雨\]: .* passage 5 and passage 21 under one id"):
        build(tmp_path / "twice", [*PASSAGES, PASSAGES[4]])


@pytest.mark.parametrize("place", [1, 2, 20])
def test_duplicate_id_is_named_with_its_places(tmp_path: Path, place: int) -> None:
    passages = [*PASSAGES[:place], Passage(PASSAGES[0].id, "another text"), *PASSAGES[place:]]
    with pytest.raises(DataError, match=rf"\[article 0: é雨\]: the collection holds passage 1 and passage {place + 1} under one id"):
        build(tmp_path / "store", passages)
    with pytest.raises(MissingFileError, match="no finished passage store"):
        ArrowPassageStore(tmp_path / "store")


def test_empty_collection_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"store: the collection is empty: no passages in corpus\.tsv"):
        build(tmp_path / "store", [])


def test_half_a_surrogate_pair_names_the_passage(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\['b'\]: the passage holds '\\ud83d', half of a surrogate pair"):
        build(tmp_path / "store", [Passage("a", "x"), Passage("b", "y \ud83d")])


def test_hashes_are_sorted_in_many_files_with_their_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hash_sort, "_BUCKET_ROWS", 8)
    hashes = np.random.default_rng(0).integers(0, 2**64, 300, dtype=np.uint64)
    hashes[200:260] = hashes[:60]
    blocks = list(hash_sort.sorted_pairs(iter([hashes[:1], hashes[1:170], hashes[170:]]), 300, tmp_path / "scratch"))
    pairs = np.concatenate(blocks)
    assert len(blocks) > 30
    assert pairs["row"].tolist() == np.argsort(hashes, kind="stable").tolist()
    assert (hashes[pairs["row"]] == pairs["hash"]).all()
    assert not (tmp_path / "scratch").exists()


# A child process that builds the store of PASSAGES in the folder argv[1]; argv[2] says where it stops and waits to be killed.
CHILD = """
import sys, time
from pathlib import Path
from convbench.datasets import id_index
from convbench.datasets.store_build import build_store
from convbench.types import Passage

folder, stop = Path(sys.argv[1]), sys.argv[2]
read = 0

def wait(*_):
    (folder / "waiting").touch()
    time.sleep(60)

def passages():
    global read
    for n in range(20):
        if stop == "parts" and n == 14:
            wait()
        if stop == "slow":
            time.sleep(0.02)
        read += 1
        yield Passage(f"article {n}: \\u00e9\\u96e8", f"sentence number {n} \\U0001f327\\n" * (n % 4), f"title {n}" if n % 3 else "")

if stop == "index":
    id_index._refuse_duplicates = wait
build_store(passages, folder, sources={"corpus.tsv": "0" * 64}, part_rows=3)
print(read)
"""


def start(folder: Path, stop: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(folder), stop], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_when_waiting(child: subprocess.Popen[str], folder: Path) -> None:
    deadline = time.monotonic() + 30
    while not (folder / "waiting").exists():
        assert child.poll() is None, child.stderr and child.stderr.read()
        assert time.monotonic() < deadline, "the child did not come to its stop"
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    child.communicate()
    (folder / "waiting").unlink()


@pytest.mark.parametrize(("stop", "whole_parts"), [("parts", 4), ("index", 7)])
def test_killed_build_goes_on_and_ends_with_the_same_bytes(tmp_path: Path, stop: str, whole_parts: int) -> None:
    folder = tmp_path / "killed"
    kill_when_waiting(start(folder, stop), folder)
    parts = sorted(folder.glob("*/part-*.arrow"))
    assert len(parts) == whole_parts
    assert not (folder / "manifest.json").exists()
    (parts[0].parent / ".part-00004.arrow.1.tmp").write_bytes(b"half a part")
    (folder / ".manifest.json.1.tmp").write_bytes(b"half a manifest")
    written = {path: path.stat().st_mtime_ns for path in parts}

    assert list(build(folder)) == PASSAGES
    assert {path: path.stat().st_mtime_ns for path in parts} == written, "whole parts are not written again"
    build(tmp_path / "in one go")
    assert contents(folder) == contents(tmp_path / "in one go")


def test_part_of_an_older_reading_is_not_kept(tmp_path: Path) -> None:
    folder = tmp_path / "store"

    def broken(text: str) -> Iterator[Passage]:
        yield from [Passage("a", text), Passage("b", text)]
        raise DataError("corpus.tsv", "cut short")

    with pytest.raises(DataError, match="cut short"):
        build_store(lambda: broken("as an older reader saw it"), folder, sources=SOURCES, part_rows=1)
    fresh = [Passage("a", "as it is"), Passage("b", "as it is")]
    assert list(build(folder, fresh, part_rows=1)) == fresh


def test_two_processes_build_one_folder_once(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    children = [start(folder, "slow") for _ in range(2)]
    outputs = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0, 0], outputs
    assert sorted(int(out) for out, _ in outputs) == [0, 20]
    build(tmp_path / "alone")
    assert contents(folder) == contents(tmp_path / "alone")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_full_disk_is_reported_and_the_build_goes_on_later(tmp_path: Path) -> None:
    folder = tmp_path / "store"

    def passages() -> Iterator[Passage]:
        for n, passage in enumerate(PASSAGES):
            if n == 10:
                (data,) = folder.glob("passages-*")
                (data / f".part-00003.arrow.{os.getpid()}.tmp").symlink_to("/dev/full")
            yield passage

    with pytest.raises(StorageError, match=r"part-00003\.arrow: cannot write: the disk is full: .* run the same command again"):
        build_store(passages, folder, sources=SOURCES, part_rows=3)
    assert list(build(folder)) == PASSAGES


def test_read_only_folder_is_reported_but_a_finished_store_opens(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    build(folder)
    for path in (folder, tmp_path):
        path.chmod(0o555)
    try:
        if os.access(folder, os.W_OK):
            pytest.skip("this user (root?) may write to read-only folders")
        assert list(build(folder)) == PASSAGES
        with pytest.raises(StorageError, match="permission denied"):
            build(tmp_path / "new")
    finally:
        for path in (folder, tmp_path):
            path.chmod(0o755)


@pytest.mark.parametrize("whole", [True, False])
def test_one_of_an_older_version_opens_where_nothing_can_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture, whole: bool) -> None:
    folder = tmp_path / "store"
    build(folder)
    manifest = folder / "manifest.json"
    values = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps({key: value for key, value in values.items() if key not in ("index", "check")}), encoding="utf-8")
    (folder / "build.lock").unlink()
    (folder / "build.lock").symlink_to(manifest / "lock")  # cannot be made, whoever asks
    if whole:
        before = contents(folder)
        store = build(folder)
        assert list(store) == PASSAGES
        assert store.rows([PASSAGES[7].id]).tolist() == [7]
        assert any("the id index is read as an older version wrote it" in message for message in caplog.messages)
        assert contents(folder) == before
        return
    (part,) = folder.glob("*/part-00002.arrow")
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(StorageError, match="cannot write"):
        build(folder)


def test_no_store_in_the_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"no finished passage store here \(manifest\.json is missing\)"):
        ArrowPassageStore(tmp_path)


@pytest.mark.parametrize("name", ["part-00002.arrow", "id-hashes.u64", "id-rows.i64"])
@pytest.mark.parametrize("damage", ["removed", "cut"])
def test_damaged_store_names_the_file(tmp_path: Path, name: str, damage: str) -> None:
    build(tmp_path / "store")
    (path,) = (tmp_path / "store").glob(f"*/{name}")
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=rf"{name}: .*delete the store's folder"):
        ArrowPassageStore(tmp_path / "store")


@pytest.mark.parametrize("name", ["part-00002.arrow", "id-hashes.u64", "id-rows.i64"])
@pytest.mark.parametrize("damage", ["removed", "cut", "changed"])
def test_a_damaged_file_is_made_again_and_the_others_stay(tmp_path: Path, name: str, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "store"
    build(folder)
    before = contents(folder)
    inodes = {path.name: path.stat().st_ino for path in folder.glob("*/part-*")}
    (path,) = folder.glob(f"*/{name}")
    content = path.read_bytes()
    path.unlink()
    if damage != "removed":
        path.write_bytes(content[: len(content) // 2] + (b"" if damage == "cut" else b"?" + content[len(content) // 2 + 1 :]))
    with caplog.at_level(logging.WARNING):
        assert list(build(folder)) == PASSAGES
    (warning,) = caplog.messages
    assert str(path) in warning
    assert warning.endswith(": made again")
    assert contents(folder) == before
    kept = {each.name: each.stat().st_ino for each in folder.glob("*/part-*")}
    assert {each for each in inodes if inodes[each] != kept[each]} <= {name}
    assert list(build(folder)) == PASSAGES
    assert len(caplog.messages) == 1


def test_a_damaged_manifest_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "store"
    sha256 = build(folder).sha256
    before, manifest = contents(folder), folder / "manifest.json"
    other = sha256.translate(str.maketrans("0123456789", "1234567890"))
    manifest.write_text(manifest.read_text().replace(sha256, other))
    with pytest.raises(DataError, match=r"manifest\.json: damaged \(its digest is not that of its content\); delete the folder"):
        ArrowPassageStore(folder)
    with caplog.at_level(logging.WARNING):
        assert build(folder).sha256 == sha256
    assert caplog.messages == [f"{manifest}: damaged (its digest is not that of its content); it is made again"]
    assert contents(folder) == before


def test_a_store_of_an_older_version_gets_its_digests(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    build(folder)
    before, manifest = contents(folder), folder / "manifest.json"
    values = json.loads(manifest.read_text())
    del values["index"], values["check"]
    manifest.write_text(json.dumps(values))
    assert list(ArrowPassageStore(folder)) == PASSAGES
    build(folder)
    assert contents(folder) == before


@pytest.mark.parametrize("change", [{"schema_version": 9}, {"data": "../elsewhere"}, {"parts": []}, {"surprise": 1}])
def test_foreign_manifest_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    build(tmp_path / "store")
    path = tmp_path / "store" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=rf"manifest\.json \[{next(iter(change))}\]: not the manifest of a passage store"):
        ArrowPassageStore(tmp_path / "store")


def test_no_files_are_kept_open(tmp_path: Path) -> None:
    fds = Path("/proc/self/fd")
    if not fds.is_dir():
        pytest.skip("needs /proc")
    before = len(list(fds.iterdir()))
    store = build(tmp_path / "store", part_rows=1)
    assert len(store) == 20
    assert len(list(fds.iterdir())) - before <= 2, "only the id index, not the parts"


def test_real_corpus_round_trip(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "inscit" / "corpus" / "full_wiki_segments.sample.tsv"
    store = build_store(lambda: tsv_passages(path), tmp_path / "store", sources={path.name: "x"}, part_rows=100)
    passages = list(tsv_passages(path))
    assert store.get([p.id for p in passages]) == passages
