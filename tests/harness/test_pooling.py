"""Pools that systems make, runs on them, and what keeps the two collections apart."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path

import pytest
from command_line import MINI, convbench, fork, succeed

from convbench.datasets.collection import prepare_store
from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.datasets.pool import MANIFEST, PASSAGES, read_pool
from convbench.harness.finished import load_run
from convbench.harness.folder import RunFolder
from convbench.harness.results import read_results
from convbench.io.jsonl import read_jsonl

METRICS = ("--metrics", "retrieval", "--offline")
SYSTEMS = ("bm25-history", "bm25-query")
SEARCHED = ("data", "pool", "topiocqa", "--offline", *(word for name in SYSTEMS for word in ("--system", name)))
USAGE, MISSING, DATA = 2, 4, 3


def bytes_of(folder: Path) -> tuple[bytes, bytes]:
    return (folder / MANIFEST).read_bytes(), (folder / PASSAGES).read_bytes()


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Runs on a whole collection, the pool that two of them make, and a run on it."""
    root = tmp_path_factory.mktemp("pooling")
    succeed("run", *SYSTEMS, "-d", "topiocqa", "--out", root / "full", *METRICS)
    succeed(*SEARCHED, "--depth", 1, "--out", root / "pool")
    succeed("run", "bm25-rewrite", "-d", "topiocqa", "--corpus", root / "pool", "--out", root / "run", *METRICS)
    return root


@pytest.fixture
def runs(made) -> list[Path]:
    return [made / "full" / "topiocqa" / name for name in SYSTEMS]


def given(runs: list[Path]) -> list[object]:
    return [word for run in runs for word in ("--run", run)]


def test_what_two_systems_rank_first_and_gold(made, runs):
    turns = set(open_dataset(DatasetRequest("topiocqa")).retrieval_turns().ids)
    ranked = {
        id_ for run in runs for turn_id, record in load_run(run).records.items() if turn_id in turns for id_, _ in record.passages[:1]
    }
    dataset = open_dataset(DatasetRequest("topiocqa"))
    gold = {id_ for grades in dataset.adapter.qrels().values() for id_ in grades}
    pool = read_pool(made / "pool")
    assert {passage.id for passage in pool.collection().passages()} == gold | ranked
    assert len(gold) < pool.manifest.passages < pool.manifest.full.passages
    assert pool.manifest.names == list(SYSTEMS)
    assert pool.manifest.systems[0].conditions["history"]["view"] == "full"
    assert "search" in pool.manifest.systems[0].stages


def test_runs_give_the_pool_that_a_search_gives(made, runs, tmp_path):
    summary = succeed("data", "pool", "topiocqa", *given(runs), "--depth", 1, "--out", tmp_path / "pool", "--json").json
    assert (tmp_path / "pool" / PASSAGES).read_bytes() == (made / "pool" / PASSAGES).read_bytes()
    assert summary["passages"] == read_pool(made / "pool").manifest.passages
    assert summary["run"].endswith(f"--split mini --corpus {tmp_path / 'pool'}")
    again = succeed("data", "pool", "topiocqa", *given(runs), "--depth", 1, "--out", made / "pool")  # the runs had a responder, too
    assert f"pool               {made / 'pool'}" in again.out.splitlines()


def test_a_second_search_finds_everything_and_another_cache_gives_the_same_bytes(made, tmp_path):
    whole = bytes_of(made / "pool")
    succeed(*SEARCHED, "--depth", 1, "--out", made / "pool")
    assert bytes_of(made / "pool") == whole
    succeed(*SEARCHED, "--depth", 1, "--out", tmp_path / "pool", "--cache", tmp_path / "cache")
    assert bytes_of(tmp_path / "pool") == whole


