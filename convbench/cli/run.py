"""``convbench run``: systems on datasets, scored and reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convbench.cli.data_options import DATASET_HELP, Source, data_options
from convbench.cli.engine_options import EngineChoice, engine_options
from convbench.cli.environment_options import environment_options, map_option, read_map
from convbench.cli.metric_options import metric_options
from convbench.cli.option_values import read_profile, read_settings
from convbench.cli.reports_output import show_reports

if TYPE_CHECKING:
    from convbench.metrics.selection import Selection


@click.command("run")
@click.argument("systems", nargs=-1, required=True, metavar="SYSTEM...")
@click.option("--dataset", "-d", "datasets", multiple=True, required=True, help=f"Dataset ({DATASET_HELP}); may be given several times.")
@data_options
@click.option("--out", type=click.Path(path_type=Path), help="Run folder. Default: runs/SYSTEM-DATASET.")
@click.option(
    "--history",
    metavar="VIEW",
    help="History view: query, queries, full, full-own, last-<n>, rewrite; 'ladder' runs all of them. Default: the system's.",
)
@click.option(
    "--evidence",
    metavar="VIEW",
    help="What the responder sees: none, retrieved, gold, gold+noise, retrieved-minus-gold, other-turn; 'ladder' runs all of them. "
    "Default: the system's.",
)
@click.option(
    "--rankings",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Answer from the rankings of this run (run folder, joint run or TREC run) instead of the system's own retriever's.",
)
@click.option("--profile", metavar="NAME|FILE", help="How a bare checkpoint is used: a built-in profile, or a JSON or YAML file.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a value of the system (decoding.temperature=0.7 ...).")
@map_option
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything random.")
@metric_options
@engine_options
@environment_options
@click.option("--dry-run", is_flag=True, help="Show the plan, what is done and what is to do, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print results (or the plan) as JSON on stdout.")
def command(
    systems: tuple[str, ...],
    datasets: tuple[str, ...],
    source: Source,
    out: Path | None,
    history: str | None,
    evidence: str | None,
    rankings: Path | None,
    profile: str | None,
    settings: tuple[str, ...],
    checkpoint_map: Path | None,
    seed: int,
    selection: Selection,
    engine: EngineChoice,
    cache: Path | None,
    offline: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run SYSTEM on datasets, score it, and write a report.

    SYSTEM is a checkpoint (a folder, or owner/name[@revision] on the hub), a baseline's name (`convbench baselines list`), a system.yaml,
    or a finished run to score: a run folder, a joint run (.jsonl) or a TREC run (.trec, .run), plain or gzipped.

    The run folder keeps everything; the same command again recomputes nothing, and one that was interrupted goes on. With several systems
    or datasets, each pair gets a folder DATASET/SYSTEM below --out, and the report there covers all. With a ladder, each condition gets a
    folder of its name below that; what does not depend on the condition is computed once.

    \b
    convbench run bm25-query -d topiocqa
    convbench run bm25-history minilm-history -d topiocqa -d inscit --out runs/history
    convbench run path/to/checkpoint -d topiocqa -d qrecc --out runs/mine
    convbench run bm25-history -d topiocqa --evidence ladder --out runs/ladder
    convbench run minilm-rewrite -d topiocqa --data data/topiocqa --rewrites rewrites.jsonl --out runs/minilm-rewrite
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.harness.batch import RunRequest, plan_all, run_all
    from convbench.io.cache import cache_root
    from convbench.report.write import write_reports

    sources = [source.spec(name) for name in dict.fromkeys(datasets)]
    changes = read_settings(settings)
    request = RunRequest(
        systems=systems,
        datasets=sources,
        out=out,
        history=history,
        evidence=evidence,
        seed=seed,
        cache=engine.place(cache or cache_root()),
        offline=offline,
        profile=read_profile(profile),
        settings=changes,
        rankings=rankings,
        checkpoint_map=read_map(checkpoint_map),
    )
    if dry_run:
        _show_plans(plan_all(request), as_json=as_json)
        return
    with engine.in_place(request.cache):
        outcome = run_all(request, selection)
    show_reports(write_reports(outcome.runs, outcome.folder), outcome.runs, as_json=as_json)
    if outcome.errors:
        raise outcome.errors[0]


def _show_plans(plans: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(plans, ensure_ascii=False))
        return
    for plan in plans:
        click.echo(f"{plan['system']} on {plan['dataset']} ({plan['split']}): {plan['conversations']} conversations, {plan['turns']} turns")
        click.echo(f"  folder      {plan['folder']}")
        click.echo(f"  collection  {plan['collection']}")
        for stage in plan["stages"]:
            click.echo(f"  {stage['name']:<10}  {stage['done']} of {stage['total']} turns done")
