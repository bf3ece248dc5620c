"""What runs cost: logs that survive kills, sums over executions, and what results say of them."""

from __future__ import annotations

import json

import pytest
from command_line import convbench, succeed

from convbench.harness.costs import CostLog, added_up
from convbench.harness.provenance import machine
from convbench.harness.results import Cost, Machine, PhaseCost, ServerCost, Truncation, read_results
from convbench.harness.summary import truncation
from convbench.systems.oracle import GoldSearchStage
from convbench.types import TurnRecord

KEY, OTHER_KEY = "5e" * 32, "c0" * 32
MACHINE = {"device": None, "threads": 4, "processor": "Abacus 9", "platform": "Linux"}
RETRIEVAL = ("--metrics", "retrieval")


def taken(*, models=None, indexes=None, **phases):
    """What a meter gives."""
    return {"phases": phases, "models": models or {}, "indexes": indexes or {}}


def search(seconds, turns=2, **counts):
    return taken(search={"seconds": seconds, "turns": turns, **counts})


def log(folder, key=KEY) -> CostLog:
    return CostLog(folder, "search", key)


def written(folder) -> CostLog:
    """A log of an opening and three batches."""
    costs = log(folder)
    costs.opened(taken(open={"seconds": 1.0}), MACHINE)
    for number in range(3):
        costs.append(number, search(0.5, tokens_in=10 * number))
    return costs


# ---- the log


def test_lines_come_back(tmp_path):
    entries = written(tmp_path).entries()
    assert [entry["batch"] for entry in entries] == [None, 0, 1, 2]
    assert entries[0]["machine"] == MACHINE
    assert entries[2]["phases"] == {"search": {"seconds": 0.5, "turns": 2, "tokens_in": 10}}


def test_nothing_was_measured(tmp_path):
    costs = log(tmp_path)
    costs.resume()
    assert costs.entries() == []
    assert list(tmp_path.iterdir()) == []


def test_a_log_cut_at_any_byte_goes_on_after_its_last_whole_line(tmp_path):
    whole = written(tmp_path).entries()
    file = tmp_path / "search.cost.jsonl"
    content = file.read_bytes()
    for cut in range(len(content) + 1):
        file.write_bytes(content[:cut])
        kept = content[:cut].count(b"\n")
        assert log(tmp_path).entries() == whole[:kept], cut
        log(tmp_path).resume()
        log(tmp_path).append(7, search(9.0))
        assert [entry["batch"] for entry in log(tmp_path).entries()] == [*(entry["batch"] for entry in whole[:kept]), 7], cut


@pytest.mark.parametrize("junk", [b"\0" * 30, b"\0\n", b"[]\n", b"7\n", b"{}\n", b"\xff\xfe\n", b'{"key": 1}\n'])
def test_junk_that_a_crash_left_is_cut_off(tmp_path, junk):
    whole = written(tmp_path).entries()
    file = tmp_path / "search.cost.jsonl"
    content = file.read_bytes()
    file.write_bytes(content + junk)
    assert log(tmp_path).entries() == whole
    log(tmp_path).resume()
    assert file.read_bytes() == content


def test_of_a_batch_computed_twice_the_last_line_counts(tmp_path):
    costs = written(tmp_path)
    costs.append(1, search(0.125))
    assert added_up(costs.entries(), 6).phases[1] == PhaseCost(
        name="search", once=False, seconds=1.125, turns=6, ms_per_turn=187.5, tokens_in=20, tokens_out=0, forward_passes=0
    )


def test_openings_of_several_executions_add_up(tmp_path):
    costs = written(tmp_path)
    costs.opened(taken(open={"seconds": 2.0}), MACHINE)
    assert added_up(costs.entries(), 6).phases[0].seconds == 3.0


def test_lines_under_another_key_are_not_used_and_give_way(tmp_path):
    written(tmp_path)
    other = log(tmp_path, OTHER_KEY)
    assert other.entries() == []
    other.resume()
    other.append(0, search(0.25))
    assert [entry["phases"]["search"]["seconds"] for entry in log(tmp_path, OTHER_KEY).entries()] == [0.25]
    assert log(tmp_path).entries() == []


# ---- the sum


def entry(batch=0, **values):
    return {"batch": batch, **taken(**values)}


def test_models_and_indexes_count_once_by_name():
    cost = added_up([entry(models={"a": 10}, indexes={"x": 3}), entry(models={"a": 10, "b": 5}, indexes={"y": 4, "x": 3})], 1)
    assert (cost.parameters, cost.models) == (15, {"a": 10, "b": 5})
    assert (cost.index_bytes, cost.indexes) == (7, {"x": 3, "y": 4})


