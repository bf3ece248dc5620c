"""Every check by name: how bad a case is, and the sentence that says what it is. ``docs/validate.md`` explains them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Severity: TypeAlias = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        severity: ``error`` (scores would be wrong or cannot be had), ``warning`` (they may mislead), ``info`` (a fact to know).
        unit: What is counted, in the singular.
        text: The rest of the sentence after "3 turns", with ``{names}`` of facts to fill in.
    """

    severity: Severity
    unit: str
    text: str

    def message(self, count: int, facts: Mapping[str, object]) -> str:
        """The sentence for so many cases."""
        return f"{count} {self.unit}{'s' if count != 1 else ''} {self.text.format_map(facts)}"


CHECKS: Mapping[str, Check] = {
    # Files and lines
    "unreadable": Check("error", "file", "that could not be read"),
    "gzip": Check("error", "file", "with a broken or hostile gzip stream; what follows the break was not checked: download it again"),
    "encoding": Check("error", "line", "not in UTF-8"),
    "long-lines": Check("error", "line", "longer than {limit} MiB, passed over"),
    "control-characters": Check("error", "line", "with control characters, which end columns and lines for other tools"),
    "columns": Check("error", "line", "without the {n} columns '{names}'"),
    "json": Check("error", "line", "without a JSON object"),
    "fields": Check("error", "field", "missing or of the wrong kind"),
    "schema": Check("error", "header", "of a schema that is not known; expected {expected!r}"),
    "empty": Check("error", "file", "without a single turn"),
    # Ids
    "id-blanks": Check("error", "id", "with white space: turn ids must have none; passage ids of TREC files write a blank as U+2423 (␣)"),
    "turn-ids": Check("warning", "turn id", "not of the form '<conversation>_<n>' with n from 1"),
    "duplicate-lines": Check("error", "line", "repeating an earlier line"),
    "duplicate-passages": Check("error", "passage", "given a second time for the same turn"),
    "duplicate-turns": Check("error", "turn", "given a second time"),
    # Ranks and scores
    "scores": Check("error", "score", "not a finite 32-bit decimal number, or tied where none is left below"),
    "rank-column": Check("warning", "line", "with a rank that is no whole number"),
    "rank-numbers": Check("warning", "turn", "with ranks that are not 1 to n, each once"),
    "rank-order": Check("error", "turn", "ordered otherwise than by falling score; convbench and trec_eval order by score alone"),
    "rank-as-score": Check("error", "turn", "with the rank written as score, which turns the ranking around"),
    "scores-from-ranks": Check("info", "turn", "scored {constant:g} minus the rank: the system's own scores are lost"),
    "constant-scores": Check("warning", "turn", "with one score for all passages: the order is that of the ids, not the system's"),
    "tied-scores": Check("warning", "turn", "with tied scores (as 32-bit numbers); ties are broken by passage id, descending"),
    "depth": Check("info", "turn", "with another number of passages than most have, which is {usual}: few matches, or a file cut short?"),
    "empty-rankings": Check("warning", "turn", "without a passage"),
    "several-tags": Check("warning", "run tag", "besides the first, {first!r}: were runs joined?"),
    # Responses
    "missing-responses": Check("warning", "turn", "without a response, while others have one"),
    "empty-responses": Check("warning", "response", "without text; they score 0"),
    "response-characters": Check("warning", "response", "with control characters"),
    # Agreement with a dataset
    "header": Check("error", "header entry", "of another dataset or split than {dataset}"),
    "missing-turns": Check("error", "turn", "of {dataset} missing, of {of}; where a measure averages over them they score 0"),
    "missing-unscored-turns": Check("info", "turn", "of {dataset} missing that no measure counts"),
    "extra-turns": Check("error", "turn", "not in {dataset}: another split or numbering?"),
    "wrong-split": Check("error", "file", "of another split: {fits}"),
    "wrong-numbering": Check("error", "file", "with turns numbered otherwise: {fits}"),
    "unknown-passages": Check("error", "passage", "not in the collection of {of}"),
    "passages-without-corpus": Check(
        "warning", "passage", "not among the {of} gold passages that stand in for a missing corpus: set --corpus"
    ),
    "unchecked-passages": Check("warning", "file", "whose passage ids were not checked: {reason}"),
    # Judgements
    "grades": Check("error", "grade", "not a whole number"),
    "high-grades": Check("error", "grade", "above {highest}, the highest that can be scored"),
    "negative-grades": Check("warning", "grade", "below 0, which scorers treat in different ways"),
    "duplicate-judgements": Check("warning", "judgement", "given a second time with the same grade"),
    "conflicting-grades": Check("error", "judgement", "given a second time with another grade"),
    "no-relevant-passage": Check("info", "turn", "with no grade above 0"),
    "unjudged-turns": Check("info", "turn", "of {dataset} without judgements, of {of}"),
    # Run folders
    "run-status": Check("error", "run", "not finished (run.json says {status!r}): run the same command again to finish it"),
    "run-files": Check("error", "file", "missing from the run folder"),
    "stage-files": Check("error", "stage", "with another file than its manifest was written for"),
    "canonical-order": Check("error", "turn", "of turns.jsonl not in canonical order: changed by hand?"),
    "files-disagree": Check("error", "turn", "on which retrieval.trec and turns.jsonl disagree"),
    "results-of-another-run": Check("error", "file", "that was made from another turns.jsonl than the one beside it"),
    "no-measures": Check("error", "file", "without any measure"),
    "scores-changed": Check("error", "score", "of scores.jsonl that is not what the stages hold: changed by hand?"),
    "scores-disagree": Check("error", "measure", "of results.json that its turns in scores.jsonl do not give"),
    "invariants": Check("error", "measure", "of results.json that cannot be right"),
    # Datasets
    "empty-queries": Check("warning", "turn", "with an empty query"),
    "empty-references": Check("warning", "turn", "with an empty reference text"),
    # Submissions
    "unchecked-dataset": Check("warning", "submission", "not checked against the data of its track (--data, --real-data): {reason}"),
}
"""The checks, by kind of file. A dataset's problems also have the names of ``convbench data audit``,
a submission's those of its leaderboard."""
