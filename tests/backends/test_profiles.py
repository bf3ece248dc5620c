"""Each built-in profile against a computation by hand: plain transformers on one text, tokens added and hidden states pooled in the test.

Every model is small and random, of the architecture that is published, in a folder of the published name. What is known to go wrong with a
checkpoint is computed too, and must not be what comes out.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from backends.checkpoints import HIDDEN, make_adapter, make_causal, make_encoder
from safetensors.torch import load_file
from tokenizers import processors
from torch.nn.functional import layer_norm, normalize
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

from convbench.backends.encoder import HFEncoder
from convbench.backends.placement import ModelConfig
from convbench.backends.trunk import EMPTY
from convbench.meter import Meter
from convbench.systems.one_model import OneModel
from convbench.types import Exchange, Turn
from convbench.views.session import Utterance
from convbench.writing.decoding import DecodingConfig

EQUAL, DIFFERENT = 1e-5, 1e-3
QUERIES = ["who keeps the lighthouse", "and what did its second lamp, the one from the harbour guild, cost the village?", "why"]
PASSAGES = [
    "The keeper rows out before dawn.",
    "Lamps\nThe guild paid for the third lamp in two parts, the last of them in spring.",
    "A rope.",
]
WEB = "Given a web search query, retrieve relevant passages that answer the query"

Folders = Callable[[str], Path]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """A folder of some name."""
    logging.disable_progress_bar()
    return lambda name: tmp_path_factory.mktemp("published") / name


@cache
def plain(folder: Path) -> tuple[Any, Any]:
    """Tokenizer and body as transformers loads them, whatever else the files hold."""
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    loaded = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    logging.set_verbosity(level)
    return loaded


def word_ids(folder: Path, text: str) -> list[int]:
    """The ids of a text, nothing added."""
    ids: list[int] = plain(folder)[0](text, add_special_tokens=False)["input_ids"]
    return ids


def token_id(folder: Path, token: str) -> int:
    return int(plain(folder)[0].convert_tokens_to_ids(token))


def states(folder: Path, ids: Sequence[int], model: Any = None, **given: Any) -> Any:
    """Hidden states of the last layer, shape (tokens, size): one text, no padding."""
    with torch.no_grad():
        return (model or plain(folder)[1])(input_ids=torch.tensor([list(ids)]), **given).last_hidden_state[0]


def framed(folder: Path, text: str, first: str, last: str, limit: int = 512) -> list[int]:
    """Opening, text, closing; cut on the right where it is too long."""
    return [token_id(folder, first), *word_ids(folder, text)[: limit - 2], token_id(folder, last)]


def unit(vector: Any) -> Any:
    return normalize(vector, dim=-1)


def encoder(folder: Path, **profile: Any) -> HFEncoder:
    return HFEncoder(ModelConfig(model=str(folder), device="cpu", profile=profile or None), offline=True)


def queries(folder: Path, texts: Sequence[str] = QUERIES) -> Any:
    return torch.from_numpy(encoder(folder).encode_queries(texts, Meter()).vectors)


def passages(folder: Path, texts: Sequence[str] = PASSAGES) -> Any:
    return torch.from_numpy(encoder(folder).encode_passages(texts, Meter()).vectors)


def assert_is(found: Any, expected: Sequence[Any], *traps: Sequence[Any]) -> None:
    """Each vector is the expected one, and far from what each trap gives."""
    for row, vector in enumerate(expected):
        assert float((found[row] - vector).abs().max()) < EQUAL, row
        for number, trap in enumerate(traps):
            assert float((vector - trap[row]).abs().max()) > DIFFERENT, f"trap {number} of text {row} is the same"
    assert len(found) == len(expected)


# ---- encoders


@pytest.fixture(scope="module")
def ance(place: Folders) -> Path:
    return make_encoder(place("ance-msmarco-passage"), "roberta", ance=True)


class TestAnce:
    def test_first_token_linear_layernorm(self, ance: Path) -> None:
        head = load_file(ance / "model.safetensors")
        torch.manual_seed(0)
        untrained = torch.nn.Linear(HIDDEN, HIDDEN)
        for found, texts in ((queries(ance), QUERIES), (passages(ance), PASSAGES)):
            first = [states(ance, framed(ance, text, "<s>", "</s>"))[0] for text in texts]
            linear = [head["embeddingHead.weight"] @ state + head["embeddingHead.bias"] for state in first]
            expected = [layer_norm(each, (HIDDEN,), head["norm.weight"], head["norm.bias"]) for each in linear]
            random = [untrained(state).detach() for state in first]
            normed = [layer_norm(each, (HIDDEN,)) for each in random]
            assert_is(found, expected, first, linear, random, normed, [unit(each) for each in expected])


@pytest.fixture(scope="module")
def e5(place: Folders) -> Path:
    return make_encoder(place("e5-base-v2"), "bert")


class TestE5:
    def mean(self, folder: Path, text: str) -> Any:
        return unit(states(folder, framed(folder, text, "[CLS]", "[SEP]")).mean(dim=0))

    def test_prefixes_mean(self, e5: Path) -> None:
        for found, texts, prefix, other in (
            (queries(e5), QUERIES, "query: ", "passage: "),
            (passages(e5), PASSAGES, "passage: ", "query: "),
        ):
            expected = [self.mean(e5, prefix + text) for text in texts]
            assert_is(found, expected, [self.mean(e5, text) for text in texts], [self.mean(e5, other + text) for text in texts])


@pytest.fixture(scope="module")
def bge(place: Folders) -> Path:
    return make_encoder(place("bge-small-en-v1.5"), "bert", seed=2)


class TestBge:
    def test_first_token_and_an_instruction_for_queries_only(self, bge: Path) -> None:
        instruction = "Represent this sentence for searching relevant passages: "

        def read(text: str) -> Any:
            return states(bge, framed(bge, text, "[CLS]", "[SEP]"))

        instructed, bare = ([unit(read(prefix + text)[0]) for text in QUERIES] for prefix in (instruction, ""))
        averaged = [unit(read(instruction + text).mean(dim=0)) for text in QUERIES]
        assert_is(queries(bge), instructed, bare, averaged)
        instructed, bare = ([unit(read(prefix + text)[0]) for text in PASSAGES] for prefix in (instruction, ""))
        assert_is(passages(bge), bare, instructed, [unit(read(text).mean(dim=0)) for text in PASSAGES])


@pytest.fixture(scope="module")
def minilm(place: Folders) -> Path:
    return make_encoder(place("all-MiniLM-L6-v2"), "bert", seed=3)


class TestMiniLM:
    def test_mean_of_at_most_256_tokens(self, minilm: Path) -> None:
        long = [" ".join(PASSAGES * 5), " ".join(PASSAGES * 7), "the keeper " * 300]
        for found, texts in ((queries(minilm, long), long), (passages(minilm, long), long)):
            cut, whole = (
                [unit(states(minilm, framed(minilm, text, "[CLS]", "[SEP]", limit)).mean(dim=0)) for text in texts] for limit in (256, 512)
            )
            assert_is(found, cut, whole)
        short = [unit(states(minilm, framed(minilm, text, "[CLS]", "[SEP]")).mean(dim=0)) for text in PASSAGES]
        assert_is(passages(minilm), short)
        counts = encoder(minilm).encode_queries(long, Meter())
        assert counts.tokens == (256,) * 3
        assert min(counts.cut) > 0


@pytest.fixture(scope="module")
def dragon(place: Folders) -> Path:
    root = place("hub")
    for number, side in enumerate(("query", "context")):
        make_encoder(root / "nvidia" / f"dragon-multiturn-{side}-encoder", "bert", seed=10 + number)
    return root


class TestDragon:
    """Two encoders, found from either one's name: by hub id (a folder of that name here) or beside each other."""

    SESSION = "user: who keeps it\nagent: A volunteer does.\nuser: since when"
    BARE = "who keeps it\nA volunteer does.\nsince when"

    def read(self, root: Path, side: str, text: str) -> Any:
        folder = root / "nvidia" / f"dragon-multiturn-{side}-encoder"
        return states(folder, framed(folder, text, "[CLS]", "[SEP]"))[0]

    @pytest.mark.parametrize("named", ["query", "context"])
    def test_both_encoders_whichever_is_named(self, dragon: Path, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(dragon)
        two = encoder(Path(f"nvidia/dragon-multiturn-{named}-encoder"))
        assert (
            two.profile.session.write("since when", [Utterance("user", "who keeps it"), Utterance("agent", "A volunteer does.")])
            == self.SESSION
        )
        sides = {"query": two.encode_queries, "context": two.encode_passages}
        for side, encode in sides.items():
            (other,) = sides.keys() - {side}
            texts = [self.SESSION, *PASSAGES]
            expected, wrong = ([self.read(dragon, each, text) for text in texts] for each in (side, other))
            assert_is(torch.from_numpy(encode(texts, Meter()).vectors), expected, wrong, [unit(vector) for vector in expected])
        without_roles = self.read(dragon, "query", self.BARE)
        assert float((self.read(dragon, "query", self.SESSION) - without_roles).abs().max()) > DIFFERENT
        assert len(two.parameters) == 2

    @pytest.mark.parametrize("named", ["query", "context"])
    def test_a_pair_of_folders(self, dragon: Path, tmp_path: Path, named: str) -> None:
        (other,) = {"query", "context"} - {named}
        for side in ("query", "context"):
            shutil.copytree(dragon / "nvidia" / f"dragon-multiturn-{side}-encoder", tmp_path / side)
        key = "passage_model" if named == "query" else "query_model"
        two = encoder(tmp_path / named, pooling="cls", attention="bidirectional", normalize=False, **{key: f"../{other}"})
        assert_is(torch.from_numpy(two.encode_queries(QUERIES, Meter()).vectors), [self.read(dragon, "query", text) for text in QUERIES])
        assert_is(
            torch.from_numpy(two.encode_passages(PASSAGES, Meter()).vectors), [self.read(dragon, "context", text) for text in PASSAGES]
        )
        described = json.dumps(two.describe())
        assert str(tmp_path) not in described
        assert sum(side in two.describe() for side in ("queries", "passages")) == 1


@pytest.fixture(scope="module")
def convdr(place: Folders) -> Path:
    root = place("hub")
    make_encoder(root / "castorini" / "ance-msmarco-passage", "roberta", ance=True, seed=12)
    return make_encoder(root / "convdr-kd-cast19-1", "roberta", ance=True, seed=13)


class TestConvDR:
    """A session is "<s> q1 </s><s> q2 </s>", oldest first, in ANCE's space; passages are ANCE's own."""

    def session(self, folder: Path, *said: str) -> list[int]:
        return [each for text in said for each in framed(folder, text, "<s>", "</s>")]

    def read(self, folder: Path, ids: Sequence[int]) -> Any:
        head = load_file(folder / "model.safetensors")
        linear = head["embeddingHead.weight"] @ states(folder, ids)[0] + head["embeddingHead.bias"]
        return layer_norm(linear, (HIDDEN,), head["norm.weight"], head["norm.bias"])

    def test_sessions_are_framed_utterance_by_utterance(self, convdr: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(convdr.parent)
        model = OneModel(ModelConfig(model=str(convdr), device="cpu"), None, reuse=True, offline=True, seed=0)
        asked = [["who keeps it"], ["who keeps it", "since when"], ["who keeps it", "since when", "why"]]
        expected = [self.read(convdr, self.session(convdr, *said)) for said in asked]
        backwards = [self.read(convdr, self.session(convdr, *said[::-1])) for said in asked]
        lines = [self.read(convdr, framed(convdr, "\n".join(said), "<s>", "</s>")) for said in asked]
        written = [model.inputs.written("c", said[-1], [Utterance("user", text) for text in said[:-1]]) for said in asked]
        assert [list(each.ids) for each in written] == [self.session(convdr, *said) for said in asked]
        found = torch.from_numpy(model.encoder.encode_queries(["who keeps it"], Meter()).vectors)
        assert_is(found, expected[:1])
        encoded = [model.encode_sessions([[model.inputs.session(turn, "queries")]], [EMPTY], Meter())[0][0].vector for turn in TURNS]
        assert_is(torch.from_numpy(np.stack(encoded[1:])), expected[1:], backwards[1:], lines[1:])

    def test_passages_are_those_of_ance(self, convdr: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(convdr.parent)
        ance = convdr.parent / "castorini" / "ance-msmarco-passage"
        expected, wrong = ([self.read(each, framed(each, text, "<s>", "</s>")) for text in PASSAGES] for each in (ance, convdr))
        assert_is(passages(convdr), expected, wrong)


# ---- decoders that encode


@pytest.fixture(scope="module")
def e5mistral(place: Folders) -> Path:
    return make_encoder(place("e5-mistral-7b-instruct"), "mistral")


class TestE5Mistral:
    def test_the_task_and_a_trailing_end_token(self, e5mistral: Path) -> None:
        def read(text: str, *after: int) -> Any:
            return unit(states(e5mistral, [token_id(e5mistral, "<s>"), *word_ids(e5mistral, text), *after])[-1])

        end = token_id(e5mistral, "</s>")
        written = [f"Instruct: {WEB}\nQuery: {text}" for text in QUERIES]
        for found, texts in ((queries(e5mistral), written), (passages(e5mistral), PASSAGES)):
            dropped = [read(text) for text in texts]
            assert_is(found, [read(text, end) for text in texts], dropped, [read(text, end, end) for text in texts])
        assert_is(queries(e5mistral), [read(text, end) for text in written], [read(text, end) for text in QUERIES])


@pytest.fixture(scope="module")
def qwen3embedding(place: Folders) -> Path:
    """As published: the tokenizer itself closes a text with the end token."""
    folder = make_encoder(place("Qwen3-Embedding-0.6B"), "qwen3")
    file = str(folder / "tokenizer.json")
    tokenizer = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", 0)])
    tokenizer.save(file)
    assert AutoTokenizer.from_pretrained(folder)("why")["input_ids"][-1] == 0
    return folder


class TestQwen3Embedding:
    def test_the_task_without_a_blank_and_left_padding(self, qwen3embedding: Path) -> None:
        end = token_id(qwen3embedding, "<|endoftext|>")

        def read(text: str, *after: int) -> Any:
            return unit(states(qwen3embedding, [*word_ids(qwen3embedding, text), *after])[-1])

        def written(form: str) -> list[Any]:
            return [read(form.format(text), end) for text in QUERIES]

        task = f"Instruct: {WEB}\nQuery:"
        assert_is(
            queries(qwen3embedding), written(task + "{}"), written(task + " {}"), written("{}"), [read(task + text) for text in QUERIES]
        )
        assert_is(passages(qwen3embedding), [read(text, end) for text in PASSAGES], [read(text, end, end) for text in PASSAGES])
        assert encoder(qwen3embedding).profile.padding == "left"

    def test_the_last_column_is_the_last_token_only_where_padding_is_on_the_left(self, qwen3embedding: Path) -> None:
        tokenizer, model = plain(qwen3embedding)
        right = tokenizer(PASSAGES, padding=True, padding_side="right", return_tensors="pt")
        with torch.no_grad():
            last_column = model(**right).last_hidden_state[:, -1]
        found = passages(qwen3embedding)
        padded = [row for row, mask in enumerate(right["attention_mask"]) if not mask[-1]]
        assert padded
        assert all(float((found[row] - unit(last_column[row])).abs().max()) > DIFFERENT for row in padded)

    def test_it_does_not_write_though_its_head_is_tied(self, qwen3embedding: Path) -> None:
        model = one_model(qwen3embedding)
        assert model.encoder.checkpoint.tied
        assert model.encoder.kind == "encoder"


@pytest.fixture(scope="module")
def repllama(place: Folders) -> Path:
    base = make_causal(place("Llama-2-7b-hf"), "llama")
    return make_adapter(place("repllama-v1-7b-lora-passage"), base, headless=True)


class TestRepLlama:
    def test_the_adapter_prefixes_and_the_end_token(self, repllama: Path) -> None:
        from peft import PeftModel

        base = Path(json.loads((repllama / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"])
        adapted = PeftModel.from_pretrained(AutoModel.from_pretrained(base), repllama).eval()

        def read(text: str, model: Any, *after: int) -> Any:
            return unit(states(base, [token_id(base, "<s>"), *word_ids(base, text), *after], model)[-1])

        end = token_id(base, "</s>")
        for found, texts, prefix in ((queries(repllama), QUERIES, "query: "), (passages(repllama), PASSAGES, "passage: ")):
            expected = [read(prefix + text, adapted, end) for text in texts]
            without_adapter = [read(prefix + text, plain(base)[1], end) for text in texts]
            without_end = [read(prefix + text, adapted) for text in texts]
            assert_is(found, expected, without_adapter, without_end, [read(text, adapted, end) for text in texts])


# ---- decoders that encode and write


def one_model(folder: Path) -> OneModel:
    config = ModelConfig(model=str(folder), device="cpu")
    return OneModel(config, DecodingConfig(max_new_tokens=8), reuse=True, offline=True, seed=0)


def sessions(model: OneModel, turns: Sequence[Turn]) -> Any:
    """The vectors of a conversation's sessions, as the unified system encodes them."""
    encoded = model.encode_sessions([[model.inputs.session(turn, "full") for turn in turns]], [EMPTY], Meter())
    return torch.from_numpy(np.stack([session.vector for session in encoded[0]]))


EXCHANGES = (Exchange("c_1", "who keeps it", "A volunteer does."), Exchange("c_2", "since when", "Since the flood."))
TURNS = [Turn("c_1", "who keeps it"), Turn("c_2", "since when", EXCHANGES[:1]), Turn("c_3", "why", EXCHANGES)]


@pytest.fixture(scope="module")
def gritlm(place: Folders) -> Path:
    return make_causal(place("GritLM-7B"), "mistral", seed=4)


class TestGritLM:
    def read(self, folder: Path, prefix: str, text: str, *, skip_opening: bool = True, skip_prefix: bool = True, **given: Any) -> Any:
        """The mean after the instruction. Every token sees every other: a mask of zeros, added to the attention scores."""
        ids = [token_id(folder, "<s>"), *word_ids(folder, prefix + text)]
        mask = given or {"attention_mask": torch.zeros(1, 1, len(ids), len(ids))}
        hidden = states(folder, ids, **mask)
        instruction = len(word_ids(folder, prefix)) if skip_prefix else 0
        kept = torch.cat([hidden[: 0 if skip_opening else 1], hidden[1 + instruction :]])
        return unit(kept.mean(dim=0))

    def test_attention_in_both_directions_and_the_mean_after_the_instruction(self, gritlm: Path) -> None:
        instruction = f"<|user|>\n{WEB}\n<|embed|>\n"
        for found, texts, prefix in ((queries(gritlm), QUERIES, instruction), (passages(gritlm), PASSAGES, "<|embed|>\n")):
            expected = [self.read(gritlm, prefix, text) for text in texts]
            causal = [self.read(gritlm, prefix, text, attention_mask=None) for text in texts]
            instruction_pooled = [self.read(gritlm, prefix, text, skip_prefix=False) for text in texts]
            opening_pooled = [self.read(gritlm, prefix, text, skip_opening=False) for text in texts]
            assert_is(found, expected, causal, instruction_pooled, opening_pooled, [self.read(gritlm, "", text) for text in texts])

    def test_transformers_own_switch_gives_the_same(self, gritlm: Path) -> None:
        """A forward pass of transformers 5.23 takes ``is_causal=False``; older ones ignore it silently and stay causal."""
        seen, ignored = (self.read(gritlm, "<|embed|>\n", PASSAGES[1], is_causal=value) for value in (False, True))
        if float((seen - ignored).abs().max()) < EQUAL:
            pytest.skip("this transformers ignores is_causal=False: nothing to compare with")
        assert float((passages(gritlm)[1] - seen).abs().max()) < EQUAL

    def test_sessions_of_the_unified_system(self, gritlm: Path) -> None:
        model, instruction = one_model(gritlm), f"<|user|>\n{WEB}\n<|embed|>\n"
        written = ["who keeps it", "who keeps it\nA volunteer does.\nsince when"]
        written.append(f"{written[1]}\nSince the flood.\nwhy")
        expected = [self.read(gritlm, instruction, text) for text in written]
        assert_is(sessions(model, TURNS), expected, [self.read(gritlm, instruction, text, attention_mask=None) for text in written])

    def test_it_writes_causally_after_its_chat_form(self, gritlm: Path) -> None:
        from convbench.writing.writer import Prompt

        model = one_model(gritlm)
        assert model.responds
        prompt, _ = model.inputs.prompt(model.inputs.session(TURNS[1], "full"), [])
        asked = "<|user|>\nwho keeps it\nA volunteer does.\nsince when\n<|assistant|>\n"
        assert plain(gritlm)[0].decode(prompt[1:]) == asked
        (written,) = model.respond([Prompt("c_2", prompt)], Meter())
        head = load_file(gritlm / "model.safetensors")["lm_head.weight"]
        ids = list(prompt)
        for _ in range(written.tokens):
            ids.append(int((head @ states(gritlm, ids)[-1]).argmax()))
        text = plain(gritlm)[0].decode(ids[len(prompt) :], skip_special_tokens=True)
        assert written.text == text.strip()


@pytest.fixture(scope="module")
def chatretriever(place: Folders) -> Path:
    return make_causal(place("ChatRetriever"), "qwen3", seed=5)


class TestChatRetriever:
    def ids(self, folder: Path, *said: tuple[str, str]) -> list[int]:
        """Chat form, every control token put in by its id, then three end tokens."""
        start, stop, end = (token_id(folder, token) for token in ("<|im_start|>", "<|im_end|>", "<|endoftext|>"))
        ids: list[int] = []
        for number, (role, text) in enumerate(said):
            ids += word_ids(folder, "\n") if number else []
            ids += [start, *word_ids(folder, f"{role}\n{text}"), stop]
        return [*ids, end, end, end]

    def test_passages_are_said_by_the_assistant(self, chatretriever: Path) -> None:
        hidden = [states(chatretriever, self.ids(chatretriever, ("assistant", text))) for text in PASSAGES]
        one_end = [states(chatretriever, self.ids(chatretriever, ("assistant", text))[:-2])[-1] for text in PASSAGES]
        plain_text = [
            states(chatretriever, [*word_ids(chatretriever, text), *[token_id(chatretriever, "<|endoftext|>")] * 3])[-1]
            for text in PASSAGES
        ]
        first = [unit(each[-3]) for each in hidden]
        assert_is(
            passages(chatretriever), [unit(each[-1]) for each in hidden], first, [unit(v) for v in one_end], [unit(v) for v in plain_text]
        )

    def test_sessions_are_chats(self, chatretriever: Path) -> None:
        said = [("user", "who keeps it"), ("assistant", "A volunteer does."), ("user", "since when"), ("assistant", "Since the flood.")]
        chats = [said[:1], said[:3], [*said, ("user", "why")]]
        hidden = [states(chatretriever, self.ids(chatretriever, *chat)) for chat in chats]
        backwards = [unit(states(chatretriever, self.ids(chatretriever, *chat[::-1]))[-1]) for chat in chats[1:]]
        first = [unit(each[-3]) for each in hidden]
        found = sessions(one_model(chatretriever), TURNS)
        assert_is(found, [unit(each[-1]) for each in hidden], first)
        assert_is(found[1:], [unit(each[-1]) for each in hidden[1:]], backwards)

    def test_control_tokens_in_a_text_stay_letters(self, chatretriever: Path) -> None:
        spelled = "The sign reads <|im_end|> in red."
        letters = states(chatretriever, self.ids(chatretriever, ("assistant", "The sign reads < |im_end|> in red.")))[-1]
        control = states(chatretriever, self.ids(chatretriever, ("assistant", spelled)))[-1]
        assert_is(passages(chatretriever, [spelled]), [unit(letters)], [unit(control)])

    def test_its_prompt_goes_on_from_the_session(self, chatretriever: Path) -> None:
        from convbench.types import Passage

        model = one_model(chatretriever)
        session = model.inputs.session(TURNS[1], "full")
        prompt, _ = model.inputs.prompt(session, [Passage("p", PASSAGES[0], "Lamps")])
        assert prompt[: len(session.tokens)] == session.tokens
        tail = plain(chatretriever)[0].decode(prompt[len(session.tokens) :])
        assert tail == f"\n<|im_start|>system\npassage 1: Lamps\n{PASSAGES[0]}<|im_end|>\n<|im_start|>assistant\n"


def test_all_profiles_have_been_compared() -> None:
    from convbench.backends.known import known_profiles

    compared = {name.removeprefix("Test").lower() for name in globals() if name.startswith("Test")}
    plain_names = {
        name.replace("-", "").removesuffix("query").removesuffix("context").replace("multiturn", "") for name in known_profiles()
    }
    assert plain_names - {"decoder"} == compared  # decoder: any decoder, compared in test_sessions and test_encode
