"""Relevance judgements: the file itself, then its turns and passages against a dataset's."""

from __future__ import annotations

from pathlib import Path

from convbench.validation.coverage import check_extra_turns
from convbench.validation.judgements import scan_json_qrels
from convbench.validation.kinds import is_json
from convbench.validation.passages import check_passages
from convbench.validation.problems import Findings
from convbench.validation.target import Target
from convbench.validation.trec_files import scan_trec_qrels


def check_qrels(path: Path, target: Target | None, findings: Findings) -> int:
    """Checks a TREC qrels file, or QReCC's JSON judgements; returns the number of judged turns.

    Raises:
        DataError: JSON that is cut short, or no object.
    """
    judgements = scan_json_qrels(path, findings) if is_json(path) else scan_trec_qrels(path, findings)
    judgements.check()
    if target:
        check_extra_turns(judgements.turns, target, findings)
        for turn in target.dataset.turns:
            if turn.id not in judgements.turns:
                findings.add("unjudged-turns", turn.id, dataset=target.label, of=len(target.dataset.turns))
        check_passages(judgements.passages, judgements.passages.__getitem__, target, findings)
    return len(judgements.turns)
