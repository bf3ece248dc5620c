"""``convbench``: the command group. Commands are imported when they are used, so that ``--help`` is quick."""

from __future__ import annotations

import logging
import os
import sys

import click

import convbench
from convbench.cli.lazy import LazyGroup
from convbench.cli.stopping import STOPPED, Stopping
from convbench.errors import ConvbenchError, StorageError, storage_error

_COMMANDS = {
    "run": "convbench.cli.run",
    "score": "convbench.cli.score",
    "agree": "convbench.cli.agree",
    "compare": "convbench.cli.compare",
    "diff": "convbench.cli.diff",
    "runs": "convbench.cli.runs",
    "validate": "convbench.cli.validate",
    "import": "convbench.cli.import_",
    "export": "convbench.cli.export",
    "check": "convbench.cli.check",
    "train": "convbench.cli.train",
    "data": "convbench.cli.data",
    "protocols": "convbench.cli.protocols",
    "baselines": "convbench.cli.baselines",
    "leaderboard": "convbench.cli.leaderboard",
}


@click.group(cls=LazyGroup, modules=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(convbench.__version__, prog_name="convbench")
@click.option("--quiet", "-q", is_flag=True, help="Only warnings and errors on stderr.")
def cli(quiet: bool) -> None:
    """Benchmark and evaluation toolkit for conversational search.

    \b
    A first look, without downloads:
      convbench run bm25-query bm25-rewrite oracle -d topiocqa --out runs/first
    On official files:
      convbench run minilm-history -d topiocqa --data path/to/topiocqa --out runs/minilm
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    handler = logging.StreamHandler(sys.stderr)
    # Other packages set their own levels (bm25s logs every index it builds), so what is shown is decided here.
    handler.addFilter(lambda record: record.levelno >= logging.WARNING or (not quiet and record.name.startswith("convbench")))
    logging.basicConfig(handlers=[handler], format="%(message)s")
    logging.getLogger("convbench").setLevel(logging.INFO)
    if quiet or not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # transformers' bars too


def main() -> None:
    """Runs the command line; every error a user can act on is one line on stderr and a non-zero exit code."""
    stopping = Stopping()
    with stopping.heeded():
        sys.exit(_run(stopping))


def _run(stopping: Stopping) -> int:
    """The exit code of the command that was asked for."""
    try:
        code = cli.main(prog_name="convbench", standalone_mode=False)
    except click.ClickException as error:
        _show(error)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo(STOPPED, err=True)
        code = stopping.code
    except ConvbenchError as error:
        click.echo(f"error: {error}", err=True)
        code = error.exit_code
    except OSError as error:
        mapped = storage_error(error) or StorageError(
            f"reading or writing failed ({error}): check disk space and limits; finished work is kept, run the same command again to go on"
        )
        click.echo(f"error: {mapped}", err=True)
        code = mapped.exit_code
    return code if isinstance(code, int) else 0


def _show(error: click.ClickException) -> None:
    """One line; only the help page that a bare ``convbench`` gets has more."""
    message = error.format_message()
    if "\n" in message:
        error.show()
        return
    context = getattr(error, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context else ""
    click.echo(f"error: {message.rstrip('.')}{hint}", err=True)
