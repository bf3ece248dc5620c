"""How a passage is written for a retriever."""

from __future__ import annotations

from convbench.types import Passage

PASSAGE_VIEW = "title+text"


def passage_title(passage: Passage) -> str:
    """The title; the `` [SEP] `` between article and section titles becomes a blank, as it is no word of the passage."""
    return passage.title.replace(" [SEP] ", " ")


def passage_text(passage: Passage) -> str:
    """Title, then text."""
    title = passage_title(passage)
    return f"{title}\n{passage.text}" if title else passage.text
