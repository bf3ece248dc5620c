from __future__ import annotations

import gzip
import io
import random
import stat
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from convbench.datasets.download.manifest import Unpack
from convbench.datasets.download.unpack import unpack
from convbench.errors import DataError

FILES = {"a/one.jsonl": b"1" * 5000, "a/b/two.jsonl": b"2", "readme.txt": b"words", "empty.jsonl": b""}


def zipped(path: Path, files: Mapping[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def packed(kind: str, path: Path, files: Mapping[str, bytes]) -> Path:
    if kind == "zip":
        return zipped(path, dict(files))
    return tarred(path, [(tarfile.TarInfo(name), content) for name, content in files.items()])


def found(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rule(kind: str, **more: object) -> Unpack:
    return Unpack.model_validate({"format": kind, "into": "out", **more})


def refused(archive: Path, into: Path, kind: str, **more: object) -> str:
    before = set(into.parent.rglob("*"))
    with pytest.raises(DataError) as raised:
        unpack(archive, rule(kind, **more), into)
    assert set(into.parent.rglob("*")) == before
    assert str(raised.value).startswith(str(archive))
    return str(raised.value)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
class TestFolders:
    def test_everything(self, tmp_path, kind):
        unpack(packed(kind, tmp_path / "archive", FILES), rule(kind), tmp_path / "out")
        assert found(tmp_path / "out") == FILES

    def test_some_members(self, tmp_path, kind):
        unpack(packed(kind, tmp_path / "archive", FILES), rule(kind, members=["*.jsonl"]), tmp_path / "out")
        assert found(tmp_path / "out") == {name: content for name, content in FILES.items() if name.endswith(".jsonl")}

    def test_none_of_the_members(self, tmp_path, kind):
        archive = packed(kind, tmp_path / "archive", FILES)
        assert "gives nothing of *.tsv: is it another archive?" in refused(archive, tmp_path / "out", kind, members=["*.tsv"])

    def test_what_an_earlier_try_left_goes(self, tmp_path, kind):
        (tmp_path / ".out.1234.tmp" / "a").mkdir(parents=True)
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "half").write_text("x")
        unpack(packed(kind, tmp_path / "archive", FILES), rule(kind), tmp_path / "out")
        assert found(tmp_path / "out") == FILES
        assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "out"]

    @pytest.mark.parametrize("name", ["../up.jsonl", "a/../../up.jsonl", "/etc/up.jsonl", "a\\..\\up.jsonl", "C:/up.jsonl", "a/\x1b[2Jup"])
    def test_members_that_lead_outside(self, tmp_path, kind, name):
        archive = packed(kind, tmp_path / "archive", {"good.jsonl": b"1", name: b"2"})
        assert "leads outside the folder" in refused(archive, tmp_path / "out", kind)
        assert not (tmp_path.parent / "up.jsonl").exists()

    def test_a_member_that_leads_outside_though_it_is_not_wanted(self, tmp_path, kind):
        archive = packed(kind, tmp_path / "archive", {"good.jsonl": b"1", "../up.txt": b"2"})
        assert "leads outside" in refused(archive, tmp_path / "out", kind, members=["*.jsonl"])

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_a_member_twice(self, tmp_path, kind):
        infos = [("a.jsonl", b"1"), ("./a.jsonl", b"2")]
        archive = (
            zipped(tmp_path / "archive", {zipfile.ZipInfo(name): content for name, content in infos})
            if kind == "zip"
            else tarred(tmp_path / "archive", [(tarfile.TarInfo(name), content) for name, content in infos])
        )
        assert "[a.jsonl]: comes twice" in refused(archive, tmp_path / "out", kind)

    def test_too_many_members(self, tmp_path, kind):
        archive = packed(kind, tmp_path / "archive", {f"{n}.jsonl": b"" for n in range(50)})
        assert "has more than 49 files" in refused(archive, tmp_path / "out", kind, most_members=49)

    def test_a_bomb(self, tmp_path, kind):
        """70 MiB of nothing in 70 KiB."""
        archive = packed(kind, tmp_path / "archive", {"zero.jsonl": bytes(70 << 20)})
        assert archive.stat().st_size < 100_000
        assert "gives more than 67.1 MB: refused" in refused(archive, tmp_path / "out", kind)

    def test_a_bound_of_ones_own(self, tmp_path, kind):
        archive = packed(kind, tmp_path / "archive", FILES)
        assert "gives more than 5.0 kB" in refused(archive, tmp_path / "out", kind, most_bytes=5000)
        unpack(archive, rule(kind, most_bytes=5006), tmp_path / "out")

    @pytest.mark.parametrize("keep", [0.3, 0.95])
    def test_a_truncated_archive(self, tmp_path, kind, keep):
        archive = packed(kind, tmp_path / "archive", FILES)
        content = archive.read_bytes()
        archive.write_bytes(content[: int(len(content) * keep)])
        assert f"broken {kind} archive" in refused(archive, tmp_path / "out", kind)

    def test_a_damaged_archive(self, tmp_path, kind):
        archive = packed(kind, tmp_path / "archive", {"noise.jsonl": random.Random(1).randbytes(50_000)})
        content = bytearray(archive.read_bytes())
        content[20_000] ^= 0xFF
        archive.write_bytes(content)
        assert f"broken {kind} archive" in refused(archive, tmp_path / "out", kind)

    def test_no_archive_at_all(self, tmp_path, kind):
        (tmp_path / "archive").write_text("<html>sorry</html>")
        assert f"broken {kind} archive" in refused(tmp_path / "archive", tmp_path / "out", kind)


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFBLK, stat.S_IFIFO])
def test_a_link_or_device_in_a_zip(tmp_path, mode):
    info = zipfile.ZipInfo("link")
    info.external_attr = (mode | 0o777) << 16
    archive = zipped(tmp_path / "archive", {"good.jsonl": b"1", info: b"/etc/passwd"})
    assert "[link]: is a link or a device" in refused(archive, tmp_path / "out", "zip")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_link_or_device_in_a_tar(tmp_path, kind):
    info = tarfile.TarInfo("link")
    info.type, info.linkname = kind, "../../etc/passwd"
    archive = tarred(tmp_path / "archive", [(tarfile.TarInfo("good.jsonl"), b"1"), (info, b"")])
    assert "[link]: is a link, a device or a sparse file" in refused(archive, tmp_path / "out", "tar.gz")


