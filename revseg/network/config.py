"""The settings of a network and their validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MOST = 1 << 16
"""The most of anything that is counted: far beyond use, yet wrong settings are refused before they fill the memory."""

LIMITS = {"channels": (1, MOST), "classes": (2, 255), "in_channels": (1, MOST), "levels": (0, 16), "kernel_size": (1, 255)}
"""Least and most. A mask tells classes 0 to 254; with 16 levels a cell of the coarsest is 65,536 pixels wide."""


@dataclass(frozen=True)
class NetworkConfig:
    """Settings of ``RevSegNet``."""

    channels: int = 4
    """Channels of the state at level 0 (each of prev and curr); 8 times more per level where T is halved too, else 4 times."""
    classes: int | None = None
    """Classes of the segmentation, background included; null: as many as the labels need (in Python: 2)."""
    evidence: bool | None = None
    """Whether the volume has evidence after the video's channels: the probability of every class and the confidence in them, 0 to
    255. Opening and head see it; where it is 0 throughout, nothing is known. null: as evidence.source says (in Python: no)."""
    in_channels: int | None = None
    """Channels of the video; null: as many as it has (in Python: 3)."""
    levels: int = 3
    """Coarsenings; the network goes down so many levels and up again."""
    depth: Any = (0, 2, 2, 2)
    """Blocks per level on each way: one number, or one for each of the levels + 1 levels, finest first; 0 is allowed."""
    rank: Any = 16
    """Output channels of K: one number, or one per level."""
    step_size: float = 0.5
    """Step size h of the leapfrog. 1 learns faster; with dozens of blocks keep to 0.5, or the state outgrows its range."""
    kernel_size: int = 3
    """Side of K's kernel, odd."""
    norm: str = "operator"
    """How K is bounded. operator: as an operator, stable at any depth for a step_size of up to 2; matrix: as a matrix, which is
    weaker: a few blocks a level learn more with it (docs/results/deep.md), dozens leave every range."""
    output_level: int = 0
    """Level on whose grid the classes are told: 0 is that of the pixels, 1 has cells of 2 x 2 x 2, and so on. There the way up
    ends."""
    coarsen_time: Any = True
    """Whether a coarsening also halves T: one value, or one per coarsening, finest first."""
    arithmetic: str = "exact"
    """exact: states on a grid, inverted bit for bit; float: ordinary floating point."""
    convolution_dtype: str = "auto"
    """bfloat16 or float32 (float64 with arithmetic=float); auto: bfloat16 on a GPU that has it; on a CPU that has it, the faster
    of the two in a short trial, which is kept in ~/.cache/revseg and with the run."""
    state_dtype: str = "float32"
    """Container of the states: float32, int32, int16 (exact); float32, float64 (float). States that leave the range of int16
    continue in float32, on the same grid, if there is memory for it."""
    adjoint_dtype: str = "float32"
    """Container of the adjoints: float32; float16, scaled: gradients within 0.5 % of those of float32 at 128 blocks; bfloat16:
    within 2 to 15 % there; float64 with state_dtype=float64."""
    grid_bits: int | None = None
    """The grid of exact states is 2^-grid_bits; null: 12 (range +-1024 in float32), and 6 for int16 (range +-512)."""

    keep_hidden: bool = False
    """Whether relu(K y + b) is kept for the backward pass where channels are at least twice the rank: 7 convolutions per block
    instead of 8, for rank / (2 C) of a float32 state per block, in bfloat16. It changes no bit of the result."""
    slab_bytes: int | None = None
    """Bytes of one slab's temporaries, about; null: 48 MiB on a CPU, on a GPU a quarter of one of the state's two fields,
    32 to 256 MiB. Fewer bytes take longer, because more halos are computed."""

    def __post_init__(self) -> None:
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if name in ("classes", "in_channels") and value is None:
                continue
            if not isinstance(value, int) or not least <= value <= most:
                raise ValueError(f"network.{name} is {value}; give a whole number from {least} to {most}")
        if not 0 < self.step_size < float("inf"):
            raise ValueError(f"network.step_size is {self.step_size}; give a positive number")
        if self.kernel_size % 2 == 0:
            raise ValueError(f"network.kernel_size is {self.kernel_size}; give an odd number, so that K keeps the size")
        if self.slab_bytes is not None and self.slab_bytes <= 0:
            raise ValueError(f"network.slab_bytes is {self.slab_bytes}; give a positive number, or null")
        if not isinstance(self.output_level, int) or not 0 <= self.output_level <= self.levels:
            raise ValueError(f"network.output_level is {self.output_level}; give a level from 0 to network.levels={self.levels}")
        if self.output_level and self.evidence:
            raise ValueError(
                f"network.output_level is {self.output_level}, but evidence is told for every pixel: "
                "set evidence=none, or network.output_level=0"
            )
        self._spread("depth", self.levels + 1, 0)
        self._spread("rank", self.levels + 1, 1)
        self._spread("coarsen_time", self.levels, 0)
        if self.norm not in ("operator", "matrix"):
            raise ValueError(f"network.norm is {self.norm}; choose operator or matrix")
        self._check_dtypes()

    @property
    def outputs(self) -> int:
        """Number of classes that the head distinguishes."""
        return self.classes or 2

    @property
    def video_channels(self) -> int:
        """Number of channels of the video, which come first in the volume."""
        return self.in_channels or 3

    @property
    def evidence_channels(self) -> int:
        """Number of channels of the evidence, which come after them."""
        return self.outputs + 1 if self.evidence else 0

    @property
    def inputs(self) -> int:
        """Number of channels of the volume."""
        return self.video_channels + self.evidence_channels

    @property
    def depths(self) -> tuple[int, ...]:
        return self._spread("depth", self.levels + 1, 0)

    @property
    def ranks(self) -> tuple[int, ...]:
        return self._spread("rank", self.levels + 1, 1)

    @property
    def halves_time(self) -> tuple[bool, ...]:
        return tuple(bool(value) for value in self._spread("coarsen_time", self.levels, 0))

    def _spread(self, name: str, count: int, least: int) -> tuple[int, ...]:
        value = getattr(self, name)
        values = tuple(value) if isinstance(value, (list, tuple)) else (value,) * count
        if len(values) != count:
            raise ValueError(
                f"network.{name} has {len(values)} entries but network.levels={self.levels} needs {count}; "
                f"give one number or {count} of them"
            )
        if any(not isinstance(v, int) or not least <= v <= MOST for v in values):
            raise ValueError(f"network.{name} is {value}; every entry must be a whole number from {least} to {MOST}")
        return values

    def _check_dtypes(self) -> None:
        allowed: dict[str, tuple[str, ...]] = {
            "arithmetic": ("exact", "float"),
            "convolution_dtype": ("auto", "bfloat16", "float32", "float64"),
            "state_dtype": ("float32", "int32", "int16") if self.arithmetic == "exact" else ("float32", "float64"),
            "adjoint_dtype": ("float32", "float16", "bfloat16", "float64"),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ValueError(
                    f"network.{name} is {getattr(self, name)}; with arithmetic={self.arithmetic} "
                    f"choose one of {', '.join(values)}"
                )
        if self.grid_bits is not None and self.arithmetic == "float":
            raise ValueError(
                f"network.grid_bits is {self.grid_bits} but arithmetic=float has no grid; "
                "set arithmetic=exact or leave grid_bits out"
            )
        if self.grid_bits is not None and not 0 <= self.grid_bits <= 20:
            raise ValueError(f"network.grid_bits is {self.grid_bits}; give 0 to 20, or null for the container's default")
