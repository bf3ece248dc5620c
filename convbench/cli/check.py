"""``convbench check``: is this checkpoint what its profile says?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from convbench.cli.option_values import read_profile

if TYPE_CHECKING:
    from convbench.backends.examine import Examined
    from convbench.backends.placement import Device, Dtype
    from convbench.backends.shown import Shown

_TITLES = {
    "session": "A session, as its embedding is read",
    "passage": "A passage, as its embedding is read",
    "prompt": "The prompt, after the session",
}


@click.command("check")
@click.argument("checkpoint")
@click.option("--profile", metavar="NAME|FILE", help="A built-in profile, or a JSON or YAML file of keys that change the checkpoint's own.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", show_default=True, help="Where to compute.")
@click.option(
    "--dtype", type=click.Choice(["auto", "float32", "float16", "bfloat16"]), default="auto", show_default=True, help="In which precision."
)
@click.option("--offline", is_flag=True, envvar="CONVBENCH_OFFLINE", help="Refuse the network.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(checkpoint: str, profile: str | None, device: Device, dtype: Dtype, offline: bool, as_json: bool) -> None:
    """Check CHECKPOINT, a folder or owner/name[@revision] on the hub.

    Looks at its files, at what it computes, and shows what is sent to it for one turn. Exit code 5 where something fails.

    \b
    convbench check checkpoints/my-model
    convbench check sentence-transformers/all-MiniLM-L6-v2 --json
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.backends.examine import examine
    from convbench.backends.locate import split_revision
    from convbench.backends.placement import ModelConfig
    from convbench.errors import ConvbenchError, ResourceError

    model, revision = split_revision(checkpoint)
    try:
        config = ModelConfig(model=model, revision=revision, profile=read_profile(profile), device=device, dtype=dtype)
        examined = examine(config, offline=offline)
    except ConvbenchError as error:
        if as_json:
            click.echo(json.dumps({"checkpoint": checkpoint, "error": str(error)}, ensure_ascii=False))
        raise
    if as_json:
        click.echo(json.dumps(examined.as_json(), ensure_ascii=False))
    else:
        _show(examined)
    if examined.failure is not None:
        raise ResourceError(f"{examined.checkpoint}: {examined.failure.line}")


def _show(examined: Examined) -> None:
    click.echo(f"{examined.checkpoint}\nprofile: {examined.profile}; on {examined.device} in {examined.dtype}\n")
    widest = max(len(finding.name) for finding in examined.findings)
    for finding in examined.findings:
        click.echo(f"{finding.status:<8}  {finding.name:<{widest}}  {finding.found}")
        if finding.expected:
            click.echo(f"{'':<{widest + 12}}expected {finding.expected}; {finding.do}")
    for name, sent in examined.sent.items():
        click.echo(f"\n{_TITLES[name]} ({len(sent.ids)} tokens):\n{_indented(sent.text)}\n{_indented(_tokens(sent))}")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _tokens(sent: Shown) -> str:
    """Tokens with their ids, the middle of long inputs left out."""
    pairs = [f"{token}({id_})" for token, id_ in zip(sent.tokens, sent.ids, strict=True)]
    return " ".join(pairs if len(pairs) <= 32 else [*pairs[:16], "...", *pairs[-16:]])
