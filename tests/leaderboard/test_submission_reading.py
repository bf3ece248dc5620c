from __future__ import annotations

import gzip
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from submission_folders import COLLECTION, TURNS, card, only, records, submit, track_of, write_bytes, write_lines

from convbench.leaderboard.names import name_clashes, skeleton, unseen_character
from convbench.leaderboard.submission import Submission, read_cards, read_submission
from convbench.leaderboard.track import Track
from convbench.systems.catalog import baseline_names


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "boards"


@pytest.fixture
def track(root: Path) -> Track:
    return track_of(root)


def changed(place: int, **values: Any) -> list[dict[str, Any]]:
    lines = records()
    lines[place].update(values)
    return lines


def read(root: Path, track: Track, lines: list[dict[str, Any]] | None = None, **values: Any) -> Submission:
    submit(root, "ours", lines, **values)
    return read_submission(root, track, "ours", turns=TURNS)


def test_a_submission_in_order(root: Path, track: Track) -> None:
    found = read(root, track, collection_sha256=COLLECTION, header={"dataset": "topiocqa", "split": "mini"})
    assert found.findings == ()
    assert not found.refused
    assert found.card is not None
    assert found.card.name == "System ours"
    assert found.run is not None
    assert list(found.run.records) == list(TURNS)
    assert found.run.records["1_2"].passages == (("a", 2.0), ("b", 1.0))
    assert read_submission(root, track, "ours").findings == ()


def test_turns_left_out(root: Path, track: Track) -> None:
    found = read(root, track, records()[:1])
    assert found.refused
    said = only(found.findings)
    assert said == ("turns-missing: run.jsonl.gz: 2 of the track's 3 turns are left out (first: 1_2, 2_1); every turn needs a record")
    assert only(read_submission(root, track, "ours").findings).startswith("turns-differ: run.jsonl.gz: its 1 turns are not the track's")


def test_extra_turns(root: Path, track: Track) -> None:
    lines = [*records(), {"turn_id": "9_9", "passages": [["a", 1.0]]}]
    assert only(read(root, track, lines).findings) == ("turns-extra: run.jsonl.gz: 1 turns are not among the track's 3 (9_9); remove them")
    assert only(read_submission(root, track, "ours").findings).startswith("turns-differ: ")


def test_a_turn_twice(root: Path, track: Track) -> None:
    assert only(read(root, track, [*records(), records()[0]]).findings) == "run: run.jsonl.gz:5: turn '1_1' appears twice"


def test_duplicate_passages(root: Path, track: Track) -> None:
    lines = changed(1, passages=[["a", 3.0], ["b", 2.0], ["a", 1.0]])
    assert only(read(root, track, lines).findings) == "run: run.jsonl.gz:3: turn '1_2': passage 'a' appears twice"


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf"), 10**400, "1.0", None, True])
def test_scores_that_are_not_finite_numbers(root: Path, track: Track, score: object) -> None:
    said = only(read(root, track, changed(2, passages=[["a", score]])).findings)
    assert said.startswith("run: run.jsonl.gz:4: turn '2_1': passage 'a': score ")


def test_a_score_beyond_what_scorers_hold(root: Path, track: Track) -> None:
    said = only(read(root, track, changed(2, passages=[["a", 1e308], ["b", 1.0]])).findings)
    assert said == "run: run.jsonl.gz: turn 2_1: passage 'a' has the score 1e+308; expected a finite 32-bit number"


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_claimed_scores_that_are_not_finite(root: Path, track: Track, score: float) -> None:
    said = only(read(root, track, scores={"nDCG@3": score}).findings)
    assert "manifest.yaml" in said
    assert "scores.nDCG@3" in said
    assert "finite" in said


@pytest.mark.parametrize("score", [1e308, 1e300, -1e9, True, "0.9", "0.9 "])
def test_claimed_scores_that_are_no_scores(root: Path, track: Track, score: object) -> None:
    assert "scores.nDCG@3: input should be" in only(read(root, track, scores={"nDCG@3": score}).findings)


