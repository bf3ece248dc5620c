"""Self-agreement: its values are those of plain forward passes over the prompts of the run, and the file is the run's."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from backends.checkpoints import make_causal
from backends.small import folder_of
from command_line import convbench, succeed

from convbench.backends.loaded import Loaded, load
from convbench.backends.placement import ModelConfig
from convbench.datasets.loading import DatasetRequest, open_dataset
from convbench.datasets.selection import Selection
from convbench.errors import DataError, MissingFileError, UsageError
from convbench.harness.agreement_file import RunAgreement, read_agreement
from convbench.harness.finished import load_run
from convbench.systems.self_agreement import gold_response, rank_correlation
from convbench.types import Passage, Reference, Turn
from convbench.views.passages import passage_title

RUN = ("-d", "topiocqa", "--limit", 2, "--metrics", "retrieval", "--offline")
SHORT = ("--profile", "decoder", "--set", "decoding.max_new_tokens=6")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished unified run with its agreement; tests only read it, or copy it."""
    folder = tmp_path_factory.mktemp("agreement") / "run"
    succeed("run", folder_of("llama"), *RUN, *SHORT, "--out", folder)
    succeed("agree", folder, "--offline")
    return folder


@pytest.fixture(scope="module")
def model() -> Loaded:
    return load(ModelConfig(model=str(folder_of("llama")), profile="decoder"), "decoder", offline=True)


def copied(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder, tmp_path / "run")
    return tmp_path / "run"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def prompt(loaded: Loaded, session: str, passage: Passage) -> list[int]:
    """The prompt as docs/unified.md shows it, written by hand; passages of the mini set fit."""
    form = loaded.form
    evidence = f"passage 1: {passage_title(passage)}\n{passage.text}\n"
    return [*form.opening, *form.ids(session), *form.ids(evidence), *form.ids("agent:")]


