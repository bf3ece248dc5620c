from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from submission_folders import TURNS, records, submit, track_of

from convbench.errors import ConvbenchError
from convbench.leaderboard.archive import unpack
from convbench.leaderboard.submission import read_submission
from convbench.leaderboard.track import Track

Members = dict[str, bytes]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "boards"


@pytest.fixture
def track(root: Path) -> Track:
    return track_of(root)


def files(tmp_path: Path, **values: object) -> Members:
    """The two files of a submission in order, but for what is given."""
    track_of(tmp_path / "source")
    folder = submit(tmp_path / "source", "ours", **values)  # type: ignore[arg-type]
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def as_tar(path: Path, members: Members, change: Callable[[tarfile.TarInfo], None] = lambda _: None) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            change(info)
            tar.addfile(info, io.BytesIO(content))
    return path


def as_zip(path: Path, members: Members, mode: int = 0o100644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            packed.writestr(info, content, zipfile.ZIP_DEFLATED)
    return path


def refused(archive: Path, track: Track, root: Path) -> str:
    """What is said; nothing was left behind, in the folder or around it."""
    before = {path: path.read_bytes() for path in root.parent.rglob("*") if path.is_file()}
    with pytest.raises(ConvbenchError) as raised:
        unpack(archive, track, root, submission="ours", turns=TURNS)
    assert {path: path.read_bytes() for path in root.parent.rglob("*") if path.is_file()} == before
    assert list((root / "toy").glob("submissions/*")) == []
    return str(raised.value)


@pytest.mark.parametrize("prefix", ["", "ours/", "./", "./anything/"])
@pytest.mark.parametrize("make", [as_tar, as_zip])
def test_an_archive_in_order(tmp_path: Path, root: Path, track: Track, prefix: str, make: Callable[[Path, Members], Path]) -> None:
    members = {f"{prefix}{name}": content for name, content in files(tmp_path).items()}
    archive = make(tmp_path / f"a{'.zip' if make is as_zip else '.tgz'}", members)
    assert unpack(archive, track, root, submission="ours", turns=TURNS) == root / "toy" / "submissions" / "ours"
    assert read_submission(root, track, "ours", turns=TURNS).findings == ()
    with pytest.raises(ConvbenchError, match="exists already"):
        unpack(archive, track, root, submission="ours", turns=TURNS)


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/../../x", "a/b/manifest.yaml", "..\\x", "C:\\x", "../manifest.yaml"])
@pytest.mark.parametrize("make", [as_tar, as_zip])
def test_members_that_lead_elsewhere(tmp_path: Path, root: Path, track: Track, name: str, make: Callable[[Path, Members], Path]) -> None:
    archive = make(tmp_path / f"a{'.zip' if make is as_zip else '.tar.gz'}", {**files(tmp_path), name: b"x"})
    said = refused(archive, track, root)
    assert "leads out of the archive, or too deep into it; nothing was unpacked" in said


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices(tmp_path: Path, root: Path, track: Track, kind: bytes) -> None:
    def change(info: tarfile.TarInfo) -> None:
        if info.name == "run.jsonl.gz":
            info.type, info.linkname, info.size = kind, "/etc/passwd", 0

    archive = as_tar(tmp_path / "a.tar.gz", files(tmp_path), change)
    assert "'run.jsonl.gz' is a link, a device or a pipe; plain files are expected" in refused(archive, track, root)


def test_links_in_a_zip(tmp_path: Path, root: Path, track: Track) -> None:
    archive = as_zip(tmp_path / "a.zip", files(tmp_path), 0o120777)
    assert "is a link, a device or encrypted" in refused(archive, track, root)


def test_members_that_are_no_part_of_it(tmp_path: Path, root: Path, track: Track) -> None:
    members = files(tmp_path)
    assert "'setup.py' is no part of a submission" in refused(as_tar(tmp_path / "a.tgz", {**members, "setup.py": b""}), track, root)
    twice = {**members, "a/manifest.yaml": members["manifest.yaml"]}
    assert "holds manifest.yaml twice" in refused(as_zip(tmp_path / "b.zip", twice), track, root)
    del members["run.jsonl.gz"]
    assert "run.jsonl.gz is missing" in refused(as_tar(tmp_path / "c.tgz", members), track, root)


def test_a_crowd_of_members(tmp_path: Path, root: Path, track: Track) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.type = tarfile.DIRTYPE

    members = {f"d{number}/": b"" for number in range(100)}
    for archive in (as_tar(tmp_path / "a.tgz", members, change), as_zip(tmp_path / "a.zip", members)):
        assert "holds more than 10 members, where manifest.yaml and run.jsonl.gz are expected" in refused(archive, track, root)


def test_bombs(tmp_path: Path, root: Path, track: Track) -> None:
    with gzip.open(tmp_path / "a.tgz", "wb", 1) as bomb:
        for _ in range(80):
            bomb.write(bytes(1 << 20))
    assert "gives more than 65 MiB when unpacked" in refused(tmp_path / "a.tgz", track, root)
    members = {**files(tmp_path), "manifest.yaml": bytes(80 << 20)}
    assert "manifest.yaml has more than 262,144 bytes" in refused(as_zip(tmp_path / "b.zip", members), track, root)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar"])
@pytest.mark.parametrize("content", [b"", b"PK\x05\x06", b"\x80\x04pickle", b"\x1f\x8b\x08\x00broken"])
def test_what_is_no_archive(tmp_path: Path, root: Path, track: Track, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    said = refused(tmp_path / name, track, root)
    assert "no archive that can be read" in said or "manifest.yaml is missing" in said


def test_a_submission_that_is_refused_is_not_put_there(tmp_path: Path, root: Path, track: Track) -> None:
    archive = as_tar(tmp_path / "a.tgz", files(tmp_path, lines=records()[:2]))
    assert f"{archive}: refused: run.jsonl.gz: 1 of the track's 3 turns are left out (2_1)" in refused(archive, track, root)
    renamed = {name: content.replace(b"id: ours", b"id: else") for name, content in files(tmp_path / "b").items()}
    other = as_tar(tmp_path / "b.tgz", renamed)
    assert "id: expected 'ours'" in refused(other, track, root)


def test_a_name_that_is_taken(tmp_path: Path, root: Path, track: Track) -> None:
    submit(root, "theirs", name="System οurs")
    archive = as_tar(tmp_path / "a.tgz", files(tmp_path))
    with pytest.raises(ConvbenchError, match=r"'System ours' looks like 'System \\u03bfurs', the name of the submission theirs"):
        unpack(archive, track, root, submission="ours", turns=TURNS)
    assert not (root / "toy" / "submissions" / "ours").exists()


@pytest.mark.parametrize("submission", ["../../../../escaped/x", "/tmp/escaped", "..", "a/b", "A", ""])
def test_an_id_that_leads_elsewhere_makes_no_folder(tmp_path: Path, root: Path, track: Track, submission: str) -> None:
    archive = as_tar(tmp_path / "a.tgz", files(tmp_path))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConvbenchError, match="is no id of a submission"):
        unpack(archive, track, root, submission=submission, turns=TURNS)
    assert sorted(tmp_path.rglob("*")) == before


def test_files_in_two_folders(tmp_path: Path, root: Path, track: Track) -> None:
    members = files(tmp_path)
    spread = {"a/manifest.yaml": members["manifest.yaml"], "b/run.jsonl.gz": members["run.jsonl.gz"]}
    assert "holds its files in 2 folders" in refused(as_zip(tmp_path / "a.zip", spread), track, root)
    mixed = {"manifest.yaml": members["manifest.yaml"], "b/run.jsonl.gz": members["run.jsonl.gz"]}
    assert "holds its files in 2 folders" in refused(as_tar(tmp_path / "a.tgz", mixed), track, root)


@pytest.mark.parametrize("make", [as_tar, as_zip])
def test_what_macos_adds_is_not_read(tmp_path: Path, root: Path, track: Track, make: Callable[[Path, Members], Path]) -> None:
    members = {f"ours/{name}": content for name, content in files(tmp_path).items()}
    added = {f"__MACOSX/ours/._{name}": b"x" for name in ("manifest.yaml", "run.jsonl.gz")}
    archive = make(
        tmp_path / f"a{'.zip' if make is as_zip else '.tgz'}", {"ours/._manifest.yaml": b"x", "ours/.DS_Store": b"", **members, **added}
    )
    assert unpack(archive, track, root, submission="ours", turns=TURNS).is_dir()
    archive = make(tmp_path / f"b{'.zip' if make is as_zip else '.tgz'}", {"__MACOSX/../../x": b"x", **members})
    with pytest.raises(ConvbenchError, match="leads out of the archive"):
        unpack(archive, track, root, submission="other", turns=TURNS)


def test_a_day_that_lies_ahead(tmp_path: Path, root: Path, track: Track) -> None:
    archive = as_tar(tmp_path / "a.tgz", files(tmp_path, submitted="9999-12-31"))
    assert "submitted: 9999-12-31 lies ahead of today" in refused(archive, track, root)