def test_a_key_twice_and_a_number_in_base_60(root: Path, track: Track) -> None:
    folder = submit(root, "ours")
    plain = (folder / "manifest.yaml").read_text(encoding="utf-8")
    for text, said in (
        ("name: other\n", "manifest.yaml:7: the key 'name' appears twice in one mapping; keep one"),
        ("scores: {nDCG@3: 0.1, nDCG@3: 0.4}\n", "manifest.yaml:7: the key 'nDCG@3' appears twice"),
        ("scores: {nDCG@3: 190:20:30}\n", "manifest.yaml:7: '190:20:30' is read as a number in base 60"),
        ("scores: {nDCG@3: 190:20:30.15}\n", "manifest.yaml:7: '190:20:30.15' is read as a number in base 60"),
    ):
        (folder / "manifest.yaml").write_text(plain + text, encoding="utf-8")
        assert only(read_submission(root, track, "ours").findings).startswith(f"manifest: {said}")


@pytest.mark.parametrize(
    ("authors", "shows"),
    [
        ("\u06a9\u062a\u0627\u0628\u200c\u062e\u0627\u0646\u0647", True),  # Persian: two parts of a word, not joined
        ("\u0915\u094d\u200d\u0937", True),
        ("The \U0001f469\u200d\U0001f4bb team", True),
        ("\U0001f469\u200d\u2764\ufe0f\u200d\U0001f468", True),
        ("a\u200cb", False),
        ("\u0430\u200d\u0431", False),
        ("\u200c\u06a9\u062a", False),
        ("\u06a9\u200c", False),
        ("\u06a9\u200c\u200c\u062a", False),
        ("\U0001f469\u200c\U0001f4bb", False),
        ("\u06a9\u202e\u062a", False),
        ("a\ufe0f", False),
    ],
)
def test_joiners_stand_where_writing_needs_them_and_never_in_names(root: Path, track: Track, authors: str, shows: bool) -> None:
    found = read(root, track, authors=authors, description=f"By\n{authors}.")
    assert (found.findings == ()) == shows
    folder = submit(root, "named", name=authors)
    assert "name: holds U+" in only(read_submission(root, track, "named", turns=TURNS).findings)
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"header": {"dataset": "inscit"}}, "other-dataset: run.jsonl.gz: its header says dataset 'inscit', the track is of 'topiocqa'"),
        ({"header": {"split": "train"}}, "other-dataset: run.jsonl.gz: its header says split 'train', the track is of 'mini'"),
        ({"header": {"collection": {"sha256": "d" * 64}}}, "other-collection: run.jsonl.gz: collection_sha256 is dddd"),
        ({"header": {"turnset_sha256": ["\u202e"]}}, "other-turn-set: run.jsonl.gz: turnset_sha256 is ['\\u202e']"),
        ({"collection_sha256": "d" * 64}, "other-collection: manifest.yaml: collection_sha256 is dddd"),
        ({"turnset_sha256": "d" * 64}, "other-turn-set: manifest.yaml: turnset_sha256 is dddd"),
        ({"track": "inscit-mini"}, "other-track: manifest.yaml: track: 'inscit-mini', but the submission stands in toy: move it"),
        ({"id": "theirs"}, "submission-id: manifest.yaml: id: expected 'ours', the folder's name, found 'theirs'"),
        ({"id": "../ours"}, "manifest: manifest.yaml:2: id: string should match pattern"),
        ({"evidence": "gold"}, "other-conditions: manifest.yaml: evidence is 'gold', the track takes 'retrieved'"),
        ({"links": {"code": "javascript:alert(1)"}}, "manifest: manifest.yaml:5: links.code: string should match pattern"),
        ({"submitted": "2026-02-30"}, "manifest: manifest.yaml:5: submitted: day"),
        ({"submitted": "0001-01-01"}, "manifest: manifest.yaml:5: submitted: earlier than 2018-01-01"),
        (
            {"links": {"code": "https://github.com@evil.example/"}},
            "manifest: manifest.yaml:5: links.code: an address names a site, without",
        ),
        ({"links": {"code": "https://a:b@evil.example/"}}, "manifest: manifest.yaml:5: links.code: "),
        ({"links": {"code": "https:///x"}}, "manifest: manifest.yaml:5: links.code: an address names a site"),
        ({"cost": {"price": 1e308}}, "manifest: manifest.yaml:2: cost.price: input should be less than or equal to"),
        ({"cost": {"tokens_in": True}}, "manifest: manifest.yaml:2: cost.tokens_in: input should be a valid integer"),
        ({"parameters": 10**30}, "manifest: manifest.yaml:"),
        ({"colour": "red"}, "manifest: manifest.yaml:1: colour: extra inputs are not permitted"),
    ],
)
def test_what_belongs_elsewhere(root: Path, track: Track, values: dict[str, Any], said: str) -> None:
    submit(root, "plain")
    id_ = values.pop("id", None)
    folder = submit(root, "ours", **values)
    if id_:
        (folder / "manifest.yaml").write_text(yaml.safe_dump(card(id_)), encoding="utf-8")
    assert only(read_submission(root, track, "ours", turns=TURNS).findings).startswith(said)
    assert read_submission(root, track, "plain", turns=TURNS).findings == ()