def test_an_encrypted_member(tmp_path):
    archive = zipped(tmp_path / "archive", {"a.jsonl": b"1"})
    content = archive.read_bytes()
    at = content.index(b"PK\x01\x02") + 8
    archive.write_bytes(content[:at] + bytes([content[at] | 1]) + content[at + 1 :])
    assert "is encrypted" in refused(archive, tmp_path / "out", "zip")


def test_a_member_that_gives_more_than_the_directory_states(tmp_path):
    archive = zipped(tmp_path / "archive", {"a.jsonl": b"1" * 1000})
    content = archive.read_bytes()
    archive.write_bytes(content.replace((1000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    assert "broken zip archive" in refused(archive, tmp_path / "out", "zip")


def test_a_tar_that_goes_on_after_its_end(tmp_path):
    archive = tarred(tmp_path / "archive", [(tarfile.TarInfo("a"), b"1")])
    archive.write_bytes(gzip.compress(gzip.decompress(archive.read_bytes()) + bytes(2 << 20)))
    assert "goes on after the end" in refused(archive, tmp_path / "out", "tar.gz")


def test_a_tar_with_folders(tmp_path):
    folder = tarfile.TarInfo("a")
    folder.type = tarfile.DIRTYPE
    archive = tarred(tmp_path / "archive", [(folder, b""), (tarfile.TarInfo("a/one"), b"1")])
    unpack(archive, rule("tar.gz"), tmp_path / "out")
    assert found(tmp_path / "out") == {"a/one": b"1"}


class TestOneFile:
    def test_a_gzip_file(self, tmp_path):
        (tmp_path / "f.gz").write_bytes(gzip.compress(b"words" * 1000))
        unpack(tmp_path / "f.gz", rule("gz"), tmp_path / "f.txt")
        assert (tmp_path / "f.txt").read_bytes() == b"words" * 1000

    def test_a_bomb(self, tmp_path):
        (tmp_path / "f.gz").write_bytes(gzip.compress(bytes(70 << 20)))
        assert "gives more than 67.1 MB" in refused(tmp_path / "f.gz", tmp_path / "f.txt", "gz")

    def test_a_bound_of_ones_own(self, tmp_path):
        (tmp_path / "f.gz").write_bytes(gzip.compress(b"words" * 1000))
        assert "gives more than 4.0 kB" in refused(tmp_path / "f.gz", tmp_path / "f.txt", "gz", most_bytes=4000)

    def test_a_truncated_file(self, tmp_path):
        (tmp_path / "f.gz").write_bytes(gzip.compress(b"words" * 1000)[:-9])
        assert "broken gzip file" in refused(tmp_path / "f.gz", tmp_path / "f.txt", "gz")
