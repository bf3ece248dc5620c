from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import signal
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import MINI, completed, convbench, start, succeed
from scripted_server import Answer, FileServer, file_server

from convbench.io.digests import file_sha256

USAGE, DATA, RESOURCE, STORAGE = 2, 3, 5, 6
TURNS = MINI / "topiocqa" / "topiocqa_mini.jsonl"
CORPUS = MINI / "topiocqa" / "full_wiki_segments.tsv"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as running:
        running.script |= {"/turns": [Answer(TURNS.read_bytes())], "/corpus": [Answer(CORPUS.read_bytes(), etag='"1"')]}
        yield running


def manifest(server: FileServer, path: Path, **changes: Any) -> Path:
    """A manifest of the bundled set, served as if it were the official files; JSON is YAML."""
    files = [
        {"name": "topiocqa_dev.jsonl", "part": "turns", "urls": [f"{server.url}/turns"], "sha256": file_sha256(TURNS)},
        {"name": "full_wiki_segments.tsv", "part": "corpus", "urls": [f"{server.url}/corpus"], "sha256": file_sha256(CORPUS)},
    ]
    entry = {
        "licences": [{"name": "CC BY 9.9", "url": "https://licence.invalid/by", "covers": "everything", "terms": "Be kind."}],
        "citation": "Somebody et al., 2020",
        "tiers": {"full": {"files": files, "notes": ["the test set is secret"]}},
        **changes,
    }
    path.write_text(json.dumps({"datasets": {"topiocqa": entry}}), encoding="utf-8")
    return path


@pytest.fixture
def full(server, tmp_path) -> Callable[..., tuple[object, ...]]:
    own = manifest(server, tmp_path / "downloads.yaml")

    def command(*more: object) -> tuple[object, ...]:
        return ("data", "prepare", "topiocqa", "--tier", "full", "--manifest", own, "--cache", tmp_path / "cache", *more)

    return command


@pytest.fixture
def accepted(full) -> Callable[..., tuple[object, ...]]:
    def command(*more: object) -> tuple[object, ...]:
        return full("--accept-licence", *more)

    return command