def test_evidence_that_is_not_said_is_marked(root: Path, track: Track) -> None:
    (finding,) = read(root, track, evidence=None).findings
    assert (finding.check, finding.severity) == ("conditions-unknown", "flag")


def test_a_ceiling_may_see_gold(root: Path, track: Track) -> None:
    assert read(root, track, evidence="gold", kind="oracle").findings == ()


def test_nothing_to_score(root: Path, track: Track) -> None:
    lines = [{"turn_id": turn_id, "response": "yes"} for turn_id in TURNS]
    assert only(read(root, track, lines).findings) == "nothing-to-score: run.jsonl.gz: no turn has passages"


def test_passages_below_the_depth_are_left_out(root: Path) -> None:
    found = read(root, track_of(root, depth=1), changed(0, passages=[["a", 1.0], ["b", 2.0]]))
    assert [(finding.check, finding.severity) for finding in found.findings] == [("depth", "note")]
    assert found.run is not None
    assert found.run.records["1_1"].passages == (("b", 2.0),)


def test_rankings_become_canonical(root: Path, track: Track) -> None:
    run = read(root, track, changed(0, passages=[["a", 1.0], ["c", 1.0], ["b", 2.0]])).run
    assert run is not None
    assert [passage_id for passage_id, _ in run.records["1_1"].passages] == ["b", "c", "a"]


def test_html_is_kept_as_text(root: Path, track: Track) -> None:
    name = '<img src=x onerror="alert(1)">&amp;'
    found = read(root, track, name=name)
    assert found.findings == ()
    assert found.card is not None
    assert found.card.name == name


def test_paths_in_passage_ids_are_kept_as_text(root: Path, track: Track, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    found = read(root, track, changed(0, passages=[["../../../etc/passwd", 2.0], ["/dev/zero", 1.0], ["C:\\a", 0.5]]))
    assert found.findings == ()
    assert {path.relative_to(tmp_path).parts[:2] for path in sorted(tmp_path.rglob("*")) if path not in before} == {("boards", "toy")}


@pytest.mark.parametrize("turn_id", ["../1_1", "a b_1", "a\u202e_1", "a\x00_1", "\ud800_1", "", "x" * 1001, "a\u2028_1"])
def test_turn_ids_that_no_file_can_hold(root: Path, track: Track, turn_id: str) -> None:
    submit(root, "ours", changed(0, turn_id=turn_id))
    said = only(read_submission(root, track, "ours").findings)
    assert said.startswith("turns-differ: " if turn_id == "../1_1" else "run: run.jsonl.gz")


@pytest.mark.parametrize("passage_id", ["", "a\x1b[2J", "a\nb", "\ud800", "a\u2423b", "x" * 1001])
def test_passage_ids_that_no_file_can_hold(root: Path, track: Track, passage_id: str) -> None:
    assert only(read(root, track, changed(0, passages=[[passage_id, 1.0]])).findings).startswith("run: run.jsonl.gz")


def test_deep_json(root: Path, track: Track) -> None:
    folder = submit(root, "ours")
    for depth in (65, 100_000):
        write_bytes(folder, b'{"turn_id":"1_1","ledger":' + b"[" * depth + b"]" * depth + b"}\n")
        said = only(read_submission(root, track, "ours").findings)
        assert said == "run: run.jsonl.gz:1: lists and objects within each other go deeper than 64 levels, the most that is read"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "run: run.jsonl.gz: holds no turns"),
        (b"{}\n", "run: run.jsonl.gz:1: field 'turn_id' is missing"),
        (b"[]\n", "run: run.jsonl.gz:1: expected a JSON object, found list"),
        (b"\xff\n", "run: run.jsonl.gz:1: not UTF-8"),
        (b'{"schema":"x\\u001b"}\n', "run: run.jsonl.gz:1: schema 'x\\x1b' is not known"),
        (b'{"turn_id":"1_1","passages":' + b"9" * 5000 + b"}\n", "run: run.jsonl.gz:1: not valid JSON: Exceeds the limit"),
    ],
)
def test_what_is_no_run(root: Path, track: Track, content: bytes, said: str) -> None:
    write_bytes(submit(root, "ours"), content)
    assert only(read_submission(root, track, "ours").findings).startswith(said)


