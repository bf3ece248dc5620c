"""What the README and the site say in the same words."""

from __future__ import annotations

import unicodedata

from convbench.analysis.tie_groups import letters_of
from convbench.exchange.published import Published, PublishedRow
from convbench.leaderboard.card import Card
from convbench.leaderboard.entries import Scored
from convbench.leaderboard.standings import MOST_GROUPS, Row, Section
from convbench.leaderboard.track import Side, Track
from convbench.leaderboard.verified import MeasuredScore
from convbench.report.figures.wording import plain
from convbench.report.numbers import between, per_cent
from convbench.report.words import ABSENT, conditions_in_words

_MOST_MARKS = 4
_LONGEST_WORD = 70

SIDES: dict[Side, str] = {"retrieval": "Retrieval", "response": "Responses"}

TIERS = {
    "full": "full scale: the whole collection and every turn of the split",
    "sample": "sample of the real data: easier than full scale, and never compared with it",
    "mini": "bundled mini set: for trying things out, and never compared with the real data",
}

SECTIONS: dict[Section, str] = {
    "competing": "competes",
    "contaminated": "trained on test conversations",
    "reference": "does not compete",
}

OVERLAP = {"no": "none known", "yes": "yes", "unknown": "unknown"}

_MARKS = {
    "scores-differ": "other scores claimed",
    "responses-copied": "references copied",
    "trained-on-test": "trained on test",
    "overlap-denied": "overlap denied",
    "name-shared": "name shared",
    "conditions-unknown": "conditions unknown",
    "not-reproduced": "not reproduced",
}
"""Check -> how a column of marks calls it; what is not here is called by its own name."""

REFERENCES = {"oracle": "ceiling", "random": "floor", "shortcut": "shortcut: sees earlier gold"}

LETTERS = (
    "Systems that share a letter are not told apart (paired test over conversations, 5 %, Holm over the track); there are no ranks. "
    f"Where there would be more than {MOST_GROUPS} letters, it is said from how many others a system is told apart."
)
MEASURED = "Scores were measured again from the submitted runs, in per cent with 95 % intervals; what a submission claims does not count."
REPORTED = "Numbers as papers print them, in per cent. None was measured here, and they do not compare with the standings."


def line(text: str, longest: int = 200) -> str:
    """Any text as one printable line that turns no direction around."""
    return plain(_without_heaps(text), longest)


def conditions_of(card: Card) -> list[str]:
    """What a system saw, in words."""
    return [line(phrase) for phrase in conditions_in_words({"history": card.history, "rewriter": card.rewriter, "evidence": card.evidence})]


def value_text(score: MeasuredScore | None) -> str:
    """A value in per cent."""
    return ABSENT if score is None or score.value is None else per_cent(score.value)


def interval_text(score: MeasuredScore | None) -> str:
    """Its interval in brackets, or nothing."""
    return between(score.interval) if score is not None and score.value is not None else ""


def role_of(row: Row) -> str:
    """Why a row does not compete; empty where it does."""
    if row.section == "reference":
        return REFERENCES.get(row.entry.card.kind, "people rewrote its queries")
    return SECTIONS["contaminated"] if row.section == "contaminated" else ""


def _without_heaps(text: str) -> str:
    """The text with at most four combining marks in a row: more of them reach over what stands around, and no script needs them."""
    kept, run = [], 0
    for character in text:
        run = run + 1 if unicodedata.category(character) in ("Mn", "Mc", "Me") else 0
        if run <= _MOST_MARKS:
            kept.append(character)
    return "".join(kept)


def reason_text(reason: str) -> str:
    """A reason as one line; of a word in it that no line holds, a number of 300 digits say, the middle is left out."""
    return " ".join(plain(word, _LONGEST_WORD) for word in line(reason, 2000).split(" "))


def marks_of(entry: Scored) -> str:
    """What verifying found remarkable, each in a word or two; empty where there is nothing."""
    checks = dict.fromkeys(finding.check for finding in entry.verified.findings if finding.severity == "flag")
    return ", ".join(_MARKS.get(check, line(check.replace("-", " "), 40)) for check in checks)


def group_text(row: Row) -> str:
    """The letters of a row, or from how many others it is told apart where there are too many groups; empty where it does not compete."""
    if row.letters or row.apart is None:
        return letters_text(row.letters)
    return f"apart from {row.apart[0]} of {row.apart[1]}"


def letters_text(letters: str) -> str:
    """Letters of groups, runs of four and more as ``a–f``: among many systems that overlap, each is in many groups."""
    runs: list[list[str]] = []
    for letter in letters_of(letters):
        if runs and _number(letter) == _number(runs[-1][-1]) + 1:
            runs[-1].append(letter)
        else:
            runs.append([letter])
    return "".join(f"{run[0]}–{run[-1]}" if len(run) > 3 else "".join(run) for run in runs)


def _number(letter: str) -> int:
    """The place of a letter: ``a`` is 0, ``(aa)`` follows ``z``."""
    first, *second = (ord(character) - ord("a") for character in letter.strip("()"))
    return 26 * (first + 1) + second[0] if second else first


def track_facts(track: Track) -> list[tuple[str, str]]:
    """(label, text) of what a track fixes."""
    given = track.conditions
    history = " or ".join(phrase for view in given.history for phrase in conditions_in_words({"history": view}))
    evidence = " or ".join(phrase for view in given.evidence for phrase in conditions_in_words({"evidence": view}))
    ranking = "; ".join(
        f"{SIDES[side]} by {ranked.by}" for side, ranked in zip(SIDES, (track.retrieval, track.response), strict=True) if ranked
    )
    facts = [
        ("Dataset", f"{track.dataset}, split {track.split}" if track.split else track.dataset),
        ("Tier", TIERS[track.tier]),
        ("Protocol", track.protocol or "the dataset's first"),
        ("Order", ranking),
        ("History", history or "any, shown with each system"),
        ("Evidence", evidence or "any, shown with each system"),
        ("Passages of a turn", f"at most {track.depth}"),
    ]
    digests = [("turns", track.turnset_sha256), ("collection", track.collection_sha256)]
    identity = ", ".join(f"{what} {digest[:12]}" for what, digest in digests if digest)
    return [(label, line(text, 400)) for label, text in [*facts, *([("Identity", identity)] if identity else [])]]


def reported_measures(reported: Published, task: str) -> list[str]:
    """The measures that rows of a task have, in the order in which they first stand."""
    return list(dict.fromkeys(measure for row in reported.rows if row.task == task for measure in row.scores))


def reported_remark(reported: Published, row: PublishedRow) -> str:
    """What is to be known of a reported row."""
    doubt = ["to be checked against the original"] if row.verify or reported.sources[row.source].verify else []
    return "; ".join([*([row.note] if row.note else []), *doubt])
