from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from command_line import succeed
from lucene_here import K1, B, ByDefinition, absent, kept_length, retriever, search
from small_disk import small_disk

from convbench.errors import DataError, ResourceError, StorageError, UsageError
from convbench.meter import Meter
from convbench.retrieval.base import Found, Retriever
from convbench.retrieval.bm25 import BM25Config
from convbench.retrieval.canonical import is_canonical
from convbench.retrieval.fusion import FusedConfig, FusionConfig
from convbench.retrieval.lucene import LuceneConfig
from convbench.retrieval.lucene_engine import find_engine
from convbench.retrieval.lucene_folder import LuceneFolder
from convbench.retrieval.lucene_index import LuceneIndex
from convbench.retrieval.lucene_java import Java
from convbench.retrieval.open import open_retriever
from convbench.types import Passage
from convbench.views.passages import passage_text
from convbench.views.query import Query
from convbench.views.words import Analyzer, AnalyzerConfig

if TYPE_CHECKING:
    from conftest import StoreOf

if reason := absent():
    pytest.skip(reason, allow_module_level=True)

WORDS = (
    "boat boats harbour keeper lighthouse rope storm winter letter music bridge river stone lamp oil wick Fresnel 1851 naïve 東京 the of"
)
OURS = AnalyzerConfig()


def random_passages(count: int, longest: int = 13) -> list[Passage]:
    """Texts of few words, so that scores often tie; some are empty, some are copies; ids have blanks and letters of all kinds."""
    chance = random.Random(7)
    texts = [" ".join(chance.choices(WORDS.split(), k=chance.randrange(longest))) for _ in range(count)]
    texts += chance.choices(texts, k=count // 4)
    return [Passage(f"Ünï 東京 {chance.randrange(10**6)}:{n}", text, chance.choice(["", "Lamp oil"])) for n, text in enumerate(texts)]


PASSAGES = random_passages(300)
LONG = random_passages(200, longest=400)
QUERIES = [
    "who kept the lighthouse in winter storms",
    "boat",
    "oil lamp oil lamp oil",
    "Fresnel 1851 東京 NAÏVE",
    "letters, music: stones!",
    "harbour zeppelin",
]


def by_definition(passages: list[Passage], k1: float = K1, b: float = B) -> Callable[[str], list[tuple[str, float]]]:
    words = Analyzer(OURS).words
    found = ByDefinition(dict(zip([p.id for p in passages], words([passage_text(p) for p in passages]), strict=True)), k1, b)
    return lambda query: found.ranking(words([query])[0])


@pytest.mark.parametrize("passages", [PASSAGES, LONG], ids=["short", "long"])
@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.2, 0.75), (0.82, 0.0)])
def test_equals_bm25_by_definition(store_of: StoreOf, tmp_path: Path, k1: float, b: float, passages: list[Passage]) -> None:
    found = retriever(k1=k1, b=b, analyzer=OURS)
    found.index(store_of(passages), tmp_path, Meter())
    expected = by_definition(passages, k1, b)
    ties_at_the_cut = 0
    for k in (1, 3, 10, 100, 10_000):
        for number, (ranking, query) in enumerate(
            zip(search(found, [(f"1_{n}", q) for n, q in enumerate(QUERIES)], k), QUERIES, strict=True)
        ):
            whole = expected(query)
            assert ranking.turn_id == f"1_{number}"
            assert [id_ for id_, _ in ranking.passages] == [id_ for id_, _ in whole[:k]]
            assert [score for _, score in ranking.passages] == pytest.approx([score for _, score in whole[:k]], rel=2e-5)
            assert is_canonical(ranking)
            ties_at_the_cut += len(whole) > k and whole[k - 1][1] == whole[k][1]
    assert ties_at_the_cut > 3 or passages is LONG