def test_what_is_apart_from_answering_turns_is_not_in_the_sums_per_turn():
    index = {"seconds": 9.0, "tokens_in": 1000, "forward_passes": 100}
    encode = {"seconds": 0.5, "turns": 4, "tokens_in": 20, "tokens_out": 3, "forward_passes": 1}
    generate = {"seconds": 0.25, "turns": 4, "tokens_in": 7, "tokens_out": 9, "forward_passes": 10}
    recall = {"seconds": 7.0, "forward_passes": 5}
    cost = added_up([entry(None, open={"seconds": 1.0}, index=index), entry(encode=encode, generate=generate, recall=recall)], 4)
    assert [(phase.name, phase.once, phase.ms_per_turn) for phase in cost.phases] == [
        ("open", True, None),
        ("index", True, None),
        ("encode", False, 125.0),
        ("generate", False, 62.5),
        ("recall", True, None),
    ]
    assert (cost.tokens_in, cost.tokens_out, cost.forward_passes) == (27, 12, 11)
    assert cost.phases[1].tokens_in == 1000


def test_time_per_turn_is_over_all_turns_of_the_run():
    """A phase that only some turns go through is cheap for the run, however long it takes for those."""
    assert added_up([entry(clarify={"seconds": 1.0, "turns": 2})], 10).phases[0].ms_per_turn == 100.0


def test_recall_of_an_approximate_index():
    found = added_up([entry(None, index={"seconds": 1.0, "recall_found": 9, "recall_of": 10})], 1).recall
    assert (found.found, found.of, found.value) == (9, 10, 0.9)
    none_found = added_up([entry(search={"seconds": 1.0, "recall_found": 0, "recall_of": 10})], 1).recall
    assert none_found.value == 0
    assert added_up([entry(search={"seconds": 1.0})], 1).recall is None


def test_the_machine_is_that_of_the_latest_execution_and_its_device_that_of_the_models():
    older = {**MACHINE, "threads": 2, "device": "Big GPU"}
    cost = added_up([{**entry(None), "machine": older}, entry(), {**entry(None), "machine": MACHINE}], 1)
    assert cost.environment == Machine(device="Big GPU", threads=4, processor="Abacus 9", platform="Linux")
    assert added_up([], 1).environment is None


@pytest.mark.parametrize(
    ("described", "device"),
    [
        ({"type": "gold"}, None),
        ({"k": 3, "retriever": {"encoder": {"device": "mps"}}}, "mps"),
        ({"stages": [["view", 1, {}], ["search", 1, {"encoder": {"device": "cpu"}}]]}, "cpu"),
        ({"device": None, "model": {"device": "cpu"}}, "cpu"),
    ],
)
def test_the_device_is_the_one_that_the_stage_describes(described, device):
    assert Machine(**machine(described)).device == device


# ---- runs


@pytest.fixture
def metered(monkeypatch):
    """The oracle with a search that costs something; counts its batches, and is interrupted at the batch ``fail``."""
    monkeypatch.setattr(GoldSearchStage, "batch_size", 10)
    original, done = GoldSearchStage.run, {"fail": None, "batches": 0}

    def open_stage(self, workplace):
        self.meter = workplace.meter
        with self.meter.phase("index"):
            self.meter.count(forward_passes=1000)
        self.meter.model("mini", 22)
        self.meter.index("flat", 64)

    def run(self, turns, upstream):
        done["batches"] += 1
        if done["batches"] == done["fail"]:
            raise KeyboardInterrupt
        with self.meter.phase("encode", turns=len(turns)):
            self.meter.count(tokens_in=3 * len(turns), forward_passes=1)
        return original(self, turns, upstream)

    monkeypatch.setattr(GoldSearchStage, "describe", lambda self: {"encoder": {"model": "mini", "device": "cpu"}})
    monkeypatch.setattr(GoldSearchStage, "open", open_stage)
    monkeypatch.setattr(GoldSearchStage, "run", run)
    return done


def cost_of(folder) -> Cost:
    return read_results(folder / "results.json").cost


def counts(cost):
    return {phase.name: (phase.turns, phase.tokens_in, phase.forward_passes) for phase in cost.phases}


def test_a_run_says_what_it_cost(metered, tmp_path):
    succeed("run", "oracle", "-d", "topiocqa", "--out", tmp_path, *RETRIEVAL)
    cost = cost_of(tmp_path)
    assert (cost.parameters, cost.models, cost.index_bytes, cost.indexes) == (22, {"mini": 22}, 64, {"flat": 64})
    assert (cost.turns, cost.tokens_in, cost.tokens_out, cost.forward_passes) == (56, 168, 0, 6)
    assert list(counts(cost)) == ["open", "index", "search", "encode", "generate"]
    assert counts(cost) == {
        "open": (0, 0, 0),
        "index": (0, 0, 1000),
        "search": (56, 0, 0),
        "encode": (56, 168, 6),
        "generate": (56, 0, 0),
    }
    assert all(phase.seconds > 0 for phase in cost.phases)
    assert cost.environment.device == "cpu"
    assert cost.environment.threads > 0
    assert cost.environment.processor


def test_an_interrupted_run_costs_what_a_whole_one_costs(metered, tmp_path):
    metered["fail"] = 4
    command = ("run", "oracle", "-d", "topiocqa", "--out", tmp_path, *RETRIEVAL)
    assert convbench(*command).code == 130
    kept = (tmp_path / "stages" / "search.cost.jsonl").read_bytes()
    assert kept.count(b"\n") == 1 + 3
    succeed(*command)
    cost = cost_of(tmp_path)
    assert (cost.tokens_in, cost.forward_passes) == (168, 6)
    assert counts(cost)["search"] == (56, 0, 0)
    assert counts(cost)["index"] == (0, 0, 2000), "the index was built in either execution here"
    assert (tmp_path / "stages" / "search.cost.jsonl").read_bytes().startswith(kept)