class TestFull:
    def test_files_store_and_the_line_to_go_on_with(self, accepted, server, tmp_path):
        summary = succeed(*accepted("--json")).json
        root = tmp_path / "cache" / "data" / "topiocqa"
        assert (summary["tier"], summary["root"]) == ("full", str(root))
        assert [(each["name"], each["how"], each["checked"]) for each in summary["files"]] == [
            ("topiocqa_dev.jsonl", "fetched", "sha256"),
            ("full_wiki_segments.tsv", "fetched", "sha256"),
        ]
        assert [(root / each["name"]).read_bytes() for each in summary["files"]] == [TURNS.read_bytes(), CORPUS.read_bytes()]
        mini = succeed("data", "prepare", "topiocqa", "--json").json
        same = ("conversations", "turns", "judged_turns", "collection", "passages", "sha256")
        assert {key: summary[key] for key in same} == {key: mini[key] for key in same}
        assert summary["split"] == "dev"
        assert summary["citation"] == "Somebody et al., 2020"
        words = shlex.split(summary["run"])
        assert words == ["convbench", "run", "bm25-history", "-d", "topiocqa", "--data", str(root)]
        results = succeed(*words[1:], "--metrics", "retrieval", "--out", tmp_path / "run", "--json").json
        assert results[0]["dataset"]["split"] == "dev"
        assert succeed(*accepted("--json")).json["files"][0]["how"] == "there before"
        assert len(server.asked) == 2

    def test_as_text(self, accepted, tmp_path):
        done = succeed(*accepted())
        lines = done.out.splitlines()
        root = tmp_path / "cache" / "data" / "topiocqa"
        size = f"{TURNS.stat().st_size:,}"
        assert f"files              {root / 'topiocqa_dev.jsonl'}: {size} bytes, fetched, checked against sha256" in lines
        assert lines[-1] == f"run                convbench run bm25-history -d topiocqa --data {root}"
        assert "the test set is secret" in done.err

    def test_the_split_goes_into_the_line(self, accepted):
        assert succeed(*accepted("--json", "--split", "valid")).json["run"].endswith(" --split valid")

    def test_what_is_read_goes_into_the_line(self, accepted, tmp_path):
        part = ("--limit", 2, "--conversations", "held-out:3:any: salt")
        words = shlex.split(succeed(*accepted("--json", *part)).json["run"])
        assert words[-4:] == ["--conversations", "held-out:3:any: salt", "--limit", "2"]
        results = succeed(*words[1:], "--metrics", "retrieval", "--out", tmp_path / "run", "--json").json
        assert results[0]["dataset"]["n_conversations"] == 2

    def test_without_the_corpus(self, accepted, server):
        summary = succeed(*accepted("--without-corpus", "--json")).json
        assert [each["name"] for each in summary["files"]] == ["topiocqa_dev.jsonl"]
        assert summary["collection"] == "gold-union"
        assert [each.path for each in server.asked] == ["/turns"]
        assert len(succeed(*accepted("--json")).json["files"]) == 2

    def test_a_corpus_from_elsewhere(self, accepted, server):
        summary = succeed(*accepted("--corpus", CORPUS, "--json")).json
        assert summary["collection"] == "corpus"
        assert summary["run"].endswith(f" --corpus {CORPUS}")
        assert [each.path for each in server.asked] == ["/turns"]

    def test_turns_whose_passages_cannot_be_had(self, server, tmp_path):
        """QReCC's turns name their gold passages by id only; CAsT's corpus is made by the user."""
        shutil.copytree(MINI / "qrecc", tmp_path / "qrecc")
        server.script["/turns"] = [Answer((tmp_path / "qrecc" / "scai-qrecc21-mini-turns.json").read_bytes())]
        name = {"name": "scai-qrecc21-test-turns.json", "part": "turns", "urls": [f"{server.url}/turns"], "unchecked": "a test"}
        own = manifest(server, tmp_path / "m.yaml", tiers={"full": {"files": [name]}})
        own.write_text(own.read_text(encoding="utf-8").replace('"topiocqa":', '"qrecc":'), encoding="utf-8")
        command = ("data", "prepare", "qrecc", "--tier", "full", "--manifest", own, "--cache", tmp_path / "cache", "--accept-licence")
        summary = succeed(*command, "--json").json
        assert (summary["collection"], summary["passages"]) == (None, None)
        assert "no passage store: " in summary["notes"][0]
        assert summary["files"][0]["checked"] == "nothing: a test"

    def test_fetch_only(self, accepted, tmp_path):
        summary = succeed(*accepted("--fetch-only", "--json")).json
        assert "turns" not in summary
        assert summary["run"]
        assert not (tmp_path / "cache" / "stores").exists()

    def test_an_archive(self, accepted, server, tmp_path):
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as packed:
            packed.write(TURNS, "release/topiocqa_dev.jsonl")
            packed.write(CORPUS, "release/full_wiki_segments.tsv")
        server.script["/all"] = [Answer((tmp_path / "all.zip").read_bytes())]
        sha256 = file_sha256(tmp_path / "all.zip")
        files = [
            {
                "name": "all.zip",
                "part": "turns",
                "urls": [f"{server.url}/all"],
                "sha256": sha256,
                "unpack": {"format": "zip", "into": "all"},
            }
        ]
        manifest(server, tmp_path / "downloads.yaml", tiers={"full": {"files": files}})
        assert succeed(*accepted("--json")).json["collection"] == "corpus"

    def test_a_name_that_does_not_exist_is_refused_before_anything_is_fetched(self, accepted, server):
        assert convbench(*accepted("--split", "tset")).error.startswith("topiocqa has no split 'tset'. ")
        assert "has no option 'x'" in convbench(*accepted("--option", "x=y")).error
        assert server.asked == []

    def test_offline(self, accepted, server, tmp_path):
        refused = convbench(*accepted("--offline"))
        assert refused.code == RESOURCE
        assert refused.err.splitlines()[-1].startswith("error: 2 of 2 files could not be had: topiocqa_dev.jsonl: not there, and --offline")
        root = tmp_path / "cache" / "data" / "topiocqa"
        shutil.copy(TURNS, root / "topiocqa_dev.jsonl")
        shutil.copy(CORPUS, root / "full_wiki_segments.tsv")
        assert succeed(*accepted("--offline", "--json")).json["files"][1]["how"] == "copy of yours"
        assert server.asked == []

    def test_a_copy_that_is_another_file(self, accepted, tmp_path):
        root = tmp_path / "cache" / "data" / "topiocqa"
        root.mkdir(parents=True)
        shutil.copy(CORPUS, root / "topiocqa_dev.jsonl")
        refused = convbench(*accepted())
        assert refused.code == DATA
        assert "this is not the file of" in refused.err

    def test_a_broken_manifest(self, accepted, tmp_path):
        own = tmp_path / "downloads.yaml"
        own.write_text("datasets:\n  topiocqa:\n    licences: []\n", encoding="utf-8")
        refused = convbench(*accepted())
        assert refused.code == DATA
        assert refused.error.startswith(f"{own}:")

    def test_secrets_of_an_address_stay_unsaid(self, accepted, server, tmp_path):
        own = tmp_path / "downloads.yaml"
        secret = server.url.replace("http://", "http://someone:passw0rd@")
        own.write_text(own.read_text(encoding="utf-8").replace(f"{server.url}/turns", f"{secret}/turns?token=t0ken"), encoding="utf-8")
        done = succeed(*accepted("--json"))
        said = done.out + done.err
        written = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.suffix in (".json", ".yaml"))
        server.script["/turns"] = [Answer(status=403)]
        shutil.rmtree(tmp_path / "cache")
        failed = convbench(*accepted())
        assert failed.code == RESOURCE
        for word in ("passw0rd", "t0ken"):
            assert word not in said + failed.out + failed.err
            assert word.encode() not in written
        offline = convbench(*accepted("--offline"))
        assert "t0ken" not in offline.err + offline.out
        assert "passw0rd" not in offline.err + offline.out


