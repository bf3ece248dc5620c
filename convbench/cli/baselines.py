"""``convbench baselines``: the systems that ship with convbench, the scores they promise, and the numbers that papers print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convbench.cli.environment_options import environment_options, map_option, read_map
from convbench.cli.text_table import table_lines
from convbench.errors import UsageError

if TYPE_CHECKING:
    from convbench.exchange.published import Published
    from convbench.harness.reproduce import MeasureVerdict, SetVerdict


@click.group("baselines")
def command() -> None:
    """The systems that ship with convbench."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_command(as_json: bool) -> None:
    """Names, kinds, what each needs, whether it promises scores, and a line on each."""
    from convbench.systems.catalog import baseline_names

    systems = [_listed(name) for name in baseline_names()]
    if as_json:
        click.echo(json.dumps(systems, ensure_ascii=False))
        return
    rows = [("name", "kind", "needs", "scores", "description")]
    for each in systems:
        rows.append((each["name"], each["kind"], ", ".join(each["needs"]), "yes" if each["scores"] else "no", each["description"]))
    _echo_table(rows)


def _listed(name: str) -> dict[str, Any]:
    from convbench.harness.expected import read_expected
    from convbench.harness.reproduce import shipped_system
    from convbench.systems.needs import needs_of

    config = shipped_system(name)
    expected = read_expected(name)
    return {
        "name": config.name,
        "kind": config.kind,
        "description": config.description,
        "needs": needs_of(config.model_dump()),
        "scores": list(expected.scores) if expected is not None else [],
    }


@command.command("show")
@click.argument("name")
def show_command(name: str) -> None:
    """Print the system.yaml of NAME, and where its README lies."""
    from convbench.systems.catalog import shipped

    _check_names([name])
    folder = shipped("baselines") / name
    click.echo(f"# {folder / 'README.md'}\n{(folder / 'system.yaml').read_text(encoding='utf-8')}", nl=False)


@command.command("reproduce")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "every", is_flag=True, help="Every baseline that promises scores.")
@click.option("--set-name", "set_names", multiple=True, metavar="SET", help="Only this set; may be given several times. Default: all.")
@click.option(
    "--real-data",
    type=click.Path(path_type=Path),
    envvar="CONVBENCH_REAL_DATA",
    help="Folder of samples of real data. Default: $CONVBENCH_REAL_DATA; without one, their sets are skipped.",
)
@click.option("--out", type=click.Path(path_type=Path), default="runs/reproduce", show_default=True, help="Folder of the runs.")
@map_option
@environment_options
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def reproduce_command(
    context: click.Context,
    names: tuple[str, ...],
    every: bool,
    set_names: tuple[str, ...],
    real_data: Path | None,
    out: Path,
    checkpoint_map: Path | None,
    cache: Path | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Run baselines again and hold their scores against those they promise.

    Each set gets a verdict: OK, within noise, FAIL, or skipped. The exit code is 1 where anything fails.

    \b
    convbench baselines reproduce bm25-history minilm-history
    convbench baselines reproduce --all --set-name topiocqa-mini --offline
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.harness.expected import named_set, read_expected
    from convbench.harness.reproduce import Bench, Verdict, reproduce, shipped_system
    from convbench.io.cache import cache_root
    from convbench.systems.catalog import baseline_names
    from convbench.systems.checkpoint_map import warn_of_unused

    if bool(names) == every:
        raise UsageError("name the baselines, or give --all" + (" without names" if names else ""))
    chosen = [name for name in baseline_names() if read_expected(name) is not None] if every else list(dict.fromkeys(names))
    _check_names(chosen)
    for name in set_names:
        named_set(name)
    bench = Bench(out, cache or cache_root(), real_data, offline, read_map(checkpoint_map))
    if bench.checkpoint_map is not None:
        warn_of_unused([shipped_system(name) for name in chosen], bench.checkpoint_map)
    verdicts = []
    for name in chosen:
        for verdict in reproduce(name, bench, tuple(dict.fromkeys(set_names))):
            verdicts.append(verdict)
            if not as_json:
                _show_verdict(verdict)
    if as_json:
        click.echo(json.dumps([verdict.as_json() for verdict in verdicts], ensure_ascii=False))
    else:
        counts = {str(each): sum(verdict.verdict is each for verdict in verdicts) for each in Verdict}
        click.echo(", ".join(f"{count} {name}" for name, count in counts.items() if count))
    if any(verdict.verdict is Verdict.FAIL for verdict in verdicts):
        context.exit(1)


def _show_verdict(verdict: SetVerdict) -> None:
    click.echo(f"{verdict.baseline}{f' on {verdict.set_name}' if verdict.set_name else ''}: {verdict.verdict}")
    if verdict.reason:
        click.echo(f"  {verdict.reason}")
    if verdict.measures:
        rows = [("  set", "measure", "expected", "measured", "difference", "tolerance", "half width", "verdict")]
        _echo_table([*rows, *((f"  {verdict.set_name}", *_cells(each, verdict.tolerance)) for each in verdict.measures)])


def _cells(measure: MeasureVerdict, tolerance: float | None) -> tuple[str, ...]:
    numbers = (measure.expected, measure.measured, measure.difference)
    expected, measured, difference = ("-" if number is None else f"{number:.4f}" for number in numbers)
    verdict = f"{measure.verdict}: {measure.reason}" if measure.reason else str(measure.verdict)
    return measure.name, expected, measured, difference, f"{tolerance or 0:.4f}", f"{measure.half_width:.4f}", verdict


@command.command("published")
@click.option("--dataset", "-d", "datasets", multiple=True, help="Only this dataset; may be given several times. Default: all.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def published_command(datasets: tuple[str, ...], as_json: bool) -> None:
    """Numbers as papers print them, with their sources; none was measured by convbench."""
    from convbench.exchange.published import published, published_datasets

    found = [published(name) for name in dict.fromkeys(datasets or published_datasets())]
    if as_json:
        click.echo(json.dumps([each.model_dump(mode="json") for each in found], ensure_ascii=False))
        return
    for number, each in enumerate(found):
        click.echo("" if number else "Reported by papers, in per cent; none was measured by convbench. ?: check the original.\n")
        _show_published(each)


def _show_published(published: Published) -> None:
    for task, about in published.tasks.items():
        rows = [row for row in published.rows if row.task == task]
        measures = list(dict.fromkeys(measure for row in rows for measure in row.scores))
        click.echo(f"{published.dataset}, {task}: {f'protocol {about.protocol}; ' if about.protocol else ''}{about.note}")
        table = [("  reported", "kind", *measures, "source", "note")]
        for row in rows:
            scores = (f"{row.scores[measure]:.1f}" if measure in row.scores else "-" for measure in measures)
            table.append((f"  {row.system}", row.kind, *scores, row.source, f"{'? ' if row.verify else ''}{row.note}"))
        _echo_table(table)
    sources = (
        f"{name}: {f'arXiv {source.arxiv}' if source.arxiv else 'no paper'}{' ?' if source.verify else ''}"
        for name, source in published.sources.items()
    )
    click.echo(f"  sources: {'; '.join(sources)}")


def _check_names(names: Sequence[str]) -> None:
    from convbench.registry import did_you_mean
    from convbench.systems.catalog import baseline_names

    known = baseline_names()
    for name in names:
        if name not in known:
            raise UsageError(f"unknown baseline {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}")


def _echo_table(rows: Sequence[Sequence[str]]) -> None:
    for line in table_lines(rows):
        click.echo(line)
