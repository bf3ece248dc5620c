"""Which processes a training has, and what each of them does and holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convbench.training.sharding import wants_sharding
from convbench.training.train_settings import TrainSettings
from convbench.training.zero_asked import zero_stage

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True, slots=True)
class Plan:
    """How a training is shared out.

    Attributes:
        processes: How many a launcher started; 1 without a launcher.
        way: ``whole models``, ``FSDP2``, or ``DeepSpeed ZeRO-1`` and ``-2``.
        device: What they compute on, such as ``cuda``.
        precision: Of the training.
        batch_size: Examples of a batch, of all processes.
        gradient_accumulation: Batches of an update.
    """

    processes: int
    way: str
    device: str
    precision: str
    batch_size: int
    gradient_accumulation: int

    @classmethod
    def of(cls, settings: TrainSettings, accelerator: Accelerator) -> Plan:
        """What the launcher and the settings ask for.

        Raises:
            UsageError: The launcher asks for what is not done here.
        """
        stage = zero_stage()
        way = "FSDP2" if wants_sharding(accelerator) else "whole models" if stage is None else f"DeepSpeed ZeRO-{stage}"
        device = accelerator.device.type
        return cls(accelerator.num_processes, way, device, settings.precision, settings.batch_size, settings.gradient_accumulation)

    @property
    def zero(self) -> bool:
        """Whether DeepSpeed shares out the optimizer's state."""
        return self.way.startswith("DeepSpeed")

    def describe(self) -> str:
        """One sentence, without its end."""
        number = "1 process" if self.processes == 1 else f"{self.processes} processes ({self.way})"
        each = "" if self.processes == 1 else f", {self.batch_size // self.processes} for each"
        several = "" if self.gradient_accumulation == 1 else f"; {self.gradient_accumulation} batches an update"
        return f"{number} on {self.device} in {self.precision}: batches of at most {self.batch_size} examples{each}{several}"
