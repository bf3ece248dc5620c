"""How a training is run: how long, how fast, in which precision, what is kept. What is learnt is not here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from convbench.config import Config

MAY_CHANGE = frozenset({"save_every", "keep", "device", "tensorboard"})
"""Settings that may differ when a training goes on: they do not change what the next step computes from."""


class TrainSettings(Config):
    """A training's settings. The defaults are a start for small models on small data; no paper's.

    Attributes:
        steps: Updates of the weights; or ``epochs``, not both.
        epochs: How often as many examples are drawn as the sources hold together; parts of one count too.
        batch_size: Most examples in a batch, of all processes together.
        gradient_accumulation: Batches whose gradients are averaged into one update. Each is contrasted by itself.
        learning_rate: The highest, which warm-up ends with.
        rates: Weights that have another highest rate: pattern of their names -> rate (``'*.cls.predictions.transform.*': 1e-3``, for a new
            head); the first pattern that fits counts. Warm-up and schedule are the same for all.
        schedule: How it falls after warm-up: like a cosine or a line, down to 0 at the last step, or not at all.
        warmup_steps: Updates in which it rises from 0.
        weight_decay: AdamW's (Loshchilov and Hutter 2019), of matrices; norms and biases have none.
        max_gradient_norm: Longer gradients are shortened to this L2 norm; None: never.
        precision: ``bf16`` computes in bfloat16 where that is safe (autocast); weights and optimizer stay as they were loaded.
        seed: Of the order of examples and of dropout.
        save_every: Updates from checkpoint to checkpoint. The last update and every best one are saved besides.
        evaluate_every: Updates from evaluation to evaluation, and one at the end; None: no evaluation.
        keep: Newest checkpoints that stay. The best one stays besides.
        metric: The metric by which the best checkpoint is chosen; None: the last one is taken.
        higher_is_better: Whether more of that metric is better.
        patience: Evaluations without a better one after which training stops; None: it never stops early.
        device: ``auto``: what accelerate finds; ``cpu``: the CPU though there may be something faster.
        tensorboard: Whether event files for TensorBoard are written too; needs the package of that name.
    """

    steps: int | None = Field(default=None, ge=1)
    epochs: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    batch_size: int = Field(default=32, ge=1)
    gradient_accumulation: int = Field(default=1, ge=1)
    learning_rate: float = Field(default=5e-5, gt=0, allow_inf_nan=False)
    rates: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = {}  # noqa: RUF012 - pydantic copies defaults
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.01, ge=0, allow_inf_nan=False)
    max_gradient_norm: float | None = Field(default=1.0, gt=0, allow_inf_nan=False)
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = Field(default=0, ge=0, lt=2**31)
    save_every: int = Field(default=500, ge=1)
    evaluate_every: int | None = Field(default=None, ge=1)
    keep: int = Field(default=2, ge=1)
    metric: str | None = Field(default=None, min_length=1)
    higher_is_better: bool = True
    patience: int | None = Field(default=None, ge=1)
    device: Literal["auto", "cpu"] = "auto"
    tensorboard: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> TrainSettings:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("expected either steps or epochs")
        if self.metric is not None and self.evaluate_every is None:
            raise ValueError("a metric to choose by needs evaluate_every")
        if self.patience is not None and self.metric is None:
            raise ValueError("patience needs a metric to watch")
        return self

    def identity(self) -> dict[str, Any]:
        """What must be the same for a training to go on: JSON-like."""
        return self.model_dump(exclude=set(MAY_CHANGE))

    def is_better(self, value: float, best: float | None) -> bool:
        """Whether a value of the metric beats the best one so far; NaN beats nothing."""
        if value != value:
            return False
        return best is None or (value > best if self.higher_is_better else value < best)