def test_a_score_worked_out_by_hand(store_of: StoreOf, tmp_path: Path) -> None:
    found = retriever(k1=1.0, b=0.5)
    texts = ["The boats sank.", "A boat, a boat and an old harbour", "Winter in the harbour", ""]
    found.index(store_of([Passage(f"p{n}", text) for n, text in enumerate(texts)]), tmp_path, Meter())
    (ranking,) = search(found, [("1_1", "boat's harbours")], 5)
    # Words: boat sank | boat boat old harbour | winter harbour. Of 3 passages with words, 8/3 long, 2 hold each: idf = ln(1 + 1.5 / 2.5).
    idf = np.log(1.6)
    first, second, third = idf / (1 + 0.5 + 0.5 * 2 * 3 / 8), idf * (2 / (2 + 1.25) + 1 / (1 + 1.25)), idf / (1 + 0.5 + 0.5 * 2 * 3 / 8)
    assert dict(ranking.passages) == pytest.approx({"p1": second, "p2": third, "p0": first}, rel=1e-6)
    assert [id_ for id_, _ in ranking.passages] == ["p1", "p2", "p0"]


@pytest.mark.parametrize(("length", "kept"), [(1, 1), (39, 39), (40, 40), (41, 40), (42, 42), (57, 56), (58, 56), (100, 96), (1000, 984)])
def test_lengths_are_kept_in_one_byte(store_of: StoreOf, tmp_path: Path, length: int, kept: int) -> None:
    assert kept_length(length) == kept
    found = retriever(k1=1.0, b=1.0, analyzer="standard")
    found.index(store_of([Passage("p", "x " * length), Passage("q", "y z")]), tmp_path, Meter())
    (ranking,) = search(found, [("1_1", "x")], 1)
    average = (length + 2) / 2
    assert ranking.passages[0][1] == pytest.approx(np.log(2) * length / (length + kept / average), rel=1e-6)


@pytest.mark.parametrize(
    ("analyzer", "query", "expected"),
    [
        ("english", "running", {"a", "b"}),
        ("english", "the", set()),
        ("english", "sailor", {"c"}),
        ("standard", "running", {"a"}),
        ("standard", "the", {"a", "b", "c"}),
        ("standard", "sailor", set()),
        (OURS, "runs", {"a", "b"}),
        (AnalyzerConfig(pattern=r"sail\w+ of", stopwords="none"), "SAILORS OF", {"c"}),
    ],
)
def test_analyzers(store_of: StoreOf, tmp_path: Path, analyzer: Any, query: str, expected: set[str]) -> None:
    found = retriever(analyzer=analyzer)
    found.index(
        store_of([Passage("a", "the running"), Passage("b", "the runs"), Passage("c", "the sailor's ship; sailors of old")]),
        tmp_path,
        Meter(),
    )
    (ranking,) = search(found, [("1_1", query)], 5)
    assert {id_ for id_, _ in ranking.passages} == expected


@pytest.mark.parametrize("query", ["", "  \n", "?!", "the of and", "zeppelin", "\ud800", "\0"])
def test_a_query_without_known_words_finds_nothing(store_of: StoreOf, tmp_path: Path, query: str) -> None:
    found = retriever()
    found.index(store_of(PASSAGES), tmp_path, Meter())
    assert [len(ranking.passages) for ranking in search(found, [("1_1", query), ("1_2", "boat"), ("1_3", query)], 5)] == [0, 5, 0]


@pytest.mark.parametrize("analyzer", ["english", OURS])
def test_any_text_goes_in_and_is_found(store_of: StoreOf, tmp_path: Path, analyzer: Any) -> None:
    odd = ["a 𝔘nicode 😀 boat", "nul\0 nul boat", "line\nbreaks\r\n boat", '{"json": "boat"} AND OR NOT "*:*" ~2', "x" * 40_000 + " boat"]
    found = retriever(analyzer=analyzer)
    found.index(store_of([Passage(f"p{n}", text) for n, text in enumerate(odd)]), tmp_path, Meter())
    assert len(search(found, [("1_1", 'boat\ud800 \0 😀 ((( AND "')], 9)[0].passages) == 5


