"""The system card of a submission (``manifest.yaml``): who made what, from what, and what its makers say it scores."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from convbench.config import Config
from convbench.leaderboard.names import unseen_character

FILE = "manifest.yaml"

ID = r"^[a-z0-9][a-z0-9.-]{0,63}$"


def _shows(text: str) -> str:
    return _checked(text, unseen_character(text))


def _shows_joined(text: str) -> str:
    return _checked(text, unseen_character(text, joined=True))


def _shows_in_lines(text: str) -> str:
    return _checked(text, unseen_character(text, lines=True, joined=True))


def _checked(text: str, unseen: str | None) -> str:
    if unseen:
        raise ValueError(f"holds {unseen}, which does not show or changes how the rest shows")
    return text


def _day(value: Any) -> Any:
    """YAML reads an unquoted day as a date."""
    return value.isoformat() if type(value) is date else value


def _real_day(text: str) -> str:
    if date.fromisoformat(text) < _FIRST_DAY:
        raise ValueError(f"earlier than {_FIRST_DAY}, before which no dataset of the tracks was there")
    return text


def _without_user(address: str) -> str:
    """What stands before an ``@`` looks like the site that is opened, and is not."""
    try:
        found = urlsplit(address)
    except ValueError as error:
        raise ValueError(f"no address ({error})") from None
    if "@" in found.netloc or not found.hostname:
        raise ValueError("an address names a site, without a user or password before it")
    return address


_FIRST_DAY = date(2018, 1, 1)
_LARGEST_SCORE = 1000.0
"""Of a claimed score: those of the field end at 1, or at 100."""
_LARGEST_COST = 1e9

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_shows)]
People = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_shows_joined)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000), AfterValidator(_shows_in_lines)]
Day = Annotated[str, BeforeValidator(_day), StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), AfterValidator(_real_day)]
Count = Annotated[int, Field(strict=True, ge=0, le=10**18)]
Kind = Literal["two-stage", "unified", "rewriter", "retriever", "generator", "agent", "shortcut", "oracle", "random", "other"]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Link = Annotated[
    str, StringConstraints(max_length=300, pattern=r"^https://[A-Za-z0-9._~:/?#@!$&()*+,;=%-]+$"), AfterValidator(_without_user)
]
Claimed = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-_LARGEST_SCORE, le=_LARGEST_SCORE)]
"""A score that is claimed: a number, and neither text nor a truth value that could stand for one."""
Spent = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=_LARGEST_COST)]

Overlap = Literal["none", "some", "unknown"]


class CheckpointCard(Config):
    """One of the checkpoints a system is made of."""

    name: Line
    revision: Line | None = None
    sha256: Digest | None = None
    licence: Line | None = None


class TrainingCard(Config):
    """A source of training data.

    Attributes:
        source: Its name (``qrecc``, ``topiocqa``, ``msmarco`` ...).
        split: Which part of it.
        overlap: What its makers say of conversations shared with the test set.
    """

    source: Line
    split: Line | None = None
    overlap: Overlap = "unknown"


class CostCard(Config):
    """What the run cost, as far as it is known."""

    ms_per_turn: Spent | None = None
    tokens_in: Count | None = None
    tokens_out: Count | None = None
    index_bytes: Count | None = None
    price: Spent | None = None
    machine: Line | None = None


class Card(Config):
    """The manifest.

    Attributes:
        id: Of the submission; its folder's name.
        track: The track.
        name: The system's name.
        kind: The kind of system.
        description: What it is.
        submitted: The day, ``YYYY-MM-DD``.
        authors: Who made it.
        links: Paper, code, weights.
        parameters: Of all its models together; None: unknown.
        checkpoints: Its checkpoints.
        training: What they were trained on beyond their published base; None: the makers do not say.
        history: The history view it saw.
        rewriter: What rewrote its queries; ``human``: the dataset's own rewrites, which nobody has outside a test.
        evidence: The evidence view its responder saw.
        decoding: How responses were decoded, in words.
        turnset_sha256: Digest of its turns, as a joint run's header has it.
        collection_sha256: Digest of the collection it searched.
        baseline: Name of the shipped baseline that it is a run of; None: it is none.
        tool: What made the run (``convbench 0.1.0`` ...).
        commit: Commit of the code that made the run.
        cost: What it cost.
        scores: Measure -> what its makers measured; compared with what is measured again.
    """

    id: str = Field(pattern=ID)
    track: Line
    name: Line
    kind: Kind
    description: Text = ""
    submitted: Day
    authors: People | None = None
    links: dict[Line, Link] = Field(default_factory=dict, max_length=10)
    parameters: Count | None = None
    checkpoints: tuple[CheckpointCard, ...] = Field(default=(), max_length=20)
    training: tuple[TrainingCard, ...] | None = Field(default=None, max_length=100)
    history: Line | None = None
    rewriter: Line | None = None
    evidence: Line | None = None
    decoding: Line | None = None
    turnset_sha256: Digest | None = None
    collection_sha256: Digest | None = None
    baseline: Line | None = None
    tool: Line | None = None
    commit: Line | None = None
    cost: CostCard = CostCard()
    scores: dict[Line, Claimed] = Field(default_factory=dict, max_length=200)