def test_an_interrupted_search_goes_on_where_it_stopped(made, tmp_path):
    command = (*SEARCHED, "--depth", 1, "--out", tmp_path / "pool", "--cache", tmp_path)
    succeed(*command)
    stages = min((tmp_path / "pooling").glob("*/stages"))
    key = json.loads((stages / "search.manifest.json").read_text(encoding="utf-8"))["key"]
    whole = (stages / "search.jsonl").read_bytes()
    (stages / f"search.{key[:16]}.part").write_bytes(whole[: len(whole) // 2])
    (stages / "search.jsonl").unlink()
    (stages / "search.manifest.json").unlink()
    shutil.rmtree(tmp_path / "pool")
    succeed(*command)
    assert (stages / "search.jsonl").read_bytes() == whole
    assert bytes_of(tmp_path / "pool") == bytes_of(made / "pool")


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["pooling/*/stages/search.*.part", "pooling/*/stages/search.manifest.json", "pool/.pool.jsonl.*.tmp"])
def test_killed_and_continued_on_the_sample(real_data, tmp_path, moment):
    root = real_data / "topiocqa"
    where = ("--data", root / "hub", "--split", "dev", "--corpus", root / "corpus" / "full_wiki_segments.sample.tsv", "--offline")
    command = ("data", "pool", "topiocqa", *where, "--system", "bm25-query", "--system", "bm25-queries", "--depth", 5)
    succeed(*command, "--out", tmp_path / "whole", "--cache", tmp_path / "undisturbed")
    disturbed = (*command, "--out", tmp_path / "pool", "--cache", tmp_path)
    process = fork(tmp_path / "log", *disturbed)
    while process.is_alive() and not any(tmp_path.glob(moment)):
        time.sleep(0.0005)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL, (tmp_path / "log").read_text(encoding="utf-8")
    assert not (tmp_path / "pool" / MANIFEST).exists()
    succeed(*disturbed)
    assert bytes_of(tmp_path / "pool") == bytes_of(tmp_path / "whole")
    assert [path.name for path in tmp_path.rglob("*") if path.name.endswith((".part", ".tmp"))] == []


def test_a_second_search_at_once_is_told_to_wait(made, tmp_path):
    succeed(*SEARCHED, "--depth", 1, "--out", tmp_path / "pool", "--cache", tmp_path)
    folder = min((tmp_path / "pooling").iterdir())
    with RunFolder(folder).locked():
        refused = convbench(*SEARCHED, "--depth", 1, "--out", tmp_path / "other", "--cache", tmp_path)
    assert refused.code == USAGE
    assert refused.error.endswith("for a pool of the same turns and collection: wait for it")
    assert "--out" not in refused.error


def test_a_run_says_that_it_searched_a_pool(made):
    pool, run = read_pool(made / "pool"), made / "run"
    dataset = open_dataset(DatasetRequest("topiocqa", corpus=made / "pool"))
    store = prepare_store(dataset, dataset.collection(), made / "cache")
    expected = {"full_sha256": pool.manifest.full.sha256, "full_passages": 68, "systems": list(SYSTEMS), "depth": 1}
    expected |= {"gold_sha256": pool.manifest.gold.sha256}
    _, header = next(read_jsonl(run / "turns.jsonl"))
    assert header["collection"] == {"origin": "pooled", "sha256": store.sha256, "passages": pool.manifest.passages, "pool": expected}
    results = read_results(run / "results.json")
    assert (results.dataset.tier, results.dataset.collection_sha256) == ("pooled", store.sha256)
    assert results.dataset.pool is not None
    assert results.dataset.pool.model_dump() == expected
    assert any("searched a pool" in warning and "no result on the full collection" in warning for warning in results.warnings)
    text = (run / "report.md").read_text(encoding="utf-8")
    assert "pool of a larger collection" in text
    assert f"pooled from collection {pool.manifest.full.sha256[:12]}" in text
    for name in ("report.md", "report.html"):
        assert "gold passages and the top 1 of bm25-history and bm25-query, out of 68 passages" in (run / name).read_text(encoding="utf-8")


def test_runs_on_a_whole_collection_say_nothing_of_pools(made):
    _, header = next(read_jsonl(made / "full" / "topiocqa" / "bm25-query" / "turns.jsonl"))
    assert set(header["collection"]) == {"origin", "sha256", "passages"}
    assert read_results(made / "full" / "topiocqa" / "bm25-query" / "results.json").dataset.pool is None


def test_one_report_over_both_has_a_table_each(made, runs, tmp_path):
    from convbench.report.tables import dataset_tables

    results = [read_results(run / "results.json") for run in (*runs, made / "run")]
    tables = dataset_tables(results)
    assert [[row.system for row in table.rows] for table in tables] == [list(SYSTEMS), ["bm25-rewrite"]]
    same_passages = results[2].model_copy(
        update={"dataset": results[0].dataset.model_copy(update={"tier": "pooled", "pool": results[2].dataset.pool})}
    )
    assert len(dataset_tables([results[0], same_passages])) == 2  # a pool may hold every passage of its collection


def test_a_run_does_not_go_on_with_another_collection(made, tmp_path):
    shutil.copytree(made / "run", tmp_path / "run")
    finished = convbench("run", "bm25-rewrite", "-d", "topiocqa", "--out", tmp_path / "run", *METRICS)
    assert finished.code == USAGE
    assert "holds another run" in finished.error
    assert "pooled" in finished.error


def test_a_plan_names_it(made):
    plan = succeed("run", "bm25-query", "-d", "topiocqa", "--corpus", made / "pool", "--dry-run", "--out", made / "planned").out
    assert f"collection  pooled: {MANIFEST}, {PASSAGES}" in plan


class TestRefused:
    def refused(self, *arguments: object) -> str:
        finished = convbench("data", "pool", "topiocqa", "--offline", *arguments)
        assert finished.code in (USAGE, DATA, MISSING), finished.err
        return finished.error

    def test_systems_and_runs_together(self, runs):
        assert "--system and --run both say who makes the pool" in self.refused("--system", "bm25-query", "--run", runs[0])

    @pytest.mark.parametrize("part", [("--limit", 2), ("--conversations", "held-out:3:tiny")])
    def test_a_part_of_the_split(self, part):
        assert "a pool is made for a whole split" in self.refused("--system", "bm25-query", *part)

    def test_a_pool_of_a_pool(self, made):
        assert "is a pool itself: name the full collection" in self.refused("--system", "bm25-query", "--corpus", made / "pool")

    def test_a_run_on_a_pool(self, made):
        assert "its collection is" in self.refused("--run", made / "run", "--depth", 1)

    def test_the_gold_passages_alone(self, tmp_path):
        shutil.copy(MINI / "topiocqa" / "topiocqa_mini.jsonl", tmp_path / "topiocqa_dev.jsonl")
        assert "no corpus file is at hand, only the gold passages" in self.refused("--data", tmp_path, "--system", "bm25-query")

    def test_a_system_that_does_not_search(self):
        message = self.refused("--system", "bm25-query", "--system", "oracle")
        assert "--system oracle: a system of kind 'oracle' does not search" in message

    def test_a_name_that_nobody_has(self):
        assert "Did you mean 'bm25-query'" in self.refused("--system", "bm25-qery")

    def test_a_run_that_is_not_deep_enough(self, tmp_path):
        succeed("run", "bm25-query", "-d", "topiocqa", "--set", "k=3", "--out", tmp_path / "run", *METRICS)
        message = self.refused("--run", tmp_path / "run", "--depth", 4, "--out", tmp_path / "pool")
        assert "keeps 3 passages a turn, fewer than --depth 4" in message
        assert not (tmp_path / "pool").exists()

    def test_one_system_twice(self, runs, tmp_path):
        shutil.copytree(runs[0], tmp_path / "copy")
        assert "have the same name" in self.refused("--run", runs[0], "--run", tmp_path / "copy", "--depth", 1)

    def test_runs_of_another_dataset(self, tmp_path):
        succeed("run", "bm25-query", "-d", "inscit", "--out", tmp_path / "run", *METRICS)
        assert "its dataset is 'inscit', and 'topiocqa' is pooled" in self.refused("--run", tmp_path / "run")

    def test_no_run(self, tmp_path):
        assert "no finished run here" in self.refused("--run", tmp_path)

    def test_a_run_without_rankings(self, tmp_path):
        finished = convbench("data", "pool", "topiocqa", "--run", self._foreign(tmp_path), "--depth", 1)
        assert "the run has no rankings of turns of topiocqa" in finished.error

    def _foreign(self, tmp_path: Path) -> Path:
        turns = [turn.id for turn in open_dataset(DatasetRequest("topiocqa")).turns]
        lines = [json.dumps({"turn_id": turn_id, "response": "yes"}) for turn_id in turns]
        (tmp_path / "foreign.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        succeed("run", tmp_path / "foreign.jsonl", "-d", "topiocqa", "--out", tmp_path / "run", "--metrics", "token-f1", "--offline")
        return tmp_path / "run"


class TestTheFolder:
    """What a pool may not be put into is refused before anything is searched."""

    @pytest.fixture
    def corpus(self, tmp_path) -> Path:
        (tmp_path / "corpus").mkdir()
        return Path(shutil.copy(MINI / "topiocqa" / "full_wiki_segments.tsv", tmp_path / "corpus"))

    @pytest.fixture
    def refused(self, corpus, tmp_path):
        def refused(out: Path, *more: object, system: str = "bm25-query") -> str:
            cache = ("--cache", tmp_path / "cache", "--offline")
            finished = convbench("data", "pool", "topiocqa", "--corpus", corpus, "--system", system, "--out", out, *cache, *more)
            assert finished.code == USAGE
            assert not (tmp_path / "cache" / "pooling").exists()
            return finished.error

        return refused

    @pytest.mark.parametrize("part", [".", ".."])
    def test_of_the_corpus(self, refused, corpus, part):
        out = corpus.parent / part
        assert "holds full_wiki_segments.tsv, which the pool is made of" in refused(out)
        assert [path.name for path in corpus.parent.iterdir()] == [corpus.name]

    def test_that_is_a_file(self, refused, corpus):
        assert "is a file; expected a folder for the pool" in refused(corpus)

    def test_with_a_file_of_the_same_name(self, refused, tmp_path):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / PASSAGES).write_text("mine")
        assert "no pool was begun here" in refused(tmp_path / "mine")
        assert (tmp_path / "mine" / PASSAGES).read_text() == "mine"

    def test_with_another_pool(self, refused, made):
        assert "its depth differ (1 there, 2 here)" in refused(made / "pool", "--depth", 2)
        assert "its systems differ (['bm25-history', 'bm25-query'] there, ['bm25-query'] here)" in refused(made / "pool", "--depth", 1)


def test_another_collection_than_that_of_the_judgements_is_refused(tmp_path):
    corpus = tmp_path / "full_wiki_segments.tsv"
    corpus.write_text("id\ttext\ttitle\n9999999\tNobody judged this passage.\tOther [SEP] Topic\n", encoding="utf-8")
    wrong = ("--corpus", corpus, "--system", "bm25-query", "--depth", 1, "--out", tmp_path / "pool", "--offline")
    finished = convbench("data", "pool", "topiocqa", *wrong)
    assert "none of the 50 judged passages is in this collection of 1 passages" in finished.error
    assert not (tmp_path / "pool").exists()


def test_gold_that_the_collection_lacks_is_told(tmp_path):
    lines = (MINI / "topiocqa" / "full_wiki_segments.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "full_wiki_segments.tsv").write_text("".join(lines[:40]), encoding="utf-8")
    some = ("--corpus", tmp_path / "full_wiki_segments.tsv", "--system", "bm25-query", "--depth", 1, "--out", tmp_path / "pool")
    found = succeed("data", "pool", "topiocqa", *some, "--offline", "--json")
    assert found.json["gold_missing"] > 0
    assert found.json["gold_passages"] + found.json["gold_missing"] == 50
    assert f"{found.json['gold_missing']} of 50 judged passages are not in the full collection" in found.err


def test_whatever_the_folder_is_called_a_line_stays_a_line(tmp_path):
    out = tmp_path / "a\nb  \x1b[31m"
    shown = succeed("data", "pool", "topiocqa", "--system", "bm25-query", "--depth", 1, "--out", out, "--offline")
    assert shown.out.splitlines()[0] == f"pool               {tmp_path}/a\\nb  \\x1b[31m"
    assert len(shown.out.splitlines()) == 13
    assert "\x1b" not in shown.out
    again = succeed("data", "prepare", "topiocqa", "--corpus", out, "--json")
    assert again.json["collection"] == "pooled"


def test_other_reading_options_are_another_pool_in_the_cache(tmp_path):
    made_by = ("data", "pool", "qrecc", "--system", "bm25-query", "--depth", 1, "--cache", tmp_path, "--offline", "--json")
    usual = succeed(*made_by).json
    assert succeed(*made_by, "--option", "first-question=asked").json["pool"] == usual["pool"]
    other = succeed(*made_by, "--option", "first-question=rewrite").json
    assert other["pool"] == f"{usual['pool']}-first-question=rewrite"
    assert "--option first-question=rewrite" in other["run"]


@pytest.mark.slow
def test_dense_systems_that_made_a_pool_score_on_it_as_on_everything(minilm, real_data, tmp_path):
    """Their scores do not depend on the collection, and down to the depth every passage that they rank is in the pool."""
    data = _few_conversations(real_data, tmp_path / "data", 3)
    whole = (real_data / "topiocqa" / "corpus" / "full_wiki_segments.sample.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    gold = {json.loads(line)["Gold_passage"]["id"] for line in (data / "topiocqa_valid.jsonl").read_text(encoding="utf-8").splitlines()}
    corpus = tmp_path / "full_wiki_segments.tsv"
    kept = [line for place, line in enumerate(whole) if place % 8 == 0 or line.partition("\t")[0] in gold]
    corpus.write_text("".join(kept), encoding="utf-8")
    where = ("--data", data, "--split", "dev", "--corpus")
    rest = ("-d", "topiocqa", "--set", "k=2", "--set", "generator=null", *METRICS)
    succeed("run", "minilm-query", "minilm-queries", *rest, *where, corpus, "--out", tmp_path / "full")
    full = tmp_path / "full" / "topiocqa"
    made_by = ("--run", full / "minilm-queries", "--depth", 2)
    summary = succeed("data", "pool", "topiocqa", *where, corpus, *made_by, "--out", tmp_path / "pool", "--json").json
    assert summary["passages"] < summary["full_passages"]
    succeed("run", "minilm-query", "minilm-queries", *rest, *where, tmp_path / "pool", "--out", tmp_path / "pooled")
    pooled = tmp_path / "pooled" / "topiocqa"
    for turn_id, record in load_run(full / "minilm-queries").records.items():
        ours = load_run(pooled / "minilm-queries").records[turn_id]
        assert [id_ for id_, _ in ours.passages] == [id_ for id_, _ in record.passages]
    maker, other = (
        [load_run(root / name).scores["convgqr-line", "nDCG@3"] for root in (full, pooled)] for name in ("minilm-queries", "minilm-query")
    )
    assert maker[0] == maker[1]
    assert all(other[1][turn_id] >= value for turn_id, value in other[0].items())
    assert sum(other[1].values()) > sum(other[0].values())


def _few_conversations(real_data: Path, folder: Path, number: int) -> Path:
    """The first conversations of the sample: the gold passages of the others are what they are to be told from."""
    folder.mkdir()
    lines = (real_data / "topiocqa" / "hub" / "topiocqa_valid.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = list(dict.fromkeys(json.loads(line)["Conversation_no"] for line in lines))[:number]
    chosen = [line for line in lines if json.loads(line)["Conversation_no"] in kept]
    (folder / "topiocqa_valid.jsonl").write_text("".join(chosen), encoding="utf-8")
    return folder


def test_on_the_sample_a_pool_of_depth_5_is_smaller_and_systems_run_on_it(real_data, tmp_path):
    data = _few_conversations(real_data, tmp_path / "data", 6)
    where = ("--data", data, "--split", "dev", "--corpus", real_data / "topiocqa" / "corpus" / "full_wiki_segments.sample.tsv")
    made_by = ("--system", "bm25-queries", "--depth", 5, "--offline")
    summary = succeed("data", "pool", "topiocqa", *where, *made_by, "--out", tmp_path / "pool", "--json").json
    assert summary["gold_passages"] < summary["passages"] < summary["full_passages"] == 1142
    ran = ("run", "bm25-query", "-d", "topiocqa", *where[:4], "--corpus", tmp_path / "pool", "--out", tmp_path / "run")
    dataset = succeed(*ran, *METRICS, "--json").json[0]["dataset"]
    assert (dataset["tier"], dataset["passages"]) == ("pooled", summary["passages"])
