"""``convbench runs show``: the card of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from convbench.cli.runs_output import size_of, table
from convbench.cli.shown import shown


@click.command("show")
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON: the specification, inputs and costs whole.")
def command(run: str, as_json: bool) -> None:
    """Show what RUN, a run folder or its URL, says of itself: specification, digests, scores with intervals, costs, files.

    \b
    convbench runs show runs/first/bm25-query
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.report.terminal import printable, printable_json
    from convbench.store.places import stored_run
    from convbench.store.view import card

    found = card(stored_run(run))
    if as_json:
        click.echo(printable_json(found))
        return
    for line in [*_head(found), *_scores(found["metrics"]), *_cost(found["cost"]), *_files(found["files"])]:
        click.echo(shown(line, keep="\n"))
    for warning in found["warnings"]:
        click.echo(f"warning: {printable(warning)}")


def _head(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['system']} on {found['dataset']}, split {found['split'] or '-'}, tier {found['tier'] or '-'}: {found['status']}"
    if found["error"]:
        yield f"error       {found['error']}"
    for key in ("place", "date", "seed", "turns"):
        yield f"{key:<11} {found[key] if found[key] is not None else '-'}"
    for name, digest in found["digests"].items():
        yield f"{name:<11} {'SHA-256 ' + digest if digest else '-'}"
    yield f"asked for   {json.dumps(found['spec'], ensure_ascii=False)}"


def _scores(metrics: list[dict[str, Any]]) -> Iterator[str]:
    if not metrics:
        return
    rows = [("protocol", "measure", "value", "95 % interval", "turns", "note")]
    for each in metrics:
        value = "-" if each["value"] is None else f"{each['value']:.4f}"
        interval = f"[{each['ci'][0]:.4f}, {each['ci'][1]:.4f}]" if each["ci"] else "-"
        rows.append((each["protocol"] or "-", each["name"], value, interval, str(each["n_turns"]), each["reason"] or ""))
    yield ""
    yield from table(rows, right={2, 3, 4})


def _cost(cost: dict[str, Any] | None) -> Iterator[str]:
    if not cost:
        return
    rows = [("phase", "seconds", "ms a turn", "tokens in", "tokens out")]
    for phase in cost["phases"]:
        a_turn = "-" if phase["ms_per_turn"] is None else f"{phase['ms_per_turn']:.2f}"
        rows.append((phase["name"], f"{phase['seconds']:.3f}", a_turn, f"{phase['tokens_in']:,}", f"{phase['tokens_out']:,}"))
    yield ""
    yield from table(rows, right={1, 2, 3, 4})
    yield f"parameters {cost['parameters']:,}; indexes {size_of(cost['index_bytes'])}"


def _files(files: dict[str, int]) -> Iterator[str]:
    yield ""
    yield from table([("file", "size"), *((name, size_of(size)) for name, size in files.items())], right={1})
