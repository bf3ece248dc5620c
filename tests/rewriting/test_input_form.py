from __future__ import annotations

import pytest
from pydantic import ValidationError
from rewriting.conversations import SAID, THIRD

from convbench.rewriting.input_form import InputForm
from convbench.views.session import Utterance

QUESTION = THIRD.turn.query
CANARD = InputForm(separator=" ||| ")
CONVGQR = InputForm(order="newest-first", question="question: {text}", before_history="context: ", separator="</s> ")
INFOCQR = InputForm(user="<Que> {text}", agent="<Ans> {text}", question="<Que> {text}", separator=" ")


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (
            CANARD,
            "Who built the Dune lighthouse? ||| Ada Brook built it in 1871. ||| How tall is it? ||| It is 38 metres tall. ||| "
            "Is she buried there?",
        ),
        (
            CONVGQR,
            "question: Is she buried there?</s> context: It is 38 metres tall.</s> How tall is it?</s> Ada Brook built it in 1871.</s> "
            "Who built the Dune lighthouse?",
        ),
        (
            INFOCQR,
            "<Que> Who built the Dune lighthouse? <Ans> Ada Brook built it in 1871. <Que> How tall is it? <Ans> It is 38 metres tall. "
            "<Que> Is she buried there?",
        ),
    ],
    ids=["canard", "convgqr", "infocqr"],
)
def test_published_forms(form: InputForm, expected: str) -> None:
    assert form.write(QUESTION, SAID) == expected


def test_the_questions_alone_as_chatty_goose_gives_them() -> None:
    questions = [utterance for utterance in SAID if utterance.role == "user"]
    assert CANARD.write(QUESTION, questions) == "Who built the Dune lighthouse? ||| How tall is it? ||| Is she buried there?"


def test_nothing_stands_for_a_history_that_is_not_there() -> None:
    forms = [CANARD, CONVGQR, INFOCQR, InputForm(prefix="rewrite: ", before_history="x")]
    assert [form.write("Who?") for form in forms] == ["Who?", "question: Who?", "<Que> Who?", "rewrite: Who?"]


def test_long_utterances_lose_their_end() -> None:
    form = InputForm(separator=" | ", user_words=3, agent_words=2)
    assert form.write("a b c d", [Utterance("user", "e f  g"), Utterance("agent", "h  i\tj")]) == "e f  g | h i | a b c"


def test_braces_in_what_was_said_stand_for_themselves() -> None:
    assert InputForm(question="q: {text}").write("{text}", [Utterance("user", "{question}")]) == "{question}\nq: {text}"


@pytest.mark.parametrize("form", ["question", "{text} {text}", "{txt}"])
def test_a_form_without_its_text_is_refused(form: str) -> None:
    with pytest.raises(ValidationError, match=r"must hold \{text\} once"):
        InputForm(question=form)