def plain(loaded: Loaded, tokens: Sequence[int], response: Sequence[int]) -> float:
    whole = torch.tensor([[*tokens, *response]])
    with torch.inference_mode():
        chances = torch.log_softmax(loaded.model(input_ids=whole, attention_mask=torch.ones_like(whole)).logits[0].float(), dim=-1)
    return sum(float(chances[len(tokens) + place - 1, token]) for place, token in enumerate(response)) / len(response)


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Of values without ties: 1 - 6 Σ d² / n (n² - 1)."""
    ranks = [[sorted(values).index(value) for value in values] for values in (first, second)]
    n = len(first)
    return 1 - 6 * sum((one - other) ** 2 for one, other in zip(*ranks, strict=True)) / (n * (n * n - 1))


@pytest.mark.parametrize("response", ["own", "gold"])
@pytest.mark.parametrize("history", ["full", "full-own", "rewrite"])
def test_the_values_are_those_of_plain_forward_passes(model: Loaded, history: str, response: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    succeed("run", folder_of("llama"), *RUN, *SHORT, "--history", history, "--out", out)
    succeed("agree", out, "--k", 4, "--response", response, "--offline")
    found = read_agreement(out / f"agreement-{response}.jsonl")
    run = load_run(out)
    assert run.store is not None
    assert list(found.turns) == list(run.records)
    references = {turn.id: gold_response(turn, None) for turn in run.dataset.turns}
    cue, checked = model.form.ids("agent:"), 0
    for turn_id, turn in found.turns.items():
        record = run.records[turn_id]
        text = record.response if response == "own" else references[turn_id]
        assert [(id_, score) for id_, score, _ in turn.passages] == list(record.passages[:4])
        answer = model.form.ids(f"agent: {text}")[len(cue) :][:6]
        prompts = [prompt(model, record.query, passage) for passage in run.store.get([id_ for id_, _, _ in turn.passages])]
        if not all(len(tokens) < 500 for tokens in prompts):  # passages were cut
            continue
        values = [plain(model, tokens, answer) for tokens in prompts]
        assert [value for _, _, value in turn.passages] == pytest.approx(values, abs=1e-4)
        assert turn.rank_correlation == pytest.approx(spearman([score for _, score, _ in turn.passages], values))
        assert turn.top1 == (values[0] == max(values))
        checked += 1
    assert checked > 5


def test_the_summary_is_the_mean_over_turns(finished: Path) -> None:
    found = read_agreement(finished / "agreement-own.jsonl")
    shown = succeed("agree", finished, "--offline", "--json").json
    correlations = [turn.rank_correlation for turn in found.turns.values() if turn.rank_correlation is not None]
    assert shown["rank_correlation"]["value"] == pytest.approx(sum(correlations) / len(correlations))
    assert shown["top1"]["value"] == pytest.approx(sum(turn.top1 is True for turn in found.turns.values()) / len(correlations))
    assert (shown["rank_correlation"]["n_turns"], shown["k"], shown["response"]) == (len(correlations), 5, "own")
    said = succeed("agree", finished, "--offline").out
    assert f"rank correlation  {shown['rank_correlation']['value']:.3f}" in said
    assert f"n = {len(correlations)} turns in 2 conversations" in said
    assert said.endswith(f"agreement: {finished / 'agreement-own.jsonl'}\n")


def test_the_header_says_what_it_is_of(finished: Path) -> None:
    header, *rows = lines(finished / "agreement-own.jsonl")
    assert header.pop("model")["files"]
    assert header == {"schema": "convbench.agreement/1", "k": 5, "response": "own", "run_sha256": load_run(finished).results.run_sha256}
    assert all(len(row["passages"]) == 5 for row in rows)
    assert succeed("validate", finished).code == 0


def test_the_same_command_again_computes_nothing(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (finished / "agreement-own.jsonl").read_bytes()
    monkeypatch.setattr("convbench.backends.encoder.load", lambda *_, **__: pytest.fail("a model was loaded"))
    succeed("agree", finished, "--offline")
    assert (finished / "agreement-own.jsonl").read_bytes() == before


def test_another_depth_takes_the_place_of_the_first(finished: Path, tmp_path: Path) -> None:
    folder = copied(finished, tmp_path)
    succeed("agree", folder, "--k", 3, "--offline")
    shorter, whole = (read_agreement(path / "agreement-own.jsonl") for path in (folder, finished))
    assert shorter.k == 3
    for turn_id, turn in shorter.turns.items():
        expected = [value for _, _, value in whole.turns[turn_id].passages[:3]]
        assert [value for _, _, value in turn.passages] == pytest.approx(expected, abs=1e-5)


def test_an_interrupted_one_goes_on(finished: Path, tmp_path: Path) -> None:
    folder = copied(finished, tmp_path)
    stages = folder / "stages"
    manifest = json.loads((stages / "agreement-own.manifest.json").read_text(encoding="utf-8"))
    rows = (stages / "agreement-own.jsonl").read_bytes().splitlines(keepends=True)
    first = [row for row in rows if json.loads(row)["turn_id"].startswith("1_")]
    (stages / f"agreement-own.{manifest['key'][:16]}.part").write_bytes(b"".join(first) + rows[len(first)][:20])
    for name in ("agreement-own.jsonl", "agreement-own.manifest.json"):
        (stages / name).unlink()
    (folder / "agreement-own.jsonl").unlink()
    ended = succeed("agree", folder, "--offline")
    assert f"agreement-own: going on after {len(first)} of {len(rows)} turns" in ended.err
    assert (folder / "agreement-own.jsonl").read_bytes() == (finished / "agreement-own.jsonl").read_bytes()


def test_turns_without_an_order_say_why(tmp_path: Path) -> None:
    succeed("run", folder_of("llama"), *RUN, *SHORT, "--set", "k=1", "--out", tmp_path / "run")
    shown = succeed("agree", tmp_path / "run", "--offline", "--json").json
    assert shown["rank_correlation"] == {"value": None, "interval": None, "n_turns": 0, "n_conversations": 0}
    assert shown["without"].keys() <= {"fewer than two passages were retrieved", "no response"}
    assert "fewer than two passages were retrieved" in succeed("agree", tmp_path / "run", "--offline").out
    found = read_agreement(tmp_path / "run" / "agreement-own.jsonl")
    assert {(turn.rank_correlation, turn.top1, turn.passages) for turn in found.turns.values()} == {(None, None, ())}


def test_a_passage_that_has_no_room_gives_no_order(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({"closing": ["</s>"], "lengths": {"evidence": 8}}), encoding="utf-8")
    succeed("run", folder_of("llama"), *RUN, "--profile", path, *SHORT[2:], "--out", tmp_path / "run")
    shown = succeed("agree", tmp_path / "run", "--response", "gold", "--offline", "--json").json
    assert shown["without"] == {"the session leaves no room for a passage": 13}


def test_the_gold_response_is_the_main_reference() -> None:
    references = (Reference("K.", "knowledge"), Reference("One.", "response"), Reference("Two.", "response"))
    assert gold_response(Turn("1_1", "who", references=references), None) == "One."
    assert gold_response(Turn("1_1", "who", references=references[:1]), None) == ""


def test_ties_share_their_rank() -> None:
    assert rank_correlation([4, 3, 2, 1], [4, 3, 2, 1]) == 1
    assert rank_correlation([3, 2, 1], [1, 2, 3]) == -1
    first, second = (1.0, 2.0, 3.0), (1.5, 1.5, 3.0)  # the ranks by hand
    covariance = sum((a - 2) * (b - 2) for a, b in zip(first, second, strict=True))
    expected = covariance / math.sqrt(sum((a - 2) ** 2 for a in first) * sum((b - 2) ** 2 for b in second))
    assert rank_correlation([0.1, 0.2, 0.7], [-5.0, -5.0, -1.0]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("system", "said"),
    [
        (("bm25-query",), "bm25-query is a system of kind 'two-stage'; agreement is between the two sides of one model"),
        ((folder_of("llama"), *SHORT[:2], "--set", "decoding=null", "--set", "name=mute"), "mute has no responses, it only retrieves;"),
    ],
)
def test_runs_without_the_two_sides(system: tuple[object, ...], said: str, tmp_path: Path) -> None:
    succeed("run", *system, *RUN, "--out", tmp_path / "run")
    ended = convbench("agree", tmp_path / "run", "--offline")
    assert f"{tmp_path / 'run'}: {said}" in ended.error
    assert ended.code == 2


def test_rankings_of_another_system(finished: Path, tmp_path: Path) -> None:
    succeed("run", "bm25-query", *RUN, "--out", tmp_path / "donor")
    succeed("run", folder_of("llama"), *RUN, *SHORT, "--rankings", tmp_path / "donor", "--out", tmp_path / "run")
    assert "its rankings are those of bm25-query;" in convbench("agree", tmp_path / "run", "--offline").error


def test_there_must_be_a_finished_run(tmp_path: Path) -> None:
    assert "no finished run here" in convbench("agree", tmp_path).error
    assert convbench("agree", tmp_path, "--k", 1).code == 2


def test_another_checkpoint_under_the_same_name_is_refused(tmp_path: Path) -> None:
    folder = make_causal(tmp_path / "mine", "llama")
    succeed("run", folder, *RUN, *SHORT, "--out", tmp_path / "run")
    shutil.rmtree(folder)
    make_causal(folder, "llama", seed=2)
    ended = convbench("agree", tmp_path / "run", "--offline")
    assert "are no longer those that the run was made with; put them back, or run again" in ended.error


def test_a_file_of_another_run_is_refused(finished: Path, tmp_path: Path) -> None:
    folder = copied(finished, tmp_path)
    path = folder / "agreement-own.jsonl"
    header, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([header.replace('"run_sha256":"', '"run_sha256":"0'), *rows]), encoding="utf-8")
    with pytest.raises(UsageError, match=r"agreement-own\.jsonl: was computed from another run .*; run `convbench agree .*` again"):
        read_agreement(path)
    (folder / "results.json").unlink()
    with pytest.raises(MissingFileError, match=r"no finished run beside it"):
        read_agreement(path)
    with pytest.raises(MissingFileError):
        read_agreement(folder / "agreement-gold.jsonl")


@pytest.mark.parametrize(
    ("line", "change", "said"),
    [
        (0, {"schema": "convbench.agreement/9"}, r":1: expected a header line of schema 'convbench.agreement/1'"),
        (0, {"response": "theirs"}, r":1: field 'response': expected own or gold, found 'theirs'"),
        (0, {"k": "5"}, r":1: field 'k': expected an integer"),
        (2, {"rank_correlation": 1.5}, r":3: expected 'rank_correlation' from -1 to 1"),
        (2, {"top1": 1}, r":3: expected 'rank_correlation' from -1 to 1 and 'top1' true or false"),
        (2, {"rank_correlation": None}, r":3: fields 'rank_correlation' and 'top1': expected values, or null in both and a 'reason'"),
        (2, {"rank_correlation": None, "top1": None}, r":3: .* a 'reason'"),
        (2, {"passages": [["a", 1.0]]}, r":3: passages\[0\]: expected \[id, score, log-likelihood\]"),
        (2, {"turn_id": 7}, r":3: field 'turn_id': expected a string"),
        (2, {"turn_id": "1_1"}, r":3: turn '1_1' appears twice"),
    ],
)
def test_malformed_lines(finished: Path, line: int, change: dict[str, Any], said: str, tmp_path: Path) -> None:
    values = lines(finished / "agreement-own.jsonl")
    values[line] |= change
    path = tmp_path / "agreement-own.jsonl"
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    shutil.copy(finished / "results.json", tmp_path)
    with pytest.raises(DataError, match=rf"agreement-own\.jsonl{said}"):
        read_agreement(path)


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "agreement-own.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match="expected a header line"):
        read_agreement(tmp_path / "agreement-own.jsonl")


def test_what_is_read_is_what_is_there(finished: Path) -> None:
    found: RunAgreement = read_agreement(finished / "agreement-own.jsonl")
    assert list(found.turns) == [turn.id for turn in open_dataset(DatasetRequest("topiocqa", limit=2)).turns]
    assert (found.k, found.response) == (5, "own")


def test_a_run_on_a_part_of_the_conversations(tmp_path: Path) -> None:
    part = "held-out:1:x"
    given = [*RUN, *SHORT, "--conversations", part]
    succeed("run", folder_of("llama"), *given, "--out", tmp_path)
    succeed("agree", tmp_path, "--offline")
    held = open_dataset(DatasetRequest("topiocqa", conversations=Selection.parse(part)))
    assert list(read_agreement(tmp_path / "agreement-own.jsonl").turns) == [turn.id for turn in held.turns]