def test_a_batch_whose_rows_were_lost_counts_once(metered, tmp_path):
    metered["fail"] = 4
    command = ("run", "oracle", "-d", "topiocqa", "--out", tmp_path, *RETRIEVAL)
    convbench(*command)
    (part,) = tmp_path.glob("stages/search.*.part")
    lines = part.read_bytes().splitlines(keepends=True)
    part.write_bytes(b"".join(lines[:-1]))
    succeed(*command)
    assert counts(cost_of(tmp_path))["encode"] == (56, 168, 6)


def test_scoring_keeps_the_cost_and_the_same_command_again_keeps_every_byte(metered, tmp_path):
    command = ("run", "oracle", "-d", "topiocqa", "--out", tmp_path, *RETRIEVAL)
    succeed(*command)
    before = (tmp_path / "results.json").read_bytes()
    succeed(*command)
    assert (tmp_path / "results.json").read_bytes() == before
    succeed("score", tmp_path, "--metrics", "token-f1")
    assert cost_of(tmp_path) == Cost(**json.loads(before)["cost"])


def test_a_run_that_needs_no_model_says_so(tmp_path):
    succeed("run", "random", "-d", "topiocqa", "--out", tmp_path / "run", *RETRIEVAL)
    succeed("run", tmp_path / "run", "-d", "topiocqa", "--out", tmp_path / "replay", *RETRIEVAL)
    for name, stage in (("run", "search"), ("replay", "replay")):
        cost = cost_of(tmp_path / name)
        assert (cost.parameters, cost.models, cost.index_bytes, cost.tokens_in, cost.forward_passes) == (0, {}, 0, 0, 0)
        assert [(phase.name, phase.turns) for phase in cost.phases] == [("open", 0), (stage, 56)]
        assert cost.environment.device is None


def test_costs_that_are_gone_are_not_invented(tmp_path):
    command = ("run", "oracle", "-d", "topiocqa", "--out", tmp_path, *RETRIEVAL)
    succeed(*command)
    for path in tmp_path.glob("stages/*.cost.jsonl"):
        path.unlink()
    before = cost_of(tmp_path)
    succeed(*command)
    assert cost_of(tmp_path) == before  # as they were measured
    (tmp_path / "results.json").unlink()
    assert "cost.jsonl: no such file" in succeed(*command).err
    cost = cost_of(tmp_path)
    assert (cost.phases, cost.environment, cost.turns) == ([], None, 56)


# ---- truncation


def record(turn_id, **ledger):
    return TurnRecord(turn_id, ledger=ledger)


def test_truncated_turns_are_counted_by_what_was_cut():
    records = [
        record("1_1", truncated={}),
        record("1_2", truncated={"history": ["1_1"]}),
        record("1_3", truncated={"query_tokens": 7, "history": ["1_1", "1_2"]}),
        record("2_1", truncated={}),
    ]
    expected = Truncation(n_turns=4, n_truncated=2, share=0.5, by={"history": 2, "query_tokens": 1})
    assert truncation(records) == expected
    assert truncation(reversed(records)).model_dump_json() == expected.model_dump_json(), "whatever the order"


@pytest.mark.parametrize("ledger", [{}, {"truncated": None}, {"truncated": "yes"}])
def test_runs_that_do_not_say_what_was_cut(ledger):
    assert truncation([record("1_1", **ledger)]) == Truncation(n_turns=0, n_truncated=0, share=None, by={})


def test_results_say_how_many_turns_were_truncated(tmp_path):
    """Here of a run that another tool made, with a ledger like ours."""
    lines = [{"turn_id": "1_1", "ledger": {"truncated": {"passages": 2}}}, {"turn_id": "1_2", "ledger": {"truncated": {}}}]
    path = tmp_path / "theirs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    succeed("run", path, "-d", "topiocqa", "--out", tmp_path / "run", *RETRIEVAL)
    found = read_results(tmp_path / "run" / "results.json").truncation
    assert found == Truncation(n_turns=2, n_truncated=1, share=0.5, by={"passages": 1})
    assert "50.0 % of turns truncated (passages: 1)" in (tmp_path / "run" / "report.md").read_text(encoding="utf-8")


def test_what_servers_were_asked_adds_up_with_its_price():
    def entry(number, **counts):
        return {"batch": number, "models": {}, "indexes": {}, "phases": {"generate": {"seconds": 1.0, "turns": 2, **counts}}}

    asked = [entry(0, requests=3, cached_requests=1, micro_cost=1_500_000), entry(1, requests=1, micro_cost=250_000)]
    assert added_up(asked, 4).server == ServerCost(requests=4, cached_requests=1, price=1.75)
    assert added_up([entry(0, tokens_in=7)], 2).server is None
