"""How a passage is written for a retriever."""

from __future__ import annotations

from convbench.types import Passage

PASSAGE_VIEW = "title+text"


def passage_text(passage: Passage) -> str:
    """Title, then text; the `` [SEP] `` between article and section titles becomes a blank, as it is no word of the passage."""
    title = passage.title.replace(" [SEP] ", " ")
    return f"{title}\n{passage.text}" if title else passage.text