class TestLicences:
    def test_without_acceptance_nothing_is_fetched(self, full, server):
        refused = convbench(*full())
        assert refused.code == USAGE
        assert "- CC BY 9.9 (everything): Be kind.\n  https://licence.invalid/by\n" in refused.err
        assert "error: the licences of topiocqa are not accepted yet: read them above, and add --accept-licence" in refused.err
        assert server.asked == []

    def test_acceptance_is_remembered(self, full, accepted, tmp_path):
        assert "Be kind." in succeed(*accepted()).err
        assert "Be kind." not in succeed(*full()).err
        [memo] = (tmp_path / "cache").rglob("licences.json")
        kept = json.loads(memo.read_text(encoding="utf-8"))
        assert kept["licences"][0]["name"] == "CC BY 9.9"
        assert kept["accepted"].startswith("20")

    def test_other_terms_are_shown_again(self, full, accepted, server, tmp_path):
        succeed(*accepted())
        terms = [{"name": "CC BY 9.9", "url": "https://licence.invalid/by", "covers": "everything", "terms": "Be very kind."}]
        manifest(server, tmp_path / "downloads.yaml", licences=terms)
        assert "Be very kind." in convbench(*full()).err

    @pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", USAGE), (b"\n", USAGE)])
    def test_the_question(self, full, server, answer, code):
        ours, theirs = pty.openpty()
        try:
            process = start(*full("--fetch-only"), stdin=theirs)
            os.write(ours, answer)
            done = completed(process)
        finally:
            os.close(ours)
            os.close(theirs)
        assert done.code == code, done.err
        assert "Do you accept them? [y/N]" in done.err
        assert len(server.asked) == (0 if code else 2)
        if code:
            assert "error: the licences of topiocqa are not accepted: nothing was fetched" in done.err


