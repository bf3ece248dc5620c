"""``convbench train mine``: hard negatives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convbench.cli.data_options import DATASET_HELP, Source, data_options
from convbench.cli.environment_options import environment_options
from convbench.cli.option_values import read_profile, read_settings
from convbench.errors import UsageError

if TYPE_CHECKING:
    from convbench.training.mined_rankings import Rankings
    from convbench.training.negatives import NegativesHeader


@click.command("mine")
@click.option("--dataset", "-d", required=True, help=f"Dataset ({DATASET_HELP}).")
@data_options
@click.option("--with", "system", metavar="SYSTEM", help="What to search with: bm25, a checkpoint, a baseline's name or a system.yaml.")
@click.option(
    "--from",
    "run",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Search nothing: take the rankings of this run (run folder, joint run or TREC run).",
)
@click.option(
    "--query",
    metavar="VIEW",
    help="Query view: query, queries, full, last-<n>, rewrite; 'response' is the question with the gold response. Default: the system's.",
)
@click.option("--depth", type=click.IntRange(min=1), default=100, show_default=True, help="How many ranks are looked at.")
@click.option("--skip", type=click.IntRange(min=0), default=0, show_default=True, help="How many first ranks are left out.")
@click.option("--count", type=click.IntRange(min=1), default=8, show_default=True, help="Most negatives of each kind a turn.")
@click.option("--keep-answers", is_flag=True, help="Keep passages that hold a reference response word for word.")
@click.option("--earlier-gold", is_flag=True, help="Take gold passages of earlier turns of the conversation too.")
@click.option("--profile", metavar="NAME|FILE", help="How a bare checkpoint is used: a built-in profile, or a JSON or YAML file.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a value of the system (model.device=cuda ...).")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write (.jsonl).")
@environment_options
@click.option("--json", "as_json", is_flag=True, help="Print the file's header as JSON on stdout.")
def command(
    dataset: str,
    source: Source,
    system: str | None,
    run: Path | None,
    query: str | None,
    depth: int,
    skip: int,
    count: int,
    keep_answers: bool,
    earlier_gold: bool,
    profile: str | None,
    settings: tuple[str, ...],
    out: Path,
    cache: Path | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Mine hard negatives: for every turn with gold, the best-ranked passages that are not gold.

    Left out are copies of gold passages and passages that hold the reference response, which may be relevant though nobody judged them.
    Searches are kept under the cache: the same one with other rules costs nothing, and one that was interrupted goes on.

    \b
    convbench train mine -d topiocqa --with bm25 --query response --out negatives.jsonl
    convbench train mine -d topiocqa --with path/to/checkpoint --skip 5 --earlier-gold --out negatives.jsonl
    convbench train mine -d topiocqa --from runs/mine --out negatives.jsonl
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.io.cache import cache_root
    from convbench.training.mined_rankings import Search, given, searched
    from convbench.training.mining import MiningRules, mine
    from convbench.training.negatives import NegativesHeader, write_negatives

    if (system is None) == (run is None):
        raise UsageError("give either --with SYSTEM, to search, or --from RUN, to take the rankings of a finished run")
    if run is not None and (query is not None or profile is not None or settings):
        raise UsageError("--from RUN searches nothing: --query, --profile and --set do not go with it")
    if skip >= depth:
        raise UsageError(f"--skip {skip} leaves nothing of --depth {depth}; take more ranks or skip fewer")
    if out.suffix != ".jsonl":
        raise UsageError(f"--out {out}: expected the name of a .jsonl file")
    changes = read_settings(settings)
    spec, place = source.spec(dataset), cache or cache_root()
    if run is not None:
        rankings = given(run, spec, cache=place, offline=offline)
    else:
        search = Search(system or "", query, depth, read_profile(profile), changes)
        rankings = searched(search, spec, cache=place, offline=offline)
    rules = MiningRules(depth, skip, count, keep_answers, earlier_gold)
    mined = mine(rankings.dataset.conversations, rankings.records, rankings.store, rules)
    header = NegativesHeader(
        dataset=rankings.dataset.name,
        split=rankings.dataset.split,
        options=dict(rankings.dataset.options),
        collection=rankings.collection,
        retriever=rankings.retriever,
        query=query,
        depth=depth,
        skip=skip,
        count=count,
        keep_answers=keep_answers,
        earlier_gold=earlier_gold,
        counts=mined.counts(count),
    )
    write_negatives(out, header, mined.negatives)
    _show(out, header, rankings, as_json=as_json)


def _show(out: Path, header: NegativesHeader, rankings: Rankings, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"path": str(out), **header.as_json()}, ensure_ascii=False))
        return
    counts, excluded = header.counts, header.counts["excluded"]
    click.echo(f"{header.dataset} ({header.split}), {rankings.retriever['name']}: {counts['turns']} turns with gold")
    left_out = {"gold": "gold", "copies of gold": "copy", "answers": "answer", "repeats": "repeat"}
    for name, value in (
        ("retrieved", f"{counts['retrieved']} ({counts['turns_with_fewer']} turns have fewer than {header.count})"),
        ("earlier gold", counts["earlier_gold"]),
        ("excluded", ", ".join(f"{what} {excluded[reason]}" for what, reason in left_out.items())),
        ("no ranking", f"{counts['turns_without_ranking']} turns"),
    ):
        click.echo(f"{name:<13} {value}")
    click.echo(f"negatives: {out}")
