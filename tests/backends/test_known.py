"""Built-in profiles: they are valid, meant for the checkpoints they name and no others, and documented."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from backends.checkpoints import change_json, change_tensors, make_causal, make_encoder

from convbench.backends.checkpoint import open_checkpoint
from convbench.backends.encoder import HFEncoder
from convbench.backends.known import known_profiles, profile_of
from convbench.backends.placement import ModelConfig
from convbench.backends.profile import Lengths, Profile, PromptTemplate
from convbench.errors import ResourceError, UsageError
from convbench.views.session import SessionTemplate

DOCS = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text(encoding="utf-8")

MEANT_FOR = {
    "ance": ["castorini/ance-msmarco-passage"],
    "bge": ["BAAI/bge-small-en-v1.5", "BAAI/bge-base-en-v1.5", "BAAI/bge-large-en-v1.5"],
    "chatretriever": ["somebody/ChatRetriever", "chatretriever-qwen1.5-lora"],
    "decoder": [],
    "dragon-multiturn-context": ["nvidia/dragon-multiturn-context-encoder"],
    "dragon-multiturn-query": ["nvidia/dragon-multiturn-query-encoder"],
    "e5": ["intfloat/e5-small", "intfloat/e5-base", "intfloat/e5-large-v2", "e5-base-v2", "/models/e5-small-v2"],
    "e5-mistral": ["intfloat/e5-mistral-7b-instruct"],
    "gritlm": ["GritLM/GritLM-7B"],
    "minilm": ["sentence-transformers/all-MiniLM-L6-v2"],
    "qwen3-embedding": ["Qwen/Qwen3-Embedding-0.6B", "Qwen/Qwen3-Embedding-4B", "Qwen/Qwen3-Embedding-8B"],
    "repllama": ["castorini/repllama-v1-7b-lora-passage", "castorini/repllama-v1-13b-lora-passage"],
    "convdr": ["convdr-kd-cast19-1", "models/convdr-multi-cast20"],
}
MEANT_FOR_NONE = [
    "intfloat/multilingual-e5-base",
    "intfloat/e5-base-v2/best",
    "intfloat/e5-base-unsupervised",
    "dwzhu/e5-base-4k",
    "intfloat/e5-mistral-7b",
    "BAAI/bge-base-en",
    "BAAI/bge-base-zh-v1.5",
    "BAAI/bge-base-en-v1x5",
    "BAAI/bge-reranker-base",
    "castorini/ance-msmarco-doc-firstp",
    "castorini/repllama-v1-7b-lora-doc",
    "castorini/repllama-v1-mrl-7b-lora-passage",
    "facebook/dragon-plus-query-encoder",
    "sentence-transformers/all-MiniLM-L12-v2",
    "sentence-transformers/paraphrase-MiniLM-L6-v2",
    "Qwen/Qwen3-0.6B",
    "Qwen/Qwen3-Reranker-0.6B",
    "GritLM/GritLM-8x7B",
    "mistralai/Mistral-7B-v0.1",
    "chatretriever/other",
    "",
]


def matching(name: str) -> list[str]:
    return [known.name for known in known_profiles().values() if known.matches.search(name)]


def own(folder: Path, given: Any = None) -> tuple[Profile, str]:
    return profile_of(open_checkpoint(str(folder), offline=True), given)


@pytest.mark.parametrize("name", sorted(known_profiles()))
def test_every_profile_is_valid_and_says_where_it_is_from(name: str) -> None:
    profile = Profile(**known_profiles()[name].values)
    assert profile.pooling != "last" or profile.closing or name == "decoder"
    path = Path(profile_of.__code__.co_filename).parent / "profiles" / f"{name}.yaml"
    assert path.read_text(encoding="utf-8").startswith("# ")


def test_all_are_tested() -> None:
    assert MEANT_FOR.keys() == known_profiles().keys()


@pytest.mark.parametrize(("profile", "name"), [(profile, name) for profile, names in MEANT_FOR.items() for name in names])
def test_it_is_meant_for(profile: str, name: str) -> None:
    assert matching(name) == matching(name.lower()) == [profile]


@pytest.mark.parametrize("name", [name for name in MEANT_FOR_NONE if name])
def test_near_misses_have_none(name: str) -> None:
    assert matching(name) == []


@pytest.mark.parametrize("name", sorted(known_profiles()))
def test_it_is_listed_in_the_documentation(name: str) -> None:
    (row,) = re.findall(rf"^\| `{re.escape(name)}` \|.*$", DOCS, re.MULTILINE)
    profile = Profile(**known_profiles()[name].values)
    _, _, read, query, passage, closing, session, lengths = (cell.strip() for cell in row.strip("|").replace("\\|", "¦").split("|"))
    assert read.startswith(profile.pooling)
    assert ("length 1" in read) == profile.normalize
    assert (len(profile.closing) == 3) == ("three times" in closing) if profile.closing else "`" not in closing
    assert session.startswith(profile.session.order.replace("-", " "))
    assert lengths == f"{profile.lengths.session} / {profile.lengths.passage}"
    for cell, prefix in ((query, profile.query_prefix), (passage, profile.passage_prefix)):
        assert cell.startswith(f"`{json.dumps(prefix, ensure_ascii=False)[1:-1]}".replace("|", "¦") if prefix else "plain")


def test_every_key_is_documented_and_no_other() -> None:
    section = DOCS.split("## convbench.json\n", 1)[1].split("\n## ", 1)[0]
    nested = {"session": SessionTemplate, "prompt": PromptTemplate, "lengths": Lengths}
    expected = {key for key in Profile.model_fields if key not in nested}
    expected |= {f"{outer}.{key}" for outer, model in nested.items() for key in model.model_fields}
    rows = dict(re.findall(r"^\| `([a-z_.]+)` \|[^|]*\| (.*?) \|", section, re.MULTILINE))
    assert rows.keys() == expected
    for key, default in rows.items():
        outer, _, inner = key.rpartition(".")
        field = (nested[outer] if outer else Profile).model_fields[inner]
        said = "required" if field.is_required() else f"`{json.dumps(field.get_default(call_default_factory=True))}`"
        assert default.replace("\\|", "|") == said, key


def test_the_example_in_the_documentation_is_a_profile() -> None:
    (example,) = re.findall(r"^```json\n(.*?)^```$", DOCS.split("## convbench.json\n", 1)[1], re.MULTILINE | re.DOTALL)
    assert Profile(**json.loads(example)).pooling == "last"


class TestWhichProfile:
    def test_a_folder_is_known_by_its_name_from_wherever_it_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = make_encoder(tmp_path / "e5-base-v2", "bert")
        assert own(folder)[1] == "the built-in profile 'e5'"
        monkeypatch.chdir(folder)
        assert own(Path())[1] == "the built-in profile 'e5'"

    def test_what_stands_beside_the_weights_comes_first(self, tmp_path: Path) -> None:
        folder = make_encoder(tmp_path / "e5-base-v2", "bert")
        (folder / "convbench.json").write_text('{"pooling": "cls", "attention": "bidirectional"}', encoding="utf-8")
        profile, origin = own(folder)
        assert (profile.pooling, profile.query_prefix, origin) == ("cls", "", "convbench.json")

    def test_values_change_it_key_by_key(self, tmp_path: Path) -> None:
        profile, origin = own(make_encoder(tmp_path / "e5-base-v2", "bert"), {"lengths": {"session": 64}})
        assert (profile.lengths.session, profile.lengths.passage, profile.query_prefix) == (64, 512, "query: ")
        assert origin == "the built-in profile 'e5', changed"

    def test_any_decoder_has_one_and_an_unknown_encoder_none(self, tmp_path: Path) -> None:
        assert own(make_causal(tmp_path / "mine", "llama"))[1] == "the default for decoders"
        with pytest.raises(UsageError, match=r"nothing says how it encodes .* choose one with --profile: ance, bge, "):
            own(make_encoder(tmp_path / "other", "bert"))

    def test_both_sides_cannot_be_elsewhere(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="query_model and passage_model: give one of them"):
            own(make_causal(tmp_path / "mine", "llama"), {"query_model": "a/b", "passage_model": "a/c"})

    def test_an_empty_file_is_told_what_it_lacks(self, tmp_path: Path) -> None:
        folder = make_causal(tmp_path / "mine", "llama")
        (folder / "convbench.json").write_text("{}", encoding="utf-8")
        with pytest.raises(UsageError, match=r"^mine@\w+: profile from convbench\.json: pooling: field required"):
            own(folder)

    @pytest.mark.parametrize("key", ["query_model", "passage_model"])
    def test_the_other_side_that_is_nowhere(self, tmp_path: Path, key: str) -> None:
        folder = make_causal(tmp_path / "mine", "llama")
        with pytest.raises(
            ResourceError, match=rf"^mine@\w+: {key} names '\.\./nothere', no folder as seen from the checkpoint's, and not a"
        ):
            own(folder, {key: "../nothere"})
        (tmp_path / "nothere").mkdir()
        for name in ("../nothere", str(tmp_path / "nothere"), "owner/name"):
            assert getattr(own(folder, {key: name})[0], key) == name

    def test_the_other_side_is_seen_from_here_alone_and_needs_no_head(self, tmp_path: Path) -> None:
        folder = make_causal(tmp_path / "mine", "llama")
        change_tensors(make_causal(folder / "passages", "llama") / "model.safetensors", without="lm_head")
        encoder = HFEncoder(ModelConfig(model=str(folder), profile={"passage_model": "passages"}), offline=True)
        assert encoder.passages.checkpoint.label.startswith("passages@")
        (own_parameters, others_parameters) = encoder.parameters.values()
        assert own_parameters == others_parameters  # neither is loaded with a head


class TestHeadless:
    """A decoder by its config.json, whose head is not in its files."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = make_causal(tmp_path / "mine", "llama")
        change_tensors(folder / "model.safetensors", without="lm_head")
        return folder

    @pytest.mark.parametrize("given", [None, "decoder", {"lengths": {"session": 64}}])
    def test_it_does_not_become_a_retriever_by_itself(self, folder: Path, given: Any) -> None:
        with pytest.raises(
            ResourceError, match=r"^mine@\w+: config\.json names LlamaForCausalLM, and the files hold no head that writes \(such"
        ):
            own(folder, given)

    @pytest.mark.parametrize("given", [{"responds": False}, {"lm_head": "embeddings"}])
    def test_it_is_one_where_somebody_says_so(self, folder: Path, given: Any) -> None:
        assert own(folder, given) == (Profile(**{**known_profiles()["decoder"].values, **given}), "the default for decoders, changed")

    def test_or_where_sentence_transformers_saved_it(self, folder: Path) -> None:
        (folder / "modules.json").write_text("[]", encoding="utf-8")
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_lasttoken": true}', encoding="utf-8")
        profile, origin = own(folder)
        assert (profile.pooling, profile.attention, origin) == ("last", "causal", "sentence-transformers files")


