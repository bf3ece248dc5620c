"""What accelerate's launcher asks of DeepSpeed, and what of it is refused because it would not be done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convbench.errors import UsageError

ASKED = "ACCELERATE_USE_DEEPSPEED"
"""What accelerate's launcher sets."""


def zero_stage() -> int | None:
    """The stage of ZeRO that the launcher asks for; None: no DeepSpeed.

    Raises:
        UsageError: It asks for what is not done here.
    """
    from accelerate.utils import DeepSpeedPlugin, parse_flag_from_env

    if not parse_flag_from_env(ASKED):
        return None
    try:
        plugin = DeepSpeedPlugin()
    except ValueError as error:
        raise UsageError(f"accelerate's DeepSpeed configuration: {' '.join(str(error).split())}") from None
    check_plugin(plugin.deepspeed_config)
    return int(plugin.deepspeed_config["zero_optimization"]["stage"])


def check_plugin(asked: Mapping[str, Any]) -> None:
    """Refuses what a DeepSpeed configuration may ask for and would not get.

    Args:
        asked: The configuration as DeepSpeed knows it, as accelerate's launcher filled it in.
    """
    zero = asked.get("zero_optimization", {})
    stage = zero.get("stage")
    if stage == 3:
        raise UsageError(
            "accelerate is set to ZeRO stage 3, whose passes wait for each other, and processes here make another number of them: "
            "use FSDP, which shares out weights (accelerate-fsdp.yaml of unified-paper), or zero_stage 2"
        )
    if stage not in (1, 2):
        raise UsageError(f"accelerate is set to ZeRO stage {stage}: expected zero_stage 1 or 2; without ZeRO, launch without DeepSpeed")
    refused = {
        "offload_optimizer": (_device(zero, "offload_optimizer"), "the optimizer's parts stay on their device"),
        "offload_param": (_device(zero, "offload_param"), "weights stay on their device"),
        "gradient_clipping": (asked.get("gradient_clipping"), "max_gradient_norm of the training is what clips"),
        "gradient_accumulation_steps": (
            None if asked.get("gradient_accumulation_steps") in (1, "1") else asked.get("gradient_accumulation_steps"),
            "gradient_accumulation of the training is what counts",
        ),
        "fp16": (asked.get("fp16", {}).get("enabled"), "precision of the training is fp32 or bf16"),
    }
    for name, (found, why) in refused.items():
        if found not in (None, False, "auto", "none"):
            raise UsageError(f"accelerate's DeepSpeed configuration sets {name} ({found}): leave it out, as {why}")
    known = {*refused, "zero_optimization", "bf16", "steps_per_print", "train_batch_size", "train_micro_batch_size_per_gpu"}
    if unknown := sorted(name for name, value in asked.items() if name not in known and value not in (None, False, "auto")):
        raise UsageError(f"accelerate's DeepSpeed configuration sets {', '.join(unknown)}: the training's settings say that; leave it out")
    if unknown := sorted(set(zero) - {"stage", "offload_optimizer", "offload_param", "stage3_gather_16bit_weights_on_model_save"}):
        raise UsageError(f"accelerate's DeepSpeed configuration sets {', '.join(unknown)} of ZeRO: it is not passed on; leave it out")


def _device(zero: Mapping[str, Any], name: str) -> Any:
    found = zero.get(name)
    return found.get("device") if isinstance(found, dict) else found