class TestOtherTiers:
    def test_mini_is_what_ships(self):
        assert (
            succeed("data", "prepare", "topiocqa", "--tier", "mini", "--json").json == succeed("data", "prepare", "topiocqa", "--json").json
        )

    def test_mini_has_no_other_split(self):
        assert convbench("data", "prepare", "topiocqa", "--tier", "mini", "--split", "dev").error.startswith(
            "--tier mini has no split 'dev'"
        )

    def test_sample(self, real_data):
        summary = succeed("data", "prepare", "topiocqa", "--tier", "sample", "--real-data", real_data, "--json").json
        assert (summary["split"], summary["conversations"], summary["collection"]) == ("dev", 120, "corpus")
        assert summary["turns_with_rewrite"] == summary["turns"]

    def test_the_samples_are_not_there(self, monkeypatch, tmp_path):
        monkeypatch.delenv("CONVBENCH_REAL_DATA", raising=False)
        refused = convbench("data", "prepare", "topiocqa", "--tier", "sample")
        assert refused.code == DATA
        assert (
            "the samples are nowhere to be fetched: name the folder that you have them in with --real-data or $CONVBENCH_REAL_DATA"
            in refused.error
        )
        refused = convbench("data", "prepare", "topiocqa", "--tier", "sample", "--real-data", tmp_path)
        assert refused.code == DATA
        assert "no such file or folder; is it a folder of the samples?" in refused.error

    def test_a_folder_of_samples_that_is_not_read_is_refused_where_it_is_named(self, monkeypatch, tmp_path):
        for tier in ((), ("--tier", "mini")):
            refused = convbench("data", "prepare", "topiocqa", *tier, "--real-data", tmp_path)
            assert refused.error == "--real-data is for the samples: add --tier sample"
        monkeypatch.setenv("CONVBENCH_REAL_DATA", str(tmp_path))
        succeed("data", "prepare", "topiocqa")

    def test_a_dataset_without_a_sample(self):
        assert convbench("data", "prepare", "faithdial", "--tier", "sample").error.startswith("there is no sample of faithdial: ")

    def test_nothing_is_known_to_fetch(self):
        refused = convbench("data", "prepare", "generic", "--tier", "full")
        assert refused.code == USAGE
        assert refused.error.startswith("nothing is known to fetch for 'generic': give its files with --data DIR. Known: cast, ")

    @pytest.mark.parametrize("option", [("--accept-licence",), ("--without-corpus",), ("--fetch-only",), ("--manifest", "m.yaml")])
    @pytest.mark.parametrize("tier", [(), ("--tier", "mini")])
    def test_options_that_go_with_full_only(self, option, tier):
        assert (
            convbench("data", "prepare", "topiocqa", *tier, *option).error == f"{option[0]} is for files that are fetched: add --tier full"
        )

    def test_a_tier_and_files_of_ones_own(self):
        assert convbench("data", "prepare", "topiocqa", "--tier", "full", "--data", ".").error.startswith(
            "--tier full says which files, and "
        )

    def test_an_unknown_tier(self):
        assert "'part' is not one of 'mini', 'sample', 'pooled', 'full'" in convbench("data", "prepare", "topiocqa", "--tier", "part").error