def test_a_pickle_is_not_loaded(root: Path, track: Track, tmp_path: Path) -> None:
    folder = submit(root, "ours")
    hostile = pickle.dumps(_Touch(tmp_path / "touched"))
    (folder / "run.jsonl.gz").write_bytes(hostile)
    assert only(read_submission(root, track, "ours").findings).startswith("run: run.jsonl.gz:1: no whole gzip file")
    (folder / "run.jsonl.gz").write_bytes(gzip.compress(hostile))
    assert only(read_submission(root, track, "ours").findings).startswith("run: run.jsonl.gz:1: not ")
    write_lines(folder, records())
    (folder / "manifest.yaml").write_bytes(hostile)
    assert only(read_submission(root, track, "ours").findings).startswith("manifest: manifest.yaml: not ")
    assert not (tmp_path / "touched").exists()


class _Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: !!python/object/apply:os.system ['touch {}']\n", "manifest.yaml:1: not valid YAML: could not determine a constructor"),
        ("name: !!binary aGk=\n", "manifest: manifest.yaml:"),
        ("name: &a [x]\nlinks: *a\n", "manifest.yaml:1: anchors and aliases (& and *) are not read"),
        ("<<: {name: x}\n", "manifest: manifest.yaml:"),
        ("- " * 100_000, "manifest: manifest.yaml:"),
        ("[" * 100_000, "manifest: manifest.yaml:"),
        ("name: " + "x" * 300_000, "manifest.yaml: larger than 256 KiB"),
        ("--- a\n--- b\n", "manifest: manifest.yaml:"),
        ("", "expected a mapping, found NoneType"),
        ("1: x\n", "manifest: manifest.yaml:"),
        ("null: x\n", "manifest: manifest.yaml:"),
        ("? [a]\n: b\n", "manifest: manifest.yaml:"),
        ("submitted: 2026-01-01T00:00:00Z\n", "manifest: manifest.yaml:"),
        ("parameters: " + "9" * 999, "manifest: manifest.yaml:"),
        ("parameters: 1:1:1:1\n", "manifest: manifest.yaml:"),
        ("scores: {a: 1e999}\n", "manifest: manifest.yaml:"),
    ],
)
def test_yaml_that_is_more_than_a_card(root: Path, track: Track, tmp_path: Path, text: str, said: str) -> None:
    folder = submit(root, "ours")
    (folder / "manifest.yaml").write_text(text.replace("{}", str(tmp_path / "touched")), encoding="utf-8")
    found = only(read_submission(root, track, "ours").findings)
    assert said in found
    assert str(tmp_path) not in found.replace(str(tmp_path / "touched"), "")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    "name",
    [
        "a\x1b[31mb",
        "a\x00b",
        "a\u202eb",
        "a\u2066b",
        "a\u200bb",
        "\ufeffa",
        "a\u2028b",
        "a\nb",
        "a\x85b",
        "a\u3164b",
        "a\u00adb",
        "a\ufe0fb",
        "a\U000e0100b",
        "a\U00016fe4b",
        "a\U0001d159b",
        "a\u2065b",
        "a\ufff3b",
        "a\u2800b",
    ],
)
@pytest.mark.parametrize("key", ["name", "authors"])
def test_characters_that_do_not_show(root: Path, track: Track, name: str, key: str) -> None:
    folder = submit(root, "ours")
    (folder / "manifest.yaml").write_text(yaml.safe_dump(card("ours", **{key: name})), encoding="ascii")
    said = only(read_submission(root, track, "ours").findings)
    assert said.startswith("manifest: manifest.yaml:")
    assert f"{key}: holds U+" in said


def test_a_description_may_have_lines() -> None:
    assert unseen_character("a\n\tb", lines=True) is None
    assert unseen_character("a\u202eb\n", lines=True) == "U+202E (RIGHT-TO-LEFT OVERRIDE)"
    assert unseen_character("Größe μ 模型") is None


