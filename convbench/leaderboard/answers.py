"""What only its makers can say of a system: given on the command line or in a YAML file, and put on the card as it is."""

from __future__ import annotations

from pydantic import Field

from convbench.config import Config
from convbench.leaderboard.card import ID, Count, Day, Kind, Line, Link, People, Text, TrainingCard


class Answers(Config):
    """The answers. What a run folder says of itself need not be answered, and cannot be answered otherwise.

    Attributes:
        id: Of the submission; None: made from its name.
        name: The system's name; None: the run's.
        description: What it is; None: the run's.
        submitted: The day; None: today, UTC.
        authors: Who made it.
        links: Paper, code, weights.
        training: What it was trained on beyond its checkpoints' published state, with the overlap; None: not said, an empty list: nothing.
        licences: Checkpoint -> its licence.
        baseline: The shipped baseline that it is a run of, where its checkpoints come from a place of one's own; others are found out.
        kind: The kind of system, for a run that another tool made; so are the rest.
        parameters: Of all its models together.
        history: The history view it saw.
        rewriter: What rewrote its queries.
        evidence: The evidence view its responder saw.
        decoding: How responses were decoded.
    """

    id: str | None = Field(default=None, pattern=ID)
    name: Line | None = None
    description: Text | None = None
    submitted: Day | None = None
    authors: People | None = None
    links: dict[Line, Link] = Field(default_factory=dict, max_length=10)
    training: tuple[TrainingCard, ...] | None = Field(default=None, max_length=100)
    licences: dict[Line, Line] = Field(default_factory=dict, max_length=20)
    baseline: Line | None = None
    kind: Kind | None = None
    parameters: Count | None = None
    history: Line | None = None
    rewriter: Line | None = None
    evidence: Line | None = None
    decoding: Line | None = None