class TestSentenceTransformers:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """An encoder as sentence-transformers leaves it on the hub, which keeps no empty folders."""
        folder = make_encoder(tmp_path / "mine", "bert")
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}', encoding="utf-8")
        (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "q: ", "document": "d: "}}', encoding="utf-8")
        (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 128}', encoding="utf-8")
        self.modules(folder, "Transformer", "Pooling", "Normalize")
        return folder

    def modules(self, folder: Path, *types: str) -> None:
        listed = [{"idx": index, "type": f"sentence_transformers.models.{kind}"} for index, kind in enumerate(types)]
        (folder / "modules.json").write_text(json.dumps(listed), encoding="utf-8")

    def test_they_are_read(self, folder: Path) -> None:
        profile, origin = own(folder)
        assert origin == "sentence-transformers files"
        assert (profile.pooling, profile.attention, profile.normalize) == ("mean", "bidirectional", True)
        assert (profile.query_prefix, profile.passage_prefix, profile.lengths.session) == ("q: ", "d: ", 128)

    def test_vectors_are_normalised_where_a_module_does_it(self, folder: Path) -> None:
        self.modules(folder, "Transformer", "Pooling")
        assert own(folder)[0].normalize is False

    def test_instructions_that_are_not_pooled(self, folder: Path) -> None:
        assert own(folder)[0].pool_prefix is True
        change_json(folder / "1_Pooling" / "config.json", include_prompt=False)
        assert own(folder)[0].pool_prefix is False

    def test_a_module_that_is_not_computed_is_refused(self, folder: Path) -> None:
        self.modules(folder, "Transformer", "Pooling", "Dense")
        with pytest.raises(UsageError, match="names the sentence-transformers module 'Dense', which is not computed here"):
            own(folder)


def test_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown profile 'e5-mistrl'\. Did you mean 'e5-mistral'"):
        own(make_causal(tmp_path / "mine", "llama"), "e5-mistrl")
