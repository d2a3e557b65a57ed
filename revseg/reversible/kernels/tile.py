"""Block sizes of the kernels: a fixed table, so that forward and inverse always run the same code.

A search at run time could choose differently in the two directions, and the inverse would lose its bits.
``scripts/tune_kernels.py`` measures candidates and prints entries for ``TABLE``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Tile:
    """The part of a field that one program computes.

    frames, height, width: its positions, powers of two; ``width`` counts the 2 halo columns of hidden.
    channels: channels of the field it treats at a time; warps, stages: Triton's num_warps and num_stages.
    """

    frames: int
    height: int
    width: int
    channels: int
    warps: int
    stages: int

    @property
    def positions(self) -> int:
        return self.frames * self.height * self.width


# Major compute capability -> (kernel, channels of the field, padded rank) -> Tile; ``tile_of`` guesses what is missing. What fits
# the shared memory of one generation may exceed that of another.
HOPPER = 9
# Measured on an H200 (int16 states, bfloat16 adjoints) for the levels of a network with 4 channels; an H100 has the same cores.
TABLE: dict[int, dict[tuple[str, int, int], Tile]] = {
    HOPPER: {
        ("hidden", 32, 16): Tile(2, 4, 32, channels=32, warps=8, stages=3),
        ("leapfrog", 32, 16): Tile(1, 4, 32, channels=32, warps=4, stages=2),
        ("gradient", 32, 16): Tile(1, 4, 16, channels=32, warps=4, stages=1),
        ("hidden", 256, 16): Tile(2, 8, 16, channels=32, warps=8, stages=3),
        ("leapfrog", 256, 16): Tile(1, 4, 32, channels=64, warps=8, stages=1),
        ("gradient", 256, 16): Tile(2, 4, 16, channels=64, warps=4, stages=1),
        ("hidden", 2048, 16): Tile(1, 4, 32, channels=32, warps=4, stages=3),
        ("leapfrog", 2048, 16): Tile(2, 4, 16, channels=64, warps=8, stages=1),
        ("gradient", 2048, 16): Tile(1, 4, 16, channels=64, warps=4, stages=1),
    }
}

# Programs that share a kernel gradient's sum: enough to fill a large GPU a few times over.
GRADIENT_PROGRAMS = 1056
# Positions of one program of the Haar kernels, times channels.
HAAR_ELEMENTS = 1024


def generation_of(device: torch.device) -> int:
    """Returns the major compute capability of a GPU; 0 for other devices."""
    return torch.cuda.get_device_capability(device)[0] if device.type == "cuda" else 0


def tile_of(kernel: str, channels: int, rank: int, *, generation: int = 0) -> Tile:
    """Returns the table's entry for a generation of GPUs, or a guess from the shapes alone."""
    entry = TABLE.get(generation, {}).get((kernel, channels, rank))
    if entry is not None:
        return entry
    if kernel == "hidden":
        # Unpipelined loads pass through the L1 cache, where the next tap finds them; pipelined ones go to L2.
        height = 8 if rank <= 16 else 4
        return Tile(2, height, 16, channels=channel_block(channels, 32), warps=4 if rank == 32 else 8, stages=1)
    if kernel == "leapfrog":
        height = 4 if rank <= 32 else 2
        # float32 prev, curr and force of a tile fill the registers of 4 warps at 64 channels.
        warps, stages = (4, 1) if channels <= 32 else (8, 2)
        return Tile(2, height, 16, channels=channel_block(channels, 64), warps=warps, stages=stages)
    return Tile(1, 4, 16, channels=channel_block(channels, 64 if rank <= 16 else 32), warps=4 if rank <= 16 else 8, stages=1)


def widest(channels: int, rank: int, *, generation: int) -> int:
    """Returns the width of the widest tile of a layer's kernels."""
    return max(tile_of(kernel, channels, rank, generation=generation).width for kernel in ("hidden", "leapfrog", "gradient"))


def channel_block(channels: int, longest: int) -> int:
    """Largest power of two up to ``longest`` that divides ``channels``; for 4 and 8 it is 16, the least of a product."""
    if channels < 16:
        return 16
    return min(longest, channels & -channels)


def padded_rank(rank: int) -> int:
    """Number of rows of K with the zero rows that fill it: 16, 32 or 64."""
    return max(16, 1 << (rank - 1).bit_length())


def workspace_bytes(rank: int) -> int:
    """Bytes per position of the workspaces of a and d, in bfloat16."""
    return 2 * padded_rank(rank) * 2