@pytest.mark.parametrize(
    "name",
    [
        "BМ25",
        "ВМ25",
        "Bm25",
        "BM 25",
        "ＢＭ25",
        "𝐁𝐌25",
        "B\u0301M25",
        "bm25",
        " BM25 ",
        "ΒΜ25",
        "\u0299\u1d0d25",
        "\u13fcM25",
        "\ua4d0M25",
        "brn25",
        "B\u20ddM25",
        "B\u20de M25\u20df",
        "'BM25'",
        "\u201cBM25\u201d",
        "\u212c\u216f25",
        "\U0001d401\U0001d40c\U0001d7d0\U0001d7d3",
    ],
)
def test_a_name_that_looks_like_another_one_is_not_taken(root: Path, track: Track, name: str) -> None:
    submit(root, "theirs", name="BM25", submitted="2026-03-01")
    submit(root, "ours", name=name, submitted="2026-03-02")
    found = name_clashes(read_cards(root, track))
    assert list(found) == ["ours"]
    assert found["ours"].message.isascii()
    assert found["ours"].message.endswith("of the submission theirs; choose another name")


def test_who_imitates_does_not_win_by_an_earlier_day(root: Path, track: Track) -> None:
    submit(root, "theirs", name="ConvDR", submitted="2026-03-01")
    submit(root, "ours", name="СonvDR", submitted="2020-01-01")
    assert list(name_clashes(read_cards(root, track))) == ["ours"]


def test_who_was_accepted_keeps_the_name(root: Path, track: Track) -> None:
    submit(root, "theirs", name="Systeme-X\u0301", submitted="2026-03-01")
    submit(root, "ours", name="Systeme-X", submitted="2018-01-01")
    cards = read_cards(root, track)
    assert list(name_clashes(cards)) == ["theirs"]
    (finding,) = name_clashes(cards, {"theirs"}).items()
    assert (finding[0], finding[1].check, finding[1].severity) == ("ours", "name-taken", "refused")
    both = name_clashes(cards, {"theirs", "ours"})
    assert {id_: (each.check, each.severity) for id_, each in both.items()} == dict.fromkeys(("ours", "theirs"), ("name-shared", "flag"))
    assert "of the submission theirs; both were accepted before" in both["ours"].message
    submit(root, "third", name="SYSTEME-X", submitted="2018-01-01")
    three = name_clashes(read_cards(root, track), {"theirs", "ours"})
    assert {id_: each.severity for id_, each in three.items()} == {"ours": "flag", "theirs": "flag", "third": "refused"}


def test_names_of_the_baselines_are_told_apart() -> None:
    names = baseline_names()
    assert len({skeleton(name) for name in names}) == len(names) > 30
    assert len({skeleton(name) for name in ("BM25", "BM25+", "BM52", "bm25-history", "模型", "модель", "model")}) == 7


def test_cards_that_cannot_be_read_do_not_stop_others(root: Path, track: Track) -> None:
    submit(root, "a")
    submit(root, "b")
    (root / "toy" / "submissions" / "a" / "manifest.yaml").write_text("[", encoding="utf-8")
    (root / "toy" / "submissions" / "c").symlink_to(root / "toy" / "submissions" / "b")
    assert list(read_cards(root, track)) == ["b"]


def test_nothing_that_a_submission_holds_raises(root: Path, track: Track) -> None:
    folder, chance = submit(root, "ours"), random.Random(0)
    manifest, lines = (folder / "manifest.yaml").read_bytes(), gzip.decompress((folder / "run.jsonl.gz").read_bytes())
    packed = (folder / "run.jsonl.gz").read_bytes()
    for _ in range(150):
        (folder / "manifest.yaml").write_bytes(spoilt(manifest, chance))
        (folder / "run.jsonl.gz").write_bytes(spoilt(packed, chance) if chance.random() < 0.3 else gzip.compress(spoilt(lines, chance), 1))
        found = read_submission(root, track, "ours", turns=TURNS)
        assert all(finding.message.isprintable() for finding in found.findings)


def spoilt(content: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, or cut out."""
    changed = bytearray(content)
    for _ in range(chance.randrange(3)):
        start = chance.randrange(len(changed))
        changed[start : start + chance.randrange(3)] = chance.choice(
            [b"", b"\x00", b'"', b"[", b"{", b"9", b"&a", b"!!x", b"\xff", b"\n", b"-"]
        )
    return bytes(changed)
