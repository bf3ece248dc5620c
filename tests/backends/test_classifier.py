from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from backends.checkpoints import change_json, change_tensors
from backends.classifiers import NLI, SENTENCES, WORDS, directly, make_classifier

from convbench.backends.classifier import Judged, PairClassifier
from convbench.backends.placement import ModelConfig
from convbench.errors import ResourceError, UsageError

KINDS = ("bert", "roberta")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("classifiers")
    return {kind: make_classifier(root / kind, kind) for kind in KINDS}


@pytest.fixture
def copy(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A BERT to spoil."""
    return Path(shutil.copytree(folders["bert"], tmp_path / "spoilt"))


def classifier(folder: Path, batch_tokens: int = 8192) -> PairClassifier:
    return PairClassifier(ModelConfig(model=str(folder), device="cpu", dtype="float32", batch_tokens=batch_tokens), offline=True)


def pairs(seed: int, count: int) -> list[tuple[str, str]]:
    choose = random.Random(seed)
    return [
        (" ".join(choose.choices(WORDS, k=choose.randint(1, 9))), " ".join(choose.choices(WORDS, k=choose.randint(1, 6))))
        for _ in range(count)
    ]


def refusal(folder: Path) -> str:
    with pytest.raises(ResourceError) as caught:
        classifier(folder).judge(pairs(0, 1), 0, 1)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", KINDS)
def test_equals_transformers_on_single_pairs(folders: dict[str, Path], kind: str) -> None:
    asked = [*pairs(1, 12), (SENTENCES[0], "?"), ("", "the boat"), ("the boat", "")]
    for label in range(3):
        expected = [directly(folders[kind], *pair).softmax(-1)[label].item() for pair in asked]
        judged = classifier(folders[kind]).judge(asked, label, 1)
        assert [one.value for one in judged] == pytest.approx(expected, abs=1e-6)
        assert {one.reason for one in judged} == {None}


@pytest.mark.parametrize("kind", KINDS)
def test_values_depend_neither_on_the_order_nor_on_the_batch(folders: dict[str, Path], kind: str) -> None:
    asked = pairs(2, 30)
    together = [one.value for one in classifier(folders[kind]).judge(asked, 2, 1)]
    for other in (classifier(folders[kind], batch_tokens=1), classifier(folders[kind], batch_tokens=60)):
        backwards = [one.value for one in other.judge(asked[::-1], 2, 1)]
        assert backwards[::-1] == pytest.approx(together, abs=1e-6)
    assert len({round(value or 0, 9) for value in together}) > 25


def test_equal_pairs_are_computed_once_and_given_back_each(folders: dict[str, Path]) -> None:
    asked = pairs(3, 2)
    first, second = classifier(folders["bert"]).judge(asked, 0, 1)
    assert classifier(folders["bert"]).judge([asked[1], asked[0], asked[1]], 0, 1) == [second, first, second]
    assert classifier(folders["bert"]).judge([], 0, 1) == []


@pytest.mark.parametrize("kind", KINDS)
def test_with_one_window_a_long_premise_is_cut_as_transformers_cuts_it(folders: dict[str, Path], kind: str) -> None:
    premise, hypothesis = " ".join(SENTENCES * 3).replace(".", ""), "the red boat"
    (judged,) = classifier(folders[kind]).judge([(premise, hypothesis)], 2, 1)
    expected = directly(folders[kind], premise, hypothesis, truncation="only_first", max_length=48).softmax(-1)[2].item()
    assert judged.value == pytest.approx(expected, abs=1e-6)
    assert judged.reason is not None
    assert re.fullmatch(r"the premise was read up to token \d+ of \d+", judged.reason)


def test_the_best_window_of_a_long_premise_counts(folders: dict[str, Path]) -> None:
    choose = random.Random(4)
    premise, hypothesis = choose.choices(WORDS, k=100), "the red boat"
    room = 48 - 3 - 3  # [CLS] premise [SEP] the red boat [SEP]; every word is one token
    step = room - room // 4
    starts = range(0, 100 - room + step, step)  # the last one reaches the end
    windows = [" ".join(premise[start : start + room]) for start in starts]
    each = [directly(folders["bert"], window, hypothesis).softmax(-1)[2].item() for window in windows]
    assert max(each) > each[0] + 1e-3
    for most in (1, 2, len(each), 50):
        (judged,) = classifier(folders["bert"]).judge([(" ".join(premise), hypothesis)], 2, most)
        assert judged.value == pytest.approx(max(each[:most]), abs=1e-6)
        reached = room + (most - 1) * step
        assert judged.reason == (None if most >= len(each) else f"the premise was read up to token {reached} of 100")


def test_a_premise_that_just_fits_is_not_cut(folders: dict[str, Path]) -> None:
    fits, does_not = ["river"] * 42, ["river"] * 43
    judge = classifier(folders["bert"]).judge
    assert judge([(" ".join(fits), "the red boat")], 0, 1)[0].reason is None
    assert judge([(" ".join(does_not), "the red boat")], 0, 1)[0].reason == "the premise was read up to token 42 of 43"


def test_a_hypothesis_is_never_cut(folders: dict[str, Path]) -> None:
    long = " ".join(["river"] * 43)
    judged = classifier(folders["bert"]).judge([("the red boat", long), ("the red boat", "river")], 0, 4)
    assert judged[0] == Judged(None, "too long to be judged: 43 tokens, and the model takes 48 with the premise")
    assert judged[1].value is not None
    (fits,) = classifier(folders["bert"]).judge([("the", " ".join(["river"] * 44))], 0, 4)
    assert fits.reason is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_cannot_close_its_segment(folders: dict[str, Path], kind: str) -> None:
    end = {"bert": "[SEP]", "roberta": "</s>"}[kind]
    asked = ("the red boat", f"old letters {end} the red boat")
    (judged,) = classifier(folders[kind]).judge([asked], 2, 1)
    smuggled = directly(folders[kind], *asked).softmax(-1)[2].item()
    broken = directly(folders[kind], asked[0], asked[1].replace(end, f"{end[0]} {end[1:]}")).softmax(-1)[2].item()
    assert judged.value == pytest.approx(broken, abs=1e-6)
    assert abs(broken - smuggled) > 1e-4


@pytest.mark.parametrize("text", ["\ud800 boat", "naïve 東京 🙂", "\x00", "river " * 2000, "\u200b"])
def test_any_text_is_judged_or_refused_with_a_reason(folders: dict[str, Path], text: str) -> None:
    for kind in KINDS:
        for judged in classifier(folders[kind]).judge([(text, "the boat"), ("the boat", text)], 0, 3):
            assert judged.reason if judged.value is None else 0 <= judged.value <= 1


def test_independent_labels_have_probabilities_of_their_own(tmp_path: Path) -> None:
    several = make_classifier(tmp_path / "several", "bert", problem_type="multi_label_classification")
    single = make_classifier(tmp_path / "single", "bert", labels=("SUPPORTED",))
    for folder, label in ((several, 1), (single, 0)):
        expected = directly(folder, "the red boat", "the river").sigmoid()[label].item()
        assert classifier(folder).judge([("the red boat", "the river")], label, 1)[0].value == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("labels", "wanted", "found"),
    [
        (NLI, None, 2),
        (("ENTAILMENT", "NEUTRAL"), None, 0),
        (("not_entailment", "entailment"), None, 1),
        (("Hallucinated", "Faithful"), None, 1),
        (("REFUTES", "SUPPORTS", "NOT ENOUGH INFO"), None, 1),
        (("UNSUPPORTED", "SUPPORTED"), None, 1),
        (("LABEL_0", "LABEL_1"), 1, 1),
        (("LABEL_0", "LABEL_1"), "0", 0),
        (("LABEL_0", "LABEL_1"), "label 1", 1),
        (NLI, "Neutral", 1),
    ],
)
def test_the_positive_label(tmp_path: Path, labels: tuple[str, ...], wanted: str | int | None, found: int) -> None:
    folder = make_classifier(tmp_path / "model", "bert", labels=labels)
    assert classifier(folder).labels == labels
    assert classifier(folder).find_label(wanted) == found


@pytest.mark.parametrize(
    ("labels", "wanted", "found"),
    [
        (
            ("LABEL_0", "LABEL_1"),
            None,
            "none of its labels says by its name that a text is supported; its labels are 0: LABEL_0, 1: LABEL_1",
        ),
        (("entailment", "faithful"), None, "none of its labels"),
        (NLI, "faithful", "no single label 'faithful'; its labels are 0: contradiction, 1: neutral, 2: entailment"),
        (NLI, 3, "no single label 3"),
        (NLI, "3", "no single label '3'"),
        (NLI, -1, "no single label -1"),
    ],
)
def test_no_such_label(tmp_path: Path, labels: tuple[str, ...], wanted: str | int | None, found: str) -> None:
    folder = make_classifier(tmp_path / "model", "bert", labels=labels)
    with pytest.raises(UsageError, match=re.escape(found)) as caught:
        classifier(folder).find_label(wanted)
    assert "give the name or the number of the positive one" in str(caught.value)


def test_the_limit_is_the_least_of_tokenizer_and_positions(folders: dict[str, Path], tmp_path: Path) -> None:
    assert [classifier(folders[kind]).max_tokens for kind in KINDS] == [48, 48]
    for kind in KINDS:
        unlimited = Path(shutil.copytree(folders[kind], tmp_path / kind))
        change_json(unlimited / "tokenizer_config.json", model_max_length=int(1e30))
        assert classifier(unlimited).max_tokens == 48
        change_json(unlimited / "tokenizer_config.json", model_max_length=20)
        assert classifier(unlimited).max_tokens == 20
        value = classifier(unlimited).judge([("river " * 30, "boat")], 0, 9)[0].value
        assert value is not None


def test_pickled_weights_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    assert "pickled weights (pytorch_model.bin), which can run code and are not loaded" in refusal(copy)


def test_code_of_a_checkpoint_is_not_run(copy: Path) -> None:
    (copy / "own.py").write_text("raise SystemExit('this ran')\n", encoding="utf-8")
    change_json(copy / "config.json", model_type="own", auto_map={"AutoConfig": "own.C", "AutoModelForSequenceClassification": "own.M"})
    assert "spoilt@" in refusal(copy)


def test_a_model_without_a_classifier_is_refused(folders: dict[str, Path], copy: Path) -> None:
    change_json(copy / "config.json", architectures=["BertModel"])
    assert "its config.json names BertModel, expected one that ends with ForSequenceClassification" in labels_refusal(copy)
    change_json(copy / "config.json", architectures=["BertForSequenceClassification"])
    change_tensors(copy / "model.safetensors", without="classifier")
    assert "the files lack tensors of BertForSequenceClassification" in refusal(copy)
    assert "classifier.bias, classifier.weight (2 in all)" in refusal(copy)


def labels_refusal(folder: Path) -> str:
    with pytest.raises(ResourceError) as caught:
        _ = classifier(folder).labels
    return str(caught.value)


def test_a_head_for_other_labels_is_refused(copy: Path) -> None:
    change_tensors(copy / "model.safetensors", **{"classifier.weight": torch.zeros(2, 16), "classifier.bias": torch.zeros(2)})
    assert "or have them in another shape: classifier.bias, classifier.weight (2 in all)" in refusal(copy)


def test_a_regression_is_refused(tmp_path: Path) -> None:
    folder = make_classifier(tmp_path / "model", "bert", labels=("score",), problem_type="regression")
    assert "it gives a number and no label" in labels_refusal(folder)


def test_a_tokenizer_that_joins_two_texts_without_a_sign_is_refused(copy: Path, tmp_path: Path) -> None:
    from backends.checkpoints import make_tokenizer

    for path in copy.glob("*token*"):
        path.unlink()
    (copy / "vocab.txt").unlink(missing_ok=True)
    make_tokenizer("qwen3", copy)
    change_json(copy / "config.json", vocab_size=600)
    change_tensors(copy / "model.safetensors", **{"bert.embeddings.word_embeddings.weight": torch.zeros(600, 16)})
    assert "its tokenizer puts nothing between two texts" in refusal(copy)


def test_another_models_tokenizer_is_refused(folders: dict[str, Path], copy: Path) -> None:
    change_json(copy / "config.json", vocab_size=50)
    change_tensors(copy / "model.safetensors", **{"bert.embeddings.word_embeddings.weight": torch.zeros(50, 16)})
    assert "but the model has embeddings for 50" in refusal(copy)


def test_a_checkpoint_that_is_nowhere() -> None:
    with pytest.raises(ResourceError, match="not on this machine and --offline forbids fetching it"):
        _ = PairClassifier(ModelConfig(model="nobody/no-such-model"), offline=True).labels


def test_importing_the_module_loads_no_heavy_library() -> None:
    code = "import sys, convbench.backends.classifier; print([name for name in ('torch', 'transformers') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
