"""``convbench train``: a recipe into a unified checkpoint; and the commands around it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convbench.cli.data_options import place_options
from convbench.cli.environment_options import environment_options
from convbench.cli.lazy import LazyGroup
from convbench.cli.option_values import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convbench.training.fine_tune import FineTuned
    from convbench.training.recipe import Recipe

_COMMANDS = {"mine": "convbench.cli.mine", "study": "convbench.cli.study"}


class RecipeContext(click.Context):
    """The context of training itself, which has no name beside its group's."""

    @property
    def command_path(self) -> str:
        """As it is typed."""
        return super().command_path.rstrip()


class RecipeCommand(click.Command):
    """Training itself."""

    context_class = RecipeContext


class RecipeGroup(LazyGroup):
    """A group whose first argument is one of its commands, or else the recipe that is trained."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The command, or training, which ``train RECIPE ...`` is handed to as it is."""
        return super().resolve_command(ctx, args) if args[0] in self.modules else (None, train_command, args)


@click.group("train", cls=RecipeGroup, modules=_COMMANDS, context_settings={"ignore_unknown_options": True})
def command() -> None:
    """Train a unified model: `convbench train RECIPE`; mine hard negatives; run an ablation study.

    RECIPE is a train.yaml, or the name of a baseline that has one. See `convbench train RECIPE --help` for its options.

    \b
    convbench train unified-minilm --data topiocqa=DIR --data inscit=DIR --out runs/unified-minilm
    convbench train my.yaml --dry-run
    """  # noqa: D301 - click leaves the lines after a backspace as they are


@click.command("train", cls=RecipeCommand)
@click.argument("recipe", metavar="RECIPE")
@place_options
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a value of the recipe (training.seed=1 ...).")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the training. Default: runs/train-NAME.")
@environment_options
@click.option("--dry-run", is_flag=True, help="Open everything, read a few batches, estimate the memory, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print what came of it as JSON on stdout.")
def train_command(
    recipe: str,
    places: Mapping[str, Mapping[str, str]],
    settings: tuple[str, ...],
    out: Path | None,
    cache: Path | None,
    offline: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train a unified model as RECIPE says: a train.yaml, or the name of a baseline that has one.

    The folder gets the checkpoint with its card, the log and its picture, and the runs on the test sets. The same command again goes on
    where it was stopped.
    """
    from convbench.io.cache import cache_root
    from convbench.training.places import with_places
    from convbench.training.recipe import build_recipe, read_values, recipe_path, with_absolute_paths, with_changes

    path = recipe_path(recipe)
    changes = read_settings(settings)
    values = with_absolute_paths(with_changes(read_values(path), changes), Path.cwd())
    built = build_recipe(with_places(values, places), path)  # after the changes, which may bring another mixture
    place = cache or cache_root()
    if dry_run:
        _dry_run(built, place, offline=offline, as_json=as_json)
        return
    from convbench.training.fine_tune import fine_tune
    from convbench.training.processes import is_first

    done = fine_tune(built, out or Path("runs") / f"train-{built.name}", cache=place, offline=offline)
    if is_first():
        _show(done, as_json=as_json)


def _dry_run(recipe: Recipe, cache: Path, *, offline: bool, as_json: bool) -> None:
    from convbench.training.dry_run import dry_run
    from convbench.training.dry_run_text import show
    from convbench.training.processes import is_first

    found = dry_run(recipe, cache=cache, offline=offline)
    if not is_first():
        return
    click.echo(json.dumps(found.as_json(), ensure_ascii=False) if as_json else "\n".join(show(found)))


def _show(done: FineTuned, *, as_json: bool) -> None:
    trained = done.trained
    if as_json:
        values: dict[str, Any] = {
            "checkpoint": str(done.checkpoint),
            "steps": trained.steps,
            "chosen_step": trained.chosen_step,
            "stopped_early": trained.stopped_early,
            "best": trained.best,
            "results": {name: results.model_dump(mode="json") for name, results in done.results.items()},
        }
        click.echo(json.dumps(values, ensure_ascii=False))
        return
    early = ", stopped early" if trained.stopped_early else ""
    click.echo(f"steps: {trained.steps}{early}; weights of step {trained.chosen_step}")
    for name, results in done.results.items():
        for metric in results.metrics:
            if metric.value is not None and metric.scale == "unit":
                click.echo(f"{name:<12} {metric.key:<36} {100 * metric.value:5.1f}")
    click.echo(f"checkpoint: {done.checkpoint}")
