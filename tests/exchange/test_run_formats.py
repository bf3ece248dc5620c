"""Every format of runs: what it can hold comes back as it was, what it cannot is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convbench.errors import DataError, ResourceError, RunFileError, UsageError
from convbench.exchange import FORMATS
from convbench.exchange.base import ExportRequest, ImportRequest, Summary
from convbench.exchange.run_format import PARTS, RunFormat
from convbench.io.runfile import read_run, write_run
from convbench.systems.replay import read_records
from convbench.types import Run, TurnRecord
from tests.exchange.runs import refusal, runs, there_and_back

KINDS = [
    ("trec", ".trec"),
    ("ranx", ".json"),
    ("ranx", ".parquet"),
    ("scai-qrecc", ".json"),
    ("ikat", ".json"),
    ("mtrag", ".jsonl"),
    ("responses", ".jsonl"),
]
NUMBERED = st.builds("{}_{}".format, st.integers(0, 999), st.integers(1, 2000))


def kept(name: str, suffix: str, record: TurnRecord) -> TurnRecord:
    """What must come back of a record."""
    parts = {part: getattr(record, part) for part in FORMATS.get(name).holds}
    if name == "ikat":
        parts["evidence"] = tuple(passage for passage, _ in record.passages if passage in record.evidence)
    if name == "mtrag" and record.passages:
        parts["evidence"] = ()
    return TurnRecord(record.turn_id, **parts)


@pytest.mark.parametrize(("name", "suffix"), KINDS)
@settings(max_examples=30)
@given(data=st.data())
def test_what_a_format_holds_comes_back(name, suffix, data):
    run = data.draw(runs(NUMBERED) if name == "scai-qrecc" else runs())
    silent = (
        {turn_id for turn_id, record in run.records.items() if not record.passages} if name == "trec" or suffix == ".parquet" else set()
    )
    if len(silent) == len(run.records):
        return  # nothing is left, and a file without turns is refused
    back, sent, brought = there_and_back(name, suffix, run)
    assert back.records == {turn_id: kept(name, suffix, record) for turn_id, record in run.records.items() if turn_id not in silent}
    assert list(back.records) == [turn_id for turn_id in run.records if turn_id not in silent]
    assert brought.notes == []
    lost = {note.what: note.count for note in sent.notes}
    format_ = FORMATS.get(name)
    for part, words in PARTS.items():
        there = sum(getattr(record, part) != getattr(TurnRecord(""), part) for record in run.records.values())
        assert lost.get(words, 0) == (0 if part in format_.holds else there), words
    assert lost.get("turns with an empty ranking", 0) == len(silent)
    assert lost.get("header fields of the run", 0) == len(run.header.keys() - format_.holds_header)


def named(name: str, ids: str) -> Run:
    return Run({}, {turn_id: TurnRecord(turn_id, passages=(("d", 1.0),), response="r") for turn_id in ids.split()})


@pytest.mark.parametrize(("name", "suffix"), [kind for kind in KINDS if kind[0] != "scai-qrecc"])
@pytest.mark.parametrize("pattern", ["<conversation>-<turn>", "t<turn>:<conversation>", "<conversation>_q#<turn0>"])
def test_turns_are_named_as_the_pattern_says(name, suffix, pattern):
    run = named(name, "5-3_1 5-3_12 b_1")
    back, _, _ = there_and_back(name, suffix, run, turn_ids=pattern)
    assert list(back.records) == list(run.records)


def bring(tmp_path: Path, name: str, content: object, suffix: str = ".json", **options: str) -> tuple[Run, Summary]:
    """Imports a file of this content."""
    source = tmp_path / f"source{suffix}"
    source.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    summary = FORMATS.get(name).import_(ImportRequest(source, tmp_path / "out.jsonl", **options))
    return read_run(tmp_path / "out.jsonl"), summary


def send(tmp_path: Path, name: str, record: TurnRecord, suffix: str = ".json", **header: object) -> tuple[object, Summary]:
    """Exports one record; what is in the file, and the summary."""
    write_run(tmp_path / "own.jsonl", header, [record])
    out = tmp_path / f"foreign{suffix}"
    summary = FORMATS.get(name).export(ExportRequest(tmp_path / "own.jsonl", None, out))
    return json.loads(out.read_text(encoding="utf-8")), summary


def notes(summary: Summary) -> dict[str, int]:
    return {note.what: note.count for note in summary.notes}


RECORD = TurnRecord("9-1_3", "q", (("p 1", 2.5), ("p2", 0.1)), "Because.", ("p 1",))


def test_the_scai_layout(tmp_path):
    value, _ = send(tmp_path, "scai-qrecc", replace(RECORD, turn_id="9_3"))
    assert value == [
        {"Conversation_no": 9, "Turn_no": 3, "Model_rewrite": "q", "Model_passages": {"p 1": 2.5, "p2": 0.1}, "Model_answer": "Because."}
    ]


def test_scai_fields_are_optional_and_other_fields_are_named(tmp_path):
    turns = [
        {"Conversation_no": 2, "Turn_no": 1, "Model_answer": ""},
        {"Conversation_no": 2, "Turn_no": 2, "Model_passages": {"b": 1, "a": 1}, "Model_evidence": {"passage_id": "a", "text": "x"}},
        {"Conversation_no": 2, "Turn_no": 3, "Model_answer": None, "Model_rewrite": None, "Model_passages": None, "Model_evidence": {}},
    ]
    run, summary = bring(tmp_path, "scai-qrecc", turns)
    assert run.records["2_1"] == TurnRecord("2_1", response="")
    assert run.records["2_2"] == TurnRecord("2_2", passages=(("b", 1.0), ("a", 1.0)))  # ties stay as the file has them
    assert run.records["2_3"] == TurnRecord("2_3")
    assert notes(summary) == {"field 'Model_evidence'": 1}


def test_scai_conversations_are_numbers(tmp_path):
    with pytest.raises(UsageError, match="'9-1_3': scai-qrecc numbers conversations"):
        send(tmp_path, "scai-qrecc", RECORD)
    assert not (tmp_path / "foreign.json").exists()


def test_the_ikat_layout(tmp_path):
    value, _ = send(tmp_path, "ikat", RECORD, run_name="mine", run_type="manual")
    assert value == {
        "run_name": "mine",
        "run_type": "manual",
        "turns": [
            {
                "turn_id": "9-1_3",
                "responses": [
                    {
                        "rank": 1,
                        "text": "Because.",
                        "ptkb_provenance": [],
                        "passage_provenance": [
                            {"id": "p 1", "text": "", "score": 2.5, "used": True},
                            {"id": "p2", "text": "", "score": 0.1, "used": False},
                        ],
                    }
                ],
            }
        ],
    }


def test_ikat_responses_give_one_ranking_in_the_tracks_order(tmp_path):
    def response(rank: int, text: str, **scores: float) -> dict[str, object]:
        return {"rank": rank, "text": text, "passage_provenance": [{"id": id_, "score": score} for id_, score in scores.items()]}

    turn = {"turn_id": "9-1_1", "responses": [response(2, "later", c=9.0, b=8.0), response(1, "first", a=0.1, b=0.2)]}
    run, summary = bring(tmp_path, "ikat", {"run_name": "r", "turns": [turn]})
    assert run.records["9-1_1"].passages == (("b", 3.0), ("a", 2.0), ("c", 1.0))
    assert run.records["9-1_1"].response == "first"
    assert run.header == {"run_name": "r"}
    assert notes(summary) == {"text of later responses": 1, "scores of rankings": 1}


def test_ikat_statements_and_texts_are_named_as_not_read(tmp_path):
    provenance = [{"id": "p", "score": 1.5, "text": "words", "used": True}]
    response = {"rank": 1, "text": "t", "ptkb_provenance": [3], "passage_provenance": provenance}
    turns = [{"turn_id": "9-1_1", "responses": [response]}, {"turn_id": "9-1_2", "responses": []}]
    run, summary = bring(tmp_path, "ikat", {"run_name": "r", "run_type": "automatic", "eval_response": True, "turns": turns})
    assert run.records["9-1_1"] == TurnRecord("9-1_1", passages=(("p", 1.5),), response="t", evidence=("p",))
    assert run.records["9-1_2"] == TurnRecord("9-1_2")
    assert notes(summary) == {"field 'eval_response'": 1, "field 'ptkb_provenance'": 1, "field 'passage_provenance.text'": 1}


def test_ikat_evidence_outside_the_ranking_is_named(tmp_path):
    _, summary = send(tmp_path, "ikat", replace(RECORD, evidence=("elsewhere",)))
    assert notes(summary) == {"queries as sent to the retriever": 1, "order of the evidence, or evidence outside the ranking": 1}


def test_the_mtrag_layout(tmp_path):
    value, _ = send(tmp_path, "mtrag", RECORD, ".jsonl", dataset="mine")
    assert value == {
        "task_id": "9-1<::>3",
        "conversation_id": "9-1",
        "turn": 3,
        "Collection": "mine",
        "contexts": [{"document_id": "p 1", "score": 2.5}, {"document_id": "p2", "score": 0.1}],
        "predictions": [{"text": "Because."}],
    }


def test_mtrag_tasks(tmp_path):
    lines = [
        '{"task_id": "ab<::>1", "Collection": "c", "Multi-Turn": NaN, "contexts": [{"document_id": "d", "score": 1, "text": "t"}]}',
        '{"task_id": "ab::2", "Collection": "c", "contexts": [{"document_id": "d"}], "predictions": [{"text": "x"}, {"text": "y"}]}',
        '{"task_id": "ab::3", "Collection": "c", "contexts": [], "predictions": []}',
    ]
    run, summary = bring(tmp_path, "mtrag", "\n".join(lines), ".jsonl")
    assert run.records["ab_1"] == TurnRecord("ab_1", passages=(("d", 1.0),))
    assert run.records["ab_2"] == TurnRecord("ab_2", response="x", evidence=("d",))
    assert run.records["ab_3"] == TurnRecord("ab_3")
    assert run.header == {"dataset": "c"}
    assert notes(summary) == {"field 'Multi-Turn'": 1, "field 'contexts.text'": 1, "later predictions": 1}


def test_several_mtrag_collections_are_named(tmp_path):
    lines = "".join(json.dumps({"task_id": f"a<::>{n}", "Collection": name}) + "\n" for n, name in enumerate("xyx", 1))
    run, summary = bring(tmp_path, "mtrag", lines, ".jsonl")
    assert run.header == {}
    assert notes(summary) == {"names of collections": 2}


def test_responses_under_their_usual_names(tmp_path):
    lines = [
        '{"turn_id": "1_1", "response": "a", "abstained": true}',
        '{"id": "1_2", "answer": "b", "model": "m"}',
        '{"qid": "1_3", "prediction": "c"}',
        '{"query_id": "1_4", "text": null}',
    ]
    run, summary = bring(tmp_path, "responses", "\n".join(lines), ".jsonl")
    assert [record.response for record in run.records.values()] == ["a", "b", "c", None]
    assert [record.abstained for record in run.records.values()] == [True, False, False, False]
    assert notes(summary) == {"field 'model'": 1}


def test_a_trec_run_keeps_its_tag_order_and_scores(tmp_path):
    content = "1_1 Q0 b 7 0.1 my-tag\n1_1 Q0 a␣b 1 0.30000000000000004 my-tag\n"
    run, _ = bring(tmp_path, "trec", content, ".trec")
    assert run == Run({"run_name": "my-tag"}, {"1_1": TurnRecord("1_1", passages=(("b", 0.1), ("a b", 0.30000000000000004)))})


def test_ranx_tables_of_other_tools(tmp_path):
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"q_id": [1, 1], "doc_id": ["a", "b"], "score": [0.5, 0.25], "fold": [1, 2]})
    table.to_parquet(tmp_path / "run.parquet")
    request = ImportRequest(tmp_path / "run.parquet", tmp_path / "out.jsonl", "<conversation>")
    summary = FORMATS.get("ranx").import_(request)
    assert read_run(tmp_path / "out.jsonl").records == {"1_1": TurnRecord("1_1", passages=(("a", 0.5), ("b", 0.25)))}
    assert notes(summary) == {"field 'fold'": 2}


def test_lz4_where_the_package_is(tmp_path):
    try:
        run = named("ranx", "1_1 1_2")
        back, _, _ = there_and_back("ranx", ".lz4", run)
        assert list(back.records) == ["1_1", "1_2"]
    except ResourceError as error:
        assert "install it" in str(error)  # noqa: PT017 - either is right, whichever machine this is


def test_a_run_is_made_canonical_on_its_way_out_and_that_is_said(tmp_path):
    value, summary = send(tmp_path, "ranx", TurnRecord("1_1", passages=(("a", 1.0), ("b", 1.0))))
    assert list(value["1_1"]) == ["b", "a"]
    assert value["1_1"]["a"] < value["1_1"]["b"] == 1.0
    assert notes(summary) == {"order or scores of rankings": 1}


TWICE = '{"1_1": {"a": 1, "a": 2}}'
BAD = [
    ("ranx", ".json", TWICE, DataError, "the key 'a' appears twice"),
    ("ranx", ".json", '{"1_1": {}, "1_1": {}}', DataError, "the key '1_1' appears twice"),
    ("ranx", ".json", '{"1_1": {"a": NaN}}', RunFileError, "not a finite number"),
    ("ranx", ".json", '{"1_1": {"a": 1e999}}', RunFileError, "not a finite number"),
    ("ranx", ".json", '{"1_1": {"a": 1e300}}', RunFileError, "expected a finite 32-bit number"),
    ("ranx", ".json", '{"1_1": {"a": true}}', DataError, "expected a number as score, found bool"),
    ("ranx", ".json", '{"1_1": {"a": "1"}}', DataError, "expected a number as score, found str"),
    ("ranx", ".json", '{"1_1": {"\\ud800": 1}}', DataError, "half of a surrogate pair"),
    ("ranx", ".json", '{"1_1": {"a\\nb": 1}}', DataError, "control character"),
    ("ranx", ".json", '{"1_1": {"": 1}}', DataError, "the passage id is empty"),
    ("ranx", ".json", '{"1_1": [1]}', DataError, "['1_1']: expected an object"),
    ("ranx", ".json", '{"q 1": {}}', DataError, "turn id 'q 1' is not of the form '<conversation>_<turn>'"),
    ("ranx", ".json", '{"q\\n1_1": {}}', DataError, "turn id 'q\\n1_1' is not of the form"),
    ("ranx", ".json", '{"q\\n1_1": 1}', DataError, "['q\\n1_1']: expected an object"),
    ("ranx", ".json", "[]", DataError, "expected a JSON object"),
    ("ranx", ".json", "{}", RunFileError, "holds no turns"),
    ("ranx", ".json", "[" * 5000, DataError, "not valid JSON|deeper than"),
    ("ranx", ".json", '{"1_1": ' + "[" * 100 + "]" * 100 + "}", DataError, "deeper than"),
    ("ranx", ".parquet", "no table", DataError, "not a readable Parquet file"),
    ("scai-qrecc", ".json", "{}", DataError, "expected a JSON list of turns"),
    (
        "scai-qrecc",
        ".json",
        '[{"Conversation_no": "1", "Turn_no": 1}]',
        DataError,
        "[record 0]: field 'Conversation_no'",
    ),
    ("scai-qrecc", ".json", '[{"Conversation_no": 1, "Turn_no": 0}]', DataError, "turn id '1_0'"),
    (
        "scai-qrecc",
        ".json",
        json.dumps([{"Conversation_no": 1, "Turn_no": 1}] * 2),
        DataError,
        "'1_1' appears twice",
    ),
    (
        "scai-qrecc",
        ".json",
        '[{"Conversation_no": 1, "Turn_no": 1, "Model_passages": {"a": null}}]',
        DataError,
        "expected a number as score",
    ),
    ("ikat", ".json", '{"turns": [{"turn_id": "1-1-1"}]}', DataError, "turn id '1-1-1' is not of the form"),
    (
        "ikat",
        ".json",
        '{"turns": [{"turn_id": "1_1", "responses": [{"passage_provenance": [{"id": "a", "score": 1}, {"id": "a", "score": 2}]}]}]}',
        DataError,
        "passage 'a' appears twice in one response",
    ),
    ("mtrag", ".jsonl", '{"task_id": "a_1"}', DataError, "source.jsonl:1: turn id 'a_1' is not of the form '<conversation><::><turn>' or"),
    ("mtrag", ".jsonl", '{"task_id": "a<::>1"}\n{"task_id": "a::1"}', DataError, "source.jsonl:2: turn 'a_1' appears twice"),
    (
        "mtrag",
        ".jsonl",
        '{"task_id": "a<::>1", "contexts": [{"document_id": "d", "score": 1}, {"document_id": "e"}]}',
        DataError,
        "passage 'e' has no score and others have one",
    ),
    ("responses", ".jsonl", '{"turn_id": "1_1", "answer": "a", "prediction": "b"}', DataError, "found answer and prediction"),
    ("responses", ".jsonl", '{"turn_id": "1_1"}', DataError, "found only turn_id"),
    ("responses", ".jsonl", '{"turn_id": 3, "response": ""}', DataError, "expected a string"),
    (
        "responses",
        ".jsonl",
        '{"turn_id": "1_1", "turn_id": "1_2", "response": ""}',
        DataError,
        ":1: the key 'turn_id' appears",
    ),
    ("trec", ".trec", "\n1-1 Q0 a 1 2.5 t\n", DataError, "source.trec:2: turn id '1-1' is not of the form"),
    ("trec", ".trec", "", RunFileError, "holds no turns"),
    ("trec", ".trec", "1_1 Q0 a 1 nan t\n", RunFileError, "not a finite number"),
]


@pytest.mark.parametrize(("name", "suffix", "content", "kind", "message"), BAD)
def test_a_bad_file_is_refused_in_one_line_and_nothing_is_written(tmp_path, name, suffix, content, kind, message):
    with pytest.raises(kind) as caught:
        bring(tmp_path, name, content, suffix)
    assert any(part in str(caught.value) for part in message.split("|"))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [tmp_path / f"source{suffix}"]


odd = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1.5,
        float("nan"),
        10**40,
        "",
        " ",
        "1_1",
        "a<::>1",
        "\ud800",
        [],
        {},
        [[]],
        [{}],
        {"": 1},
        {"a": None},
        ["a", 1],
        [None],
    ]
)


@st.composite
def damaged(draw, document):
    """A document in which something, at any depth, is something else, is missing, or is there twice."""
    if isinstance(document, dict) and document and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(document)))
        if not draw(st.integers(0, 3)):
            return {other: value for other, value in document.items() if other != key}
        return document | {key: draw(damaged(document[key]))}
    if isinstance(document, list) and document and draw(st.integers(0, 4)):
        place = draw(st.integers(0, len(document) - 1))
        return [*document[:place], draw(damaged(document[place])), *document[place + draw(st.integers(0, 1)) :]]
    return draw(odd)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, object]:
    """A good document of every format of JSON."""
    documents = {}
    for name, suffix in KINDS:
        if suffix.startswith(".json"):
            documents[name], _ = send(tmp_path_factory.mktemp("whole"), name, replace(RECORD, turn_id="9_3"), suffix, run_name="r")
    return documents


@pytest.mark.parametrize(("name", "suffix"), [kind for kind in KINDS if kind[1].startswith(".json")])
@given(data=st.data())
def test_whatever_is_wrong_with_a_document_only_our_own_errors_come(tmp_path_factory, whole, name, suffix, data):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / f"source{suffix}").write_text(json.dumps(data.draw(damaged(whole[name]))), encoding="utf-8")
    only_our_own_errors(name, folder / f"source{suffix}", folder / "out.jsonl")


@pytest.mark.parametrize(("name", "suffix"), [kind for kind in KINDS if kind[1] != ".parquet"])
@given(content=st.binary(max_size=60))
def test_whatever_the_bytes_are_only_our_own_errors_come(tmp_path_factory, name, suffix, content):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / f"source{suffix}").write_bytes(content)
    only_our_own_errors(name, folder / f"source{suffix}", folder / "out.jsonl")


def only_our_own_errors(name: str, source: Path, out: Path) -> None:
    """Imports a file: it works and can be read again, or fails in one line and leaves nothing."""
    if refusal(lambda: FORMATS.get(name).import_(ImportRequest(source, out))):
        assert not out.exists()
    else:
        assert read_records(out)


@settings(max_examples=40)
@given(content=st.binary(max_size=300), cut=st.integers(0, 400))
def test_damaged_tables_give_only_our_own_errors(tmp_path_factory, content, cut):
    folder = tmp_path_factory.mktemp("fuzz")
    run = named("ranx", "1_1 1_2")
    write_run(folder / "own.jsonl", {}, run.records.values())
    FORMATS.get("ranx").export(ExportRequest(folder / "own.jsonl", None, folder / "t.parquet"))
    whole = (folder / "t.parquet").read_bytes()
    (folder / "t.parquet").write_bytes(whole[:cut] + content + whole[cut + len(content) :])
    only_our_own_errors("ranx", folder / "t.parquet", folder / "out.jsonl")


def test_all_formats_are_described():
    formats = [FORMATS.get(name) for name in FORMATS.names()]
    assert [format_.name for format_ in formats] == FORMATS.names()
    assert all(format_.description for format_ in formats)
    assert {format_.name for format_ in formats if isinstance(format_, RunFormat)} == {name for name, _ in KINDS}
