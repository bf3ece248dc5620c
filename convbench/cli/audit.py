"""``convbench data audit``: what is wrong with a dataset, what it shares with others, how long its texts are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convbench.cli.data_options import Source, data_options
from convbench.cli.environment_options import environment_options
from convbench.cli.text_table import table_lines

if TYPE_CHECKING:
    from convbench.analysis.lengths import Lengths, PartLength
    from convbench.datasets.finding import Finding
    from convbench.datasets.overlap import Overlap

FOUND_ERRORS = 1


@click.command("audit")
@click.argument("dataset")
@data_options
@click.option(
    "--with", "others", multiple=True, metavar="NAME[:SPLIT]=DIR", help="Compare with this dataset too; may be given several times."
)
@click.option(
    "--tokenizer", type=click.Path(path_type=Path), help="tokenizer.json or checkpoint folder: count its tokens, do not estimate."
)
@environment_options
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def audit_command(
    dataset: str, source: Source, others: tuple[str, ...], tokenizer: Path | None, cache: Path | None, offline: bool, as_json: bool
) -> None:
    """Look for trouble in DATASET: bad gold passages, shortcuts, overlap with other splits and datasets, texts that windows would cut.

    \b
    convbench data audit topiocqa --data path/to/topiocqa --with qrecc:test=path/to/qrecc
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.analysis.lengths import ByteEstimate, TokenizerCount, measure_lengths
    from convbench.datasets.audit import audit, gold_of, known_passages
    from convbench.datasets.comparable import compared_set, open_others, parse_other, store_at_hand
    from convbench.datasets.overlap import overlaps
    from convbench.io.cache import cache_root

    named = [parse_other(text) for text in others]
    counter = TokenizerCount(tokenizer) if tokenizer else ByteEstimate()
    root = cache or cache_root()
    opened = source.open(dataset)
    store = store_at_hand(opened, root, required=source.corpus is not None)
    qrels = opened.adapter.qrels()
    findings = audit(opened.conversations, qrels, store)
    sets, unread = [compared_set(opened, store)], []
    for other in open_others(source.spec(dataset).request(), opened.split, named):
        if isinstance(other, str):
            unread.append(other)
        else:
            sets.append(compared_set(other, store_at_hand(other, root)))
    pairs = list(overlaps(sets))
    gold = gold_of(qrels)
    lengths = measure_lengths(opened.turns, gold, known_passages(gold, store) if store else {}, counter)
    if as_json:
        shares = [{**asdict(pair), "first_share": pair.first_share, "second_share": pair.second_share} for pair in pairs]
        report = {
            "dataset": opened.name,
            "split": opened.split,
            "passages": len(store) if store else None,
            "findings": [asdict(finding) for finding in findings],
            "overlap": {"sets": [compared.label for compared in sets], "pairs": shares, "not_compared": unread},
            "lengths": asdict(lengths),
        }
        click.echo(json.dumps(report, ensure_ascii=False))
    else:
        for line in (*_finding_lines(findings, store is None), *_overlap_lines(pairs, unread), *_length_lines(lengths)):
            click.echo(line)
    if any(finding.severity == "error" for finding in findings):
        raise SystemExit(FOUND_ERRORS)


def _finding_lines(findings: Sequence[Finding], without_passages: bool) -> Iterator[str]:
    for finding in findings:
        examples = f" (first: {', '.join(finding.examples)})" if finding.examples else ""
        yield f"{finding.severity:<8} {finding.check}: {finding.message}{examples}"
    if without_passages:
        yield "info     no-passages: there is no collection, so nothing was checked that needs passages' texts"


def _overlap_lines(pairs: Sequence[Overlap], unread: Sequence[str]) -> Iterator[str]:
    if pairs or unread:
        yield "\noverlap"
    rows = [
        (f"{pair.first} / {pair.second}", pair.kind, str(pair.common), _part(pair.first_share, pair.first_count),
         _part(pair.second_share, pair.second_count), ", ".join(pair.examples[:1]))
        for pair in pairs
    ]  # fmt: skip
    if rows:
        yield from table_lines([("sets", "kind", "in both", "of the first", "of the second", "for example"), *rows])
    for line in unread:
        yield f"not compared: {line}"


def _part(share: float, count: int) -> str:
    return f"{share:.1%} of {count}"


def _length_lines(lengths: Lengths) -> Iterator[str]:
    yield f"\nwords / tokens a turn, on average, and the most tokens ({lengths.rule})"
    header = ("turn", "question", "question with history", "gold passage", "response")
    rows = [
        (depth, *(_length(parts.get(part)) for part in ("question", "session", "passage", "response")))
        for depth, parts in lengths.depths.items()
    ]
    yield from table_lines([header, *rows])
    windows = sorted({window for shares in lengths.over.values() for window in shares})
    yield "\nturns whose question with history does not fit a window of so many tokens"
    yield from table_lines(
        [
            ("history", *map(str, windows)),
            *((view, *(f"{shares[window]:.1%}" for window in windows)) for view, shares in lengths.over.items()),
        ]
    )


def _length(part: PartLength | None) -> str:
    return f"{part.words:.1f} / {part.tokens:.1f}, {part.longest}" if part else "-"
