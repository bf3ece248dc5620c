"""``convbench agree``: whether a unified model embeds closest what makes its response likeliest."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convbench.cli.environment_options import environment_options

if TYPE_CHECKING:
    from convbench.analysis.estimates import Estimate
    from convbench.harness.agreement_file import RunAgreement, Whose


@click.command("agree")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN_DIR")
@click.option("--k", type=click.IntRange(min=2), default=5, show_default=True, help="How many passages of each ranking.")
@click.option(
    "--response",
    type=click.Choice(["own", "gold"]),
    default="own",
    show_default=True,
    help="Whose likelihood: of the run's response, or of the main reference.",
)
@environment_options
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON on stdout.")
def command(run: Path, k: int, response: Whose, cache: Path | None, offline: bool, as_json: bool) -> None:
    """Compare a unified model's two views of the passages it retrieved, turn by turn.

    The order of the top passages by embedding score against their order by the model's own likelihood of the response, given the session
    and that one passage. RUN_DIR is a finished run of a unified system. The turns' values go to agreement-own.jsonl or agreement-gold.jsonl
    in it.

    \b
    convbench agree runs/mine --k 10
    convbench agree runs/mine --response gold
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.analysis.resampling import Resampling
    from convbench.comparison.self_agreement import agreement_estimates
    from convbench.harness.agree import agree
    from convbench.harness.agreement_file import agreement_path
    from convbench.io.cache import cache_root

    found = agree(run, k=k, response=response, cache=cache or cache_root(), offline=offline)
    correlation, top1 = agreement_estimates(found, list(found.turns), Resampling())
    path = agreement_path(run, response)
    if as_json:
        summary = {"path": str(path), "k": k, "response": response, "run_sha256": found.run_sha256}
        estimates = {"rank_correlation": asdict(correlation), "top1": asdict(top1)}
        click.echo(json.dumps({**summary, **estimates, "without": _reasons(found)}, ensure_ascii=False))
        return
    click.echo(f"rank correlation  {_shown(correlation, 1, '.3f')}")
    click.echo(f"same first, in %  {_shown(top1, 100, '.1f')}")
    for reason, turns in _reasons(found).items():
        click.echo(f"without a value   {turns} turns: {reason}")
    click.echo(f"agreement: {path}")


def _reasons(found: RunAgreement) -> dict[str, int]:
    """Why turns have no value -> how many."""
    from collections import Counter

    return dict(Counter(turn.reason for turn in found.turns.values() if turn.reason))


def _shown(estimate: Estimate, factor: int, form: str) -> str:
    if estimate.value is None:
        return "no turn has a value"
    interval = f" [{', '.join(format(factor * end, form) for end in estimate.interval)}]" if estimate.interval else ""
    return (
        f"{format(factor * estimate.value, form)}{interval} over n = {estimate.n_turns} turns in {estimate.n_conversations} conversations"
    )
