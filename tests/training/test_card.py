from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from backends.checkpoints import make_adapter, make_causal
from training.facts import FINDING, SIGNATURE, SOURCE, facts, results

from convbench.backends.checkpoint import open_checkpoint
from convbench.backends.profile import Profile
from convbench.io.cache import cache_root
from convbench.io.digests import file_sha256
from convbench.training.card import Base, base_of, render_card, write_card
from convbench.training.licences import UNKNOWN, inherited, licence_of

PROFILE = Profile(pooling="last", attention="causal", closing=("[SEP]",))


def front_matter(text: str) -> dict[str, Any]:
    """As the hub reads it: between the first line and the next that is ``---``."""
    found = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert found
    content: dict[str, Any] = yaml.safe_load(found[1])
    return content


def test_every_fact_is_in_the_card() -> None:
    text = render_card(facts(scores=[results()], limitations=["It knows no history after 2020."]), PROFILE, "whole")
    for wanted in (
        "# a small unified model",
        "Revision: 1110a24",
        f"`model.safetensors`: sha256 `{'53' * 32}`",
        "Conversations: 80 of 120 (kept part; 40 conversations held out: the first by sha256 of 'a:&lt;conversation id&gt;')",
        "Feeds: retrieval 950, response 940\n",
        "Licence: CC BY-NC-SA 4.0\n",
        "Note: 10 turns feed no objective\n",
        "cd" * 32,
        "warning, same-rewrites, source topi: 3 of 900 turns have a human rewrite that was trained on (such as a_1 = b_2)\n",
        "Weight of response: 0.5\n",
        "learning_rate: 5e-05\n",
        "lora.rank: 8\n",
        "Seed of order: 3\n",
        "Steps: 120; examples seen: 2880; tokens read: 700000\n",
        "Time: 20.6 minutes\n",
        "Machine, device: cpu\n",
        "| topiocqa/nDCG@3 | 68.4  | [64.0, 73.0]",
        "| topiocqa/length | 11.25 | [10.00, 12.50]",
        f"topiocqa/nDCG@3: `{SIGNATURE}`\n",
        "Warning: 40 of 120 conversations: not a result on topiocqa\n",
        "CC BY-NC-SA 4.0: the most restrictive of the licences",
        "It knows no history after 2020.\n",
    ):
        assert wanted in text, wanted
    assert "bertscore" not in text
    assert "\n\n\n" not in text


def test_what_was_not_done_is_said() -> None:
    text = render_card(facts(contamination={}), PROFILE, "whole")
    assert "was not compared with any evaluation set" in text
    assert "It has not been evaluated." in text
    assert "Compared with cast:\n\n- Nothing was found.\n" in render_card(facts(contamination={"cast": []}), PROFILE, "whole")


def test_front_matter_is_what_the_hub_reads() -> None:
    assert front_matter(render_card(facts(), PROFILE, "whole")) == {
        "language": ["en"],
        "license": "cc-by-nc-sa-4.0",
        "library_name": "transformers",
        "base_model": "sentence-transformers/all-MiniLM-L6-v2",
        "base_model_relation": "finetune",
        "datasets": ["topiocqa"],
        "tags": ["convbench", "conversational-search", "retrieval", "text-generation"],
    }
    adapter = front_matter(render_card(facts(), PROFILE, "adapter"))
    assert (adapter["library_name"], adapter["base_model_relation"]) == ("peft", "adapter")
    local = front_matter(render_card(facts(base=Base("my-model", None, {}, "MIT")), PROFILE, "whole"))
    assert "base_model" not in local


