"""The settings of a training: steps, optimizer, loss, augmentation."""

from __future__ import annotations

from dataclasses import dataclass, field

# Peak learning rates of the kernels and of everything else.
RATES = {"muon": (0.02, 0.01), "adamw": (0.003, 0.003)}


@dataclass(frozen=True)
class OptimizerConfig:
    """Which optimizer, and how fast."""

    name: str = "muon"
    """muon: orthogonalised updates for the kernels, AdamW for the rest; adamw: AdamW for all."""
    kernel_rate: float | None = None
    """Peak learning rate of the kernels; null: 0.02 for muon, 0.003 for adamw."""
    rate: float | None = None
    """Peak learning rate of everything else; null: 0.01 beside muon, 0.003 for adamw."""
    momentum: float = 0.95
    """Momentum of Muon."""
    weight_decay: float = 0.0
    """Decoupled weight decay of everything but the biases."""

    def __post_init__(self) -> None:
        if self.name not in RATES:
            raise ValueError(f"training.optimizer.name is {self.name}; choose one of {', '.join(RATES)}")
        if min(self.rates) <= 0:
            raise ValueError(f"training.optimizer has the learning rates {self.rates}; give positive numbers")

    @property
    def rates(self) -> tuple[float, float]:
        """Peak learning rates of the kernels and of everything else."""
        kernel_rate, rate = RATES[self.name]
        return (
            kernel_rate if self.kernel_rate is None else self.kernel_rate,
            rate if self.rate is None else self.rate,
        )


@dataclass(frozen=True)
class LossConfig:
    """How much each part of the loss weighs."""

    cross_entropy: float = 1.0
    """Weight of the cross-entropy, mean over the labelled pixels."""
    dice: float = 1.0
    """Weight of 1 - Dice, mean over the objects."""

    def __post_init__(self) -> None:
        if min(self.cross_entropy, self.dice) < 0 or self.cross_entropy + self.dice == 0:
            raise ValueError(
                f"training.loss has cross_entropy={self.cross_entropy} and dice={self.dice}; "
                "give weights of 0 or more, not both 0"
            )


@dataclass(frozen=True)
class AugmentConfig:
    """Strengths of the augmentations; 0 turns one off."""

    offset: bool = True
    """Place the volume at a random position of the network's grid. Leave it on: the Haar grid is not shift-invariant, and without
    it a network knows only the phases of the labelled frames."""
    flip_width: float = 0.5
    """Probability of mirroring left and right."""
    flip_time: float = 0.5
    """Probability of running backwards."""
    gain: float = 0.05
    """Each channel is multiplied by a factor up to this far from 1."""
    bias: float = 0.02
    """Each channel is shifted by up to this share of the full range."""
    rotation: float = 10.0
    """Largest rotation, in degrees."""
    scale: float = 0.1
    """Largest relative change of size."""
    shear: float = 0.05
    """Largest shear, as tangent."""
    translation: float = 0.05
    """Largest shift, as share of the height and of the width."""

    def __post_init__(self) -> None:
        for name in ("flip_width", "flip_time", "gain", "bias", "scale", "shear", "translation"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"augment.{name} is {getattr(self, name)}: give a number from 0 to 1")
        if not 0 <= self.rotation <= 180:
            raise ValueError(f"augment.rotation is {self.rotation}: give 0 to 180 degrees")

    @property
    def warps(self) -> bool:
        """Whether frames are resampled."""
        return any((self.rotation, self.scale, self.shear, self.translation))


@dataclass(frozen=True)
class TrainingConfig:
    """How the weights are found."""

    steps: int = 60
    """Updates of the weights in the first round; each sees `accumulation` whole videos."""
    finetune_steps: int | None = None
    """Updates in each later round, which begins with the weights of the one before when labels were added or corrected
    (docs/howto/correct.md); null: an eighth of steps where each sees a whole video with its evidence, a quarter elsewhere."""
    minutes: float | None = None
    """Stop a round after this time even if there are steps left; the schedule then follows the time. Such a run cannot be
    repeated bit for bit."""
    patience: int | None = None
    """Once the mean loss of so many steps is hardly (2 %) below that of as many before them, end after as many more, in which the
    learning rate falls to its end; null: take all steps."""
    accumulation: int | None = None
    """Videos whose gradients are averaged for one update, of all processes together; null: one for each process
    (docs/howto/several_gpus.md)."""
    clip: float = 1.0
    """Largest norm of the gradient; a longer one is scaled down to it."""
    evaluate_every: int | None = None
    """Steps between evaluations for TensorBoard, which cost a prediction each; null: only at the end."""
    checkpoint_every: int = 25
    """Steps between checkpoints, and so the most that a killed run has to repeat."""
    memory_budget: float | None = None
    """Gigabytes (10^9 bytes) that the training may take; null: what is free. Where the network needs more as configured, a
    smaller arrangement of it is taken (slabs, adjoint_dtype, state_dtype), or the run stops before its first step."""
    input: str = "device"
    """Where the uint8 video lies during a step: device, or host, in pinned memory, which saves the device 3 bytes a pixel."""
    ahead: int = 2
    """Videos that are decoded and augmented in the background while the network works."""
    watchdog: float | None = None
    """Seconds after which a run without any progress, neither a step nor a frame of another phase, ends with the stacks of all
    its threads in train.log; null: never. Choose more than the longest video takes in any phase."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self) -> None:
        if self.input not in ("device", "host"):
            raise ValueError(f"training.input is {self.input}; choose device or host")
        for name in ("steps", "clip", "checkpoint_every"):
            if getattr(self, name) <= 0:
                raise ValueError(f"training.{name} is {getattr(self, name)}; give a positive number")
        for name in ("finetune_steps", "minutes", "patience", "accumulation", "evaluate_every", "watchdog"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"training.{name} is {value}; give a positive number, or null")

    @property
    def videos(self) -> int:
        """How many an update sees, where one process trains or `accumulation` says it."""
        return self.accumulation or 1

    def steps_of_later_rounds(self, share: int) -> int:
        """Returns how many each later round takes: one of ``share`` of the first round's, unless they are given."""
        return -(-self.steps // share) if self.finetune_steps is None else self.finetune_steps