def test_a_session_of_thousands_of_words(store_of: StoreOf, tmp_path: Path) -> None:
    passages = [Passage(f"p{n}", f"word{n} other") for n in range(3000)]
    found = retriever()
    found.index(store_of(passages), tmp_path, Meter())
    (ranking,) = search(found, [("1_1", " ".join(f"word{n}" for n in range(3000)))], 10)
    assert [id_ for id_, _ in ranking.passages] == sorted((p.id for p in passages), reverse=True)[:10]  # 3000 ties, cut by id


def test_neither_batches_nor_threads_nor_many_segments_show(store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, queries = store_of(PASSAGES), [(f"1_{n}", query) for n, query in enumerate(QUERIES * 3)]
    one = retriever()
    one.index(store, tmp_path / "one", Meter())
    together = search(one, queries, 20)
    assert [search(one, [query], 20)[0] for query in reversed(queries)] == together[::-1]
    monkeypatch.setattr("convbench.retrieval.lucene_build._READ", 8)
    monkeypatch.setattr("convbench.retrieval.lucene_build._COMMIT", 8)
    many = retriever(threads=4)
    many.index(store, tmp_path / "many", Meter())
    assert len(many._index._searcher.getIndexReader().leaves()) > 1  # segments that were merged, and one that was not yet
    assert search(many, queries, 20) == together
    assert search(many, [], 20) == []


def test_what_the_meter_and_the_results_say(store_of: StoreOf, tmp_path: Path) -> None:
    found, meter = retriever(), Meter()
    found.index(store_of(PASSAGES), tmp_path, meter)
    taken = meter.take()
    assert list(taken["phases"]) == ["index"]
    assert taken["indexes"] == {"lucene": sum(f.stat().st_size for f in (tmp_path / "lucene").glob("*/index/*") if f.name != "write.lock")}
    (one,) = found.search([Query.of("1_1", "boat")], 5, meter)
    assert (type(one), one.tokens, one.cut) == (Found, None, 0)
    assert isinstance(found, Retriever)


def test_k1_and_b_need_no_other_index_but_words_do(store_of: StoreOf, tmp_path: Path) -> None:
    store = store_of(PASSAGES)
    retriever().index(store, tmp_path, Meter())
    for settings, indexes in (
        ({"k1": 2.0}, 1),
        ({"b": 0.0}, 1),
        ({"threads": 2}, 1),
        ({"analyzer": "standard"}, 2),
        ({"analyzer": OURS}, 3),
    ):
        meter = Meter()
        retriever(**settings).index(store, tmp_path, meter)
        assert len(list((tmp_path / "lucene").iterdir())) == indexes
        assert (retriever(**settings).describe() == retriever().describe()) == ("threads" in settings)


def test_it_is_part_of_a_fusion(store_of: StoreOf, tmp_path: Path) -> None:
    lexical, here = FusedConfig(retriever=BM25Config()), FusedConfig(retriever=LuceneConfig(memory=256))
    found = open_retriever(FusionConfig(retrievers=(lexical, here)), usual_bm25={}, offline=True)
    found.check()
    meter = Meter()
    found.index(store_of(PASSAGES), tmp_path, meter)
    assert list(meter.take()["indexes"]) == ["1 bm25", "2 lucene"]
    assert len(found.search([Query.of("1_1", "boat")], 5, Meter())[0].ranking.passages) == 5


@pytest.mark.parametrize("texts", [["the of and"], ["", ""], ["?"]])
def test_a_collection_without_words_is_refused(store_of: StoreOf, tmp_path: Path, texts: list[str]) -> None:
    store = store_of([Passage(f"p{n}", text) for n, text in enumerate(texts)])
    for _ in range(2):
        with pytest.raises(UsageError, match="lucene: no passage of the collection holds a word"):
            retriever().index(store, tmp_path, Meter())


class Watched:
    """A store that notes what is read, and may stop somebody who reads it.

    Args:
        store: The store.
        before: Called with the first row of each read.
    """

    def __init__(self, store: Any, before: Callable[[int], None] = lambda _: None) -> None:
        self._store, self._before, self.read = store, before, list[int]()

    def texts(self, start: int, stop: int) -> list[Passage]:
        self._before(start)
        self.read.append(start)
        return self._store.texts(start, stop)

    def __len__(self) -> int:
        return len(self._store)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convbench.retrieval.lucene_build._READ", 10)
    monkeypatch.setattr("convbench.retrieval.lucene_build._COMMIT", 50)


def rankings(store: Any, cache: Path) -> list[Any]:
    found = retriever()
    found.index(store, cache, Meter())
    return search(found, [(f"1_{n}", query) for n, query in enumerate(QUERIES)], 50)


@pytest.mark.usefixtures("small_steps")
class TestFaults:
    def test_a_build_that_was_stopped_goes_on_at_its_last_commit(self, store_of: StoreOf, tmp_path: Path) -> None:
        def stop(row: int) -> None:
            if row == 270:
                raise KeyboardInterrupt

        store = store_of(PASSAGES)
        with pytest.raises(KeyboardInterrupt):
            retriever().index(Watched(store, stop), tmp_path / "stopped", Meter())
        again = Watched(store)
        assert rankings(again, tmp_path / "stopped") == rankings(store, tmp_path / "whole")
        assert again.read == list(range(250, 375, 10))

    def test_a_whole_index_without_a_manifest_is_only_looked_at(self, store_of: StoreOf, tmp_path: Path) -> None:
        store = store_of(PASSAGES)
        before = rankings(store, tmp_path)
        (manifest,) = (tmp_path / "lucene").glob("*/manifest.json")
        written = manifest.read_text()
        manifest.unlink()
        again = Watched(store)
        assert rankings(again, tmp_path) == before
        assert again.read == []
        assert json.loads(manifest.read_text())["passages"] == json.loads(written)["passages"] == len(store)

    @pytest.mark.parametrize("harm", ["flip", "cut", "remove", "swap", "manifest", "another commit"])
    def test_damage_is_seen_and_the_index_built_again(
        self, store_of: StoreOf, tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = store_of(PASSAGES)
        before = rankings(store, tmp_path)
        (folder,) = (tmp_path / "lucene").iterdir()
        hurt(folder, harm)
        again = Watched(store)
        assert rankings(again, tmp_path) == before
        assert again.read[0] == 0
        assert "the index is built again" in caplog.text
        caplog.clear()
        assert rankings(again, tmp_path) == before
        assert caplog.text == ""

    @pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
    def test_damage_of_an_unfinished_index_too(
        self, store_of: StoreOf, tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = store_of(PASSAGES)
        before = rankings(store, tmp_path)
        (folder,) = (tmp_path / "lucene").iterdir()
        (folder / "manifest.json").unlink()
        hurt(folder, harm)
        again = Watched(store)
        assert rankings(again, tmp_path) == before
        assert again.read[0] == 0
        assert "Lucene cannot read this index" in caplog.text

    def test_what_lucene_cannot_open_is_one_line(self, store_of: StoreOf, tmp_path: Path) -> None:
        store = store_of(PASSAGES)
        found = retriever()
        found.index(store, tmp_path, Meter())
        folder = LuceneFolder(next((tmp_path / "lucene").iterdir()), tmp_path)
        shutil.rmtree(folder.index)
        folder.index.mkdir()
        with pytest.raises(DataError, match=r"Lucene cannot read this index \(org\.apache\.lucene\.index\.IndexNotFoundException: no segm"):
            LuceneIndex(folder, None, k1=1, b=0, java=found._java)

    def test_a_full_disk(self, store_of: StoreOf, tmp_path: Path) -> None:
        with small_disk(tmp_path / "disk", kib=250) as disk:
            store = store_of([Passage(f"p{n}", " ".join(f"w{n * 31 + m}" for m in range(60))) for n in range(600)])
            with pytest.raises(StorageError, match="the disk is full"):
                retriever().index(store, disk.folder, Meter())
            disk.resize(4 << 10)
            again = Watched(store)
            retriever().index(again, disk.folder, Meter())
            assert again.read[-1] == 590
            assert 0 < again.read[0] < 590  # what was committed is kept

    def test_too_little_memory_is_one_line(self, store_of: StoreOf, tmp_path: Path, java_of: Any) -> None:
        with pytest.raises(ResourceError, match=r"raise retriever\.memory"), java_of.errors(tmp_path):
            java_of("java.nio.ByteBuffer").allocate(2**31 - 1)

    def test_a_second_retriever_gets_no_more_memory_than_the_first(self, java_of: Any) -> None:
        assert Java(find_engine(), 50_000).memory == java_of.memory < 50_000


@pytest.fixture
def java_of(store_of: StoreOf, tmp_path: Path) -> Any:
    found = retriever()
    found.index(store_of(PASSAGES[:20]), tmp_path / "for-java", Meter())
    return found._java


def hurt(folder: Path, harm: str) -> None:
    file = max((folder / "index").glob("*.cfs"), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif harm == "cut":
        file.write_bytes(content[:-7])
    elif harm == "remove":
        file.unlink()
    elif harm == "swap":
        file.write_bytes(bytes(len(content)))
    elif harm == "another commit":
        (folder / "index" / "segments_zz").write_bytes(b"newer than the one that was written")
    else:
        (folder / "manifest.json").write_text("{")


PROGRAM = """
import sys
from pathlib import Path
import convbench.retrieval.lucene_build as build
from convbench.datasets.store import ArrowPassageStore
from convbench.errors import ConvbenchError
from convbench.meter import Meter
from convbench.retrieval.lucene import LuceneConfig, LuceneRetriever
build._READ, build._COMMIT = 20, 200
if __name__ == "__main__":
    found = LuceneRetriever(LuceneConfig(k1=0.9, b=0.4, memory=int(sys.argv[3]), threads=1))
    print("begin", flush=True)
    try:
        meter = Meter()
        found.index(ArrowPassageStore(Path(sys.argv[1])), Path(sys.argv[2]), meter)
        print(*meter.take()["phases"])
    except KeyboardInterrupt:
        print("stopped")
        sys.exit(130)
    except ConvbenchError as error:
        print(error)
        sys.exit(error.exit_code)
"""


def started(store: Any, cache: Path, memory: int = 256, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(store.folder), str(cache), str(memory)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | environment)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_killed_at_random_moments_it_ends_with_the_same_rankings(store_of: StoreOf, tmp_path: Path, sent: signal.Signals) -> None:
    chance = random.Random(3)
    store = store_of([Passage(f"p {n}", " ".join(chance.choices(WORDS.split(), k=80))) for n in range(20_000)])
    for _ in range(4):
        process = started(store, tmp_path / "killed")
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0.4, 2.5))
        process.send_signal(sent)
        output, _ = process.communicate(timeout=60)
        if sent == signal.SIGINT and process.returncode != 0:
            assert (process.returncode, output.strip()) == (130, "stopped")
    assert started(store, tmp_path / "killed").wait(timeout=120) == 0
    assert rankings(store, tmp_path / "killed") == rankings(store, tmp_path / "whole")


@pytest.mark.slow
def test_two_processes_build_one_index(store_of: StoreOf, tmp_path: Path) -> None:
    chance = random.Random(4)
    store = store_of([Passage(f"p {n}", " ".join(chance.choices(WORDS.split(), k=80))) for n in range(10_000)])
    processes = [started(store, tmp_path / "cache") for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(output.split()[-1] for output in outputs) in (
        ["begin", "index"],
        ["index", "it"],
    )  # one built, with or without the other waiting
    assert rankings(store, tmp_path / "cache") == rankings(store, tmp_path / "whole")


def test_java_says_nothing_and_a_start_that_fails_is_one_line(store_of: StoreOf, tmp_path: Path) -> None:
    store = store_of(PASSAGES)
    process = started(store, tmp_path / "cache")
    assert process.communicate(timeout=60)[0] == "begin\nindex\n"
    process = started(store, tmp_path / "cache", memory=10**9)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 2
    assert "lucene: retriever.memory is 1000000000 MB, and this machine has" in output


@pytest.mark.parametrize("spoken", ["C", "C.UTF-8", ""])
def test_any_name_of_a_folder_in_any_locale(store_of: StoreOf, tmp_path: Path, spoken: str) -> None:
    process = started(store_of(PASSAGES), tmp_path / "Ünï 東京 😀", LC_ALL=spoken, LC_CTYPE=spoken, LANG=spoken)
    assert process.communicate(timeout=60)[0] == "begin\nindex\n"


def test_starting_java_changes_neither_environment_nor_locale(tmp_path: Path) -> None:
    program = """
import locale, os
from convbench.retrieval.lucene_engine import find_engine
from convbench.retrieval.lucene_java import Java
before = dict(os.environ), locale.setlocale(locale.LC_ALL)
Java(find_engine(), 128)
assert (dict(os.environ), locale.setlocale(locale.LC_ALL)) == before
assert locale.localeconv()["decimal_point"] == "."
"""
    for spoken in ("C", "C.UTF-8", "de_DE.UTF-8"):
        done = subprocess.run([sys.executable, "-c", program], env=os.environ | {"LC_ALL": spoken}, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_errors_of_java_are_ours(java_of: Any, tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"lucene: .*: java\.lang\.NumberFormatException: For input"), java_of.errors(tmp_path):
        java_of("java.lang.Integer").parseInt("x")


def test_rows_are_lucene_numbers_after_all_merges(store_of: StoreOf, tmp_path: Path, small_steps: None) -> None:
    passages = [Passage(f"p{n}", f"only{n} shared") for n in range(1500)]
    found = retriever()
    found.index(store_of(passages), tmp_path, Meter())
    leaves = found._index._searcher.getIndexReader().leaves()
    assert 1 < len(leaves) < 25  # of 30 commits
    assert [search(found, [("1_1", f"only{n}")], 2)[0].passages[0][0] for n in range(0, 1500, 7)] == [f"p{n}" for n in range(0, 1500, 7)]


RUN = ("-d", "topiocqa", "--split", "dev", "--metrics", "retrieval", "--offline")


def measured(real_data: Path, out: Path, *settings: str) -> tuple[float, dict[str, list[str]]]:
    """nDCG@3 of the human rewrites on the sample of TopiOCQA, and what was found for each turn."""
    sample = real_data / "topiocqa"
    paths = (
        "--data",
        sample / "hub",
        "--corpus",
        sample / "corpus" / "full_wiki_segments.sample.tsv",
        "--rewrites",
        sample / "hub" / "rewrites.jsonl",
    )
    succeed("run", "bm25-rewrite", *RUN, *paths, *settings, "--out", out, "--cache", out.parent / "cache")
    results = json.loads((out / "results.json").read_text())
    found: dict[str, list[str]] = {}
    for line in (out / "retrieval.trec").read_text().splitlines():
        turn_id, _, passage_id, *_ = line.split()
        found.setdefault(turn_id, []).append(passage_id)
    return next(metric["value"] for metric in results["metrics"] if metric["name"] == "nDCG@3"), found


@pytest.mark.slow
def test_on_the_sample_of_topiocqa_it_is_as_good_as_bm25s(real_data: Path, tmp_path: Path) -> None:
    score, expected = measured(real_data, tmp_path / "bm25s")
    lucene = ("--set", "retriever.type=lucene", "--set", "retriever.memory=256")
    for name, more, difference, overlap in (
        ("english", (), 0.01, 0.95),
        ("own", ("--set", "retriever.analyzer.stemmer=english"), 0.003, 0.99),  # the words are the same; lengths are rounded
    ):
        other, found = measured(real_data, tmp_path / name, *lucene, *more)
        assert abs(other - score) < difference
        shared = [len(set(expected[turn][:10]) & set(found[turn][:10])) / len(expected[turn][:10]) for turn in expected]
        assert np.mean(shared) > overlap
        assert found != expected