def test_hostile_texts_stay_texts() -> None:
    evil = "x](javascript:1) <script>alert(1)</script>\n---\nlicense: mit\n# heading | `code` {{ 7*7 }} **b** ![i](http://e)"
    source = {
        **SOURCE,
        "name": evil,
        "licence": evil,
        "selection": evil,
        "notes": [evil],
        "derived_from": [evil],
        "data": {"name": evil, "file": evil},
    }
    finding = {**FINDING, "source": evil, "message": evil, "examples": [evil]}
    hostile = facts(
        name=evil,
        base=Base(evil, evil, {evil: evil}, evil),
        sources=[source],
        contamination={evil: [finding]},
        objectives={evil: 1.0},
        settings={evil: {evil: evil}},
        seeds={evil: 1},
        machine={evil: evil},
        limitations=[evil],
        languages=[evil],
        scores=[results(warnings=[evil], conditions={evil: evil})],
    )
    text = render_card(hostile, PROFILE, "whole")
    head = front_matter(text)
    assert head["license"] == "unknown"
    assert set(head) == {"language", "license", "library_name", "datasets", "tags"}
    body = text.split("\n---\n", 1)[1]
    shown = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", re.sub(r"\\`", "", body))
    assert not re.search(r"<script|(?<!\\)\]\(|(?<!\\)\*\*b|^---$|^license|^# heading|^\\# heading", shown, re.MULTILINE)
    assert "49" not in re.sub(r"[0-9.]{3,}", "", shown)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CC BY-NC-SA 4.0", "CC BY-NC-SA 4.0"),
        ("cc-by-sa-3.0", "CC BY-SA 3.0"),
        ("CC BY 4.0", "CC BY 4.0"),
        ("MIT", "MIT"),
        ("Apache-2.0 (bundled set, written for convbench)", "Apache-2.0"),
        ("Apache License 2.0", "Apache-2.0"),
        ("CC BY-SA 4.0 (OR-QuAC, QuAC and CANARD alike; the file LICENSE of the authors' repository is for their code).", "CC BY-SA 4.0"),
        ("MIT (topics and judgements; the collections have their own terms)", None),
        ("Not stated in the official repository: ask the authors. The passages are Wikipedia text (CC BY-SA).", None),
        ("In conflict: MIT by the official hub page, CC BY-NC-SA 4.0 by MTEB's description of the same data. Check before use.", None),
        ("MIT or CC BY 4.0", None),
        ("Admitted", None),
        ("not stated", None),
        ("", None),
    ],
)
def test_a_licence_is_known_only_where_a_text_names_one_without_doubt(text: str, name: str | None) -> None:
    found = licence_of(text)
    assert (found.name if found else None) == name


def test_the_terms_of_every_dataset_are_read_as_they_are_written() -> None:
    from convbench.datasets.adapters import load_card

    names = {name: licence_of(load_card(name).licence) for name in ("topiocqa", "qrecc", "orquac", "inscit", "faithdial", "cast")}
    assert {name: found.name if found else None for name, found in names.items()} == {
        "topiocqa": "CC BY-NC-SA 4.0",
        "qrecc": "CC BY-SA 3.0",
        "orquac": "CC BY-SA 4.0",
        "inscit": None,
        "faithdial": None,
        "cast": None,
    }


@pytest.mark.parametrize(
    ("licences", "strictest", "hub_id"),
    [
        (["MIT", "Apache-2.0", "MIT"], "MIT", "mit"),
        (["MIT", "CC BY-SA 3.0"], "CC BY-SA 3.0", "cc-by-sa-3.0"),
        (["CC BY-SA 4.0", "CC BY-SA 3.0"], "CC BY-SA 4.0", "cc-by-sa-4.0"),
        (["CC BY-SA 4.0", "CC BY-NC-SA 4.0", "MIT"], "CC BY-NC-SA 4.0", "cc-by-nc-sa-4.0"),
        (["CC BY-NC 4.0", "CC BY 4.0"], "CC BY-NC 4.0", "cc-by-nc-4.0"),
        (["CC BY-NC-ND 4.0", "CC BY-NC-SA 4.0"], "CC BY-NC-ND 4.0", "cc-by-nc-nd-4.0"),
        (["CC BY-SA"], "CC BY-SA", "other"),
        (["MIT", "mine"], UNKNOWN, "unknown"),
        ([], UNKNOWN, "unknown"),
    ],
)
def test_the_most_restrictive_licence_is_inherited(licences: list[str], strictest: str, hub_id: str) -> None:
    for order in (licences, licences[::-1]):
        found = inherited({f"s{index}": text for index, text in enumerate(order)})
        if strictest != "MIT":
            assert (found.text, found.hub_id) == (strictest, hub_id)
        else:
            assert found.text in licences  # all ask for the same


def test_what_has_to_be_looked_at_is_said() -> None:
    found = inherited({"the base b": "Apache-2.0", "the source t": "CC BY-NC-SA 4.0", "the source i": "Not stated"})
    assert found.notes == (
        "the terms of the source i are not known: Not stated",
        "the most restrictive of the terms that are known is CC BY-NC-SA 4.0",
    )
    (note,) = inherited({"a": "CC BY-SA 4.0", "b": "CC BY-NC-SA 4.0"}).notes
    assert "no licence meets both" in note
    assert inherited({"a": "CC BY-SA 4.0", "b": "CC BY-SA 3.0", "c": "CC BY 4.0", "d": "MIT"}).notes == ()
    assert "may not be combined" in inherited({"a": "CC BY-SA 4.0", "b": "CC BY-NC 4.0"}).notes[0]
    assert "no derivatives" in inherited({"a": "CC BY-ND 4.0"}).notes[0]


def test_the_twin_says_the_same_and_scores_can_be_added(tmp_path: Path) -> None:
    write_card(facts(), PROFILE, "whole", tmp_path)
    before = json.loads((tmp_path / "training.json").read_text(encoding="utf-8"))
    assert before["schema"] == "convbench.training/1"
    assert before["base"] == {
        "name": "sentence-transformers/all-MiniLM-L6-v2",
        "revision": "1110a24",
        "files": {"model.safetensors": "53" * 32},
        "licence": "Apache-2.0",
    }
    assert before["sources"] == [SOURCE]
    assert before["contamination"] == {"topiocqa dev, held-out part": [FINDING]}
    assert before["licence"] == {"text": "CC BY-NC-SA 4.0", "hub_id": "cc-by-nc-sa-4.0", "notes": []}
    assert before["scores"] == []
    write_card(facts(scores=[results()]), PROFILE, "whole", tmp_path)
    after = json.loads((tmp_path / "training.json").read_text(encoding="utf-8"))
    (score,) = after.pop("scores")
    before.pop("scores")
    assert after == before
    assert score["metrics"][0]["signature"] == SIGNATURE
    assert score["run_sha256"] == "34" * 32
    assert SIGNATURE in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "somebody" not in json.dumps(score) + (tmp_path / "README.md").read_text(encoding="utf-8")


def test_a_base_is_described_by_its_files(tmp_path: Path) -> None:
    folder = make_causal(tmp_path / "base", "llama")
    base = base_of(open_checkpoint(str(folder), offline=True), "MIT", cache_root())
    assert (base.name, base.revision, base.hub_id) == ("base", None, None)
    assert set(base.files) == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert base.files["model.safetensors"] == file_sha256(folder / "model.safetensors")
    adapter = make_adapter(tmp_path / "adapter", folder)
    both = base_of(open_checkpoint(str(adapter), offline=True), "MIT", cache_root())
    assert {"adapter_model.safetensors", "adapter_config.json", "base/model.safetensors"} <= set(both.files)
