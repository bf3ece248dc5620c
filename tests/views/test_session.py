from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from convbench.views.session import SessionTemplate, Utterance

EARLIER = [Utterance("user", "one"), Utterance("agent", "two")]


def test_the_question_stands_first_or_last() -> None:
    assert SessionTemplate().write("why then", EARLIER) == "why then\ntwo\none"
    assert SessionTemplate(order="oldest-first").write("why then", EARLIER) == "one\ntwo\nwhy then"
    assert SessionTemplate().write("why then") == SessionTemplate(order="oldest-first").write("why then") == "why then"


def test_every_role_has_its_form() -> None:
    template = SessionTemplate(order="oldest-first", user="<u>{text}</u>", agent="<a>{text}</a>", separator="")
    assert template.write("why then", EARLIER) == "<u>one</u><a>two</a><u>why then</u>"


def test_what_was_said_is_not_read_as_a_form() -> None:
    template = SessionTemplate(user="user: {text}", agent="agent: {text}")
    assert template.write("what does {text} mean", [Utterance("agent", "{role} {0}")]) == "user: what does {text} mean\nagent: {role} {0}"


@pytest.mark.parametrize("change", [{"user": "user:"}, {"agent": "{text} {text}"}, {"order": "random"}, {"role": "user"}])
def test_forms_that_lose_or_repeat_the_text_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SessionTemplate(**change)