class TestPreparedFilesAreFound:
    def test_by_a_named_split(self, accepted, tmp_path, monkeypatch):
        run = ("run", "oracle", "-d", "topiocqa", "--metrics", "retrieval", "--json")
        monkeypatch.setenv("CONVBENCH_CACHE", str(tmp_path / "cache"))
        missing = convbench(*run, "--split", "dev", "--out", tmp_path / "none")
        assert missing.code == USAGE
        assert (
            "give them with --data DIR, or fetch them with `convbench data prepare topiocqa --tier full` (bundled: 'mini')" in missing.error
        )
        succeed(*accepted())
        [results] = succeed(*run, "--split", "dev", "--out", tmp_path / "dev").json
        assert (results["dataset"]["name"], results["dataset"]["split"]) == ("topiocqa", "dev")
        assert "bundled" not in results["dataset"].get("licence", "")
        [results] = succeed(*run, "--out", tmp_path / "mini").json  # without a split it is the bundled set, whatever the cache holds
        assert results["dataset"]["split"] == "mini"

    def test_files_that_are_named_come_first(self, accepted, tmp_path, monkeypatch):
        monkeypatch.setenv("CONVBENCH_CACHE", str(tmp_path / "cache"))
        succeed(*accepted())
        refused = convbench("run", "oracle", "-d", "topiocqa", "--split", "dev", "--data", tmp_path / "nowhere", "--out", tmp_path / "out")
        assert refused.code == DATA
        assert "nowhere: no such folder" in refused.error

    def test_not_while_some_are_missing(self, accepted, server, tmp_path, monkeypatch):
        monkeypatch.setenv("CONVBENCH_CACHE", str(tmp_path / "cache"))
        server.script["/corpus"] = [Answer(status=404)]
        assert convbench(*accepted()).code == RESOURCE
        assert convbench("run", "oracle", "-d", "topiocqa", "--split", "dev", "--out", tmp_path / "out").code == USAGE


class TestProcesses:
    def part(self, tmp_path: Path) -> Path:
        return tmp_path / "cache" / "data" / "topiocqa" / ".parts" / "big.bin"

    def big(self, server: FileServer, tmp_path: Path, **answer: Any) -> bytes:
        content = os.urandom(1 << 20)
        (tmp_path / "big").write_bytes(content)
        server.script["/big"] = [Answer(content, etag='"1"', **answer)]
        file = {"name": "big.bin", "part": "turns", "urls": [f"{server.url}/big"], "unchecked": "a test"}
        manifest(server, tmp_path / "downloads.yaml", tiers={"full": {"files": [file]}})
        return content

    @pytest.mark.parametrize("signalled", [signal.SIGKILL, signal.SIGINT])
    def test_a_killed_download_goes_on_where_it_was(self, accepted, server, tmp_path, signalled):
        content = self.big(server, tmp_path, pace=0.01)
        process = start(*accepted("--fetch-only"), preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
        part = self.part(tmp_path)
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size > 200_000):
            assert process.poll() is None, completed(process).err
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signalled)
        assert completed(process).code == (-signal.SIGKILL if signalled == signal.SIGKILL else 130)
        kept = part.stat().st_size
        assert 200_000 < kept < len(content)
        root = tmp_path / "cache" / "data" / "topiocqa"
        assert not (root / "big.bin").exists()
        assert kept <= server.asked[0].given
        server.script["/big"] = [Answer(content, etag='"1"')]
        succeed(*accepted("--fetch-only"))
        assert (root / "big.bin").read_bytes() == content
        assert server.ranges == [None, f"bytes={kept}-"]
        assert server.asked[1].given == len(content) - kept

    def test_two_at_once_fetch_once(self, accepted, server, tmp_path):
        content = self.big(server, tmp_path, pace=0.004)
        processes = [start(*accepted("--fetch-only", "--json")) for _ in range(2)]
        done = [completed(process) for process in processes]
        assert [each.code for each in done] == [0, 0], done
        assert sorted(each.json["files"][0]["how"] for each in done) == ["fetched", "there before"]
        waited = re.compile(r"another process \(pid (\d+)\) fetches these files: waiting for it")
        assert [waited.findall(each.err) for each in done] in ([[], [str(processes[0].pid)]], [[str(processes[1].pid)], []])
        assert server.given == len(content)
        assert len(server.asked) == 1
