"""``convbench train study``: a recipe and its variants from several seeds each, and a report on how they differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convbench.cli.data_options import place_options
from convbench.cli.environment_options import environment_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convbench.training.study.report import StudyReport


@click.command("study")
@click.argument("study", type=click.Path(path_type=Path), metavar="STUDY.yaml")
@place_options
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the study. Default: runs/study-NAME.")
@click.option("--arm", "arms", multiple=True, metavar="NAME", help="Work on this arm only; may be given several times.")
@click.option("--seed", "seeds", multiple=True, type=int, metavar="N", help="Work on this seed only; may be given several times.")
@click.option("--report-only", is_flag=True, help="Train and run nothing: write the report over what is finished.")
@environment_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout.")
def command(
    study: Path,
    places: Mapping[str, Mapping[str, str]],
    out: Path | None,
    arms: tuple[str, ...],
    seeds: tuple[int, ...],
    report_only: bool,
    cache: Path | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Train every arm of STUDY.yaml from every seed, evaluate it, and report how the arms differ and which claims hold.

    Cells (an arm from a seed) are worked on seed by seed. The same command again goes on where it was stopped and leaves alone what is
    finished; several processes may work on one study, each takes cells that no other has. The report, study.md, is written after each seed
    over whatever is finished.

    \b
    convbench train study STUDY.yaml --data topiocqa=DIR --out runs/ablation
    convbench train study STUDY.yaml --data topiocqa=DIR --out runs/ablation --seed 0 --arm full
    convbench train study STUDY.yaml --out runs/ablation --report-only
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.errors import UsageError
    from convbench.io.cache import cache_root
    from convbench.training.study.execute import Workshop
    from convbench.training.study.plan import cells_of, load_study, recipes_of
    from convbench.training.study.report import report_of
    from convbench.training.study.run import run_study
    from convbench.training.study.write import write_study

    if report_only and (arms or seeds):
        raise UsageError("--report-only is over everything that is finished: --arm and --seed do not go with it")
    plan = load_study(study)
    cells, recipes = cells_of(plan, arms, seeds), recipes_of(plan, places, study)
    shop = Workshop(plan, recipes, out or Path("runs") / f"study-{plan.name}", cache or cache_root(), offline)
    if report_only:
        report = report_of(shop)
        write_study(report)
        _show(report, as_json=as_json)
        return
    found, errors = run_study(shop, cells)
    if found is not None:
        _show(found, as_json=as_json)
    elif not errors:
        click.echo("no cell is finished yet: other processes are at work on them", err=True)
    if errors:
        raise errors[0]


def _show(report: StudyReport, *, as_json: bool) -> None:
    if as_json:
        from convbench.training.study.as_json import study_json

        click.echo(json.dumps(study_json(report), ensure_ascii=False, allow_nan=False))
    else:
        for note in report.notes:
            click.echo(f"note: {note}")
        for results in report.sets:
            for claim in results.claims:
                click.echo(f"{results.scores.name}: {claim.claim.text}: {claim.words}")
    click.echo(f"report: {report.out / 'study.md'}", err=as_json)
