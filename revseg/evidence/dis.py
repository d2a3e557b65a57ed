"""Dense inverse search (DIS; Kroeger et al., arXiv:1603.03590) in PyTorch: optical flow of many pairs of frames at a time.

From the coarsest scale of a pyramid to the finest, patches T of one frame look for their place in the other, I:

    e(u) = sum over a patch of (I(x + u) - T(x) - mean of that difference)^2
    u   <- u - H^-1 sum g (I(x + u) - T(x) - mean),     H = sum g g^T,     g: gradient of T, less its mean

as long as e falls. Before it descends, a patch tries what its neighbours have found, in rounds for all patches at once: without
that, flow stays where the coarser scale was wrong. Then each pixel takes the mean of the patches around it,

    flow(x) = sum_patches w u / sum_patches w,     w = 1 / max(1, |I(x + u) - T(x)|)

A patch moves by one u, so that its pixels lie between the same four neighbours: of I, a window of one pixel more is gathered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 8
"""Side of a patch, in pixels."""

AREA = SIDE * SIDE

# Frames go on beyond their border by so much: a patch that moves up to its own width out of the frame is still compared.
BORDER = 2 * SIDE

# Rounds at each scale: how far off the neighbours are whose flow is tried, in patches, and how many steps follow.
ROUNDS = ((1, 2), (2, 2), (1, 6))

NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0))

# Least determinant of H: patches without texture stay where they are.
LEAST_DETERMINANT = 1e-3


@dataclass(frozen=True)
class Found:
    """Where patches are compared best so far; each (N, rows, columns)."""

    u: Tensor
    """(2, N, rows, columns): x and y."""
    error: Tensor
    slope_x: Tensor
    """sum g (I - T - mean), of which H^-1 makes the next step."""
    slope_y: Tensor

    def where(self, better: Tensor, other: Found) -> Found:
        """Returns the other one where it is better."""
        return Found(
            u=torch.where(better, other.u, self.u),
            error=torch.where(better, other.error, self.error),
            slope_x=torch.where(better, other.slope_x, self.slope_x),
            slope_y=torch.where(better, other.slope_y, self.slope_y),
        )


def pyramid(grey: Tensor, finest: int) -> list[Tensor]:
    """Returns grey frames (F, H, W) at the scales 0, 1, ..., each half as large; the coarsest has a few patches a side."""
    height, width = grey.shape[1:]
    coarsest = min(int(log2(max(height, width) / (4 * SIDE)) + 0.5), int(log2(min(height, width) / SIDE)))
    levels = [grey]
    for _ in range(max(coarsest, finest)):
        if min(levels[-1].shape[1:]) < 2 * SIDE:
            break
        levels.append(F.avg_pool2d(levels[-1][:, None], 2)[:, 0])
    return levels


def dense_flow(grey: Tensor, pairs: Sequence[tuple[int, int]], *, finest: int, stride: int) -> Tensor:
    """Returns the flow (N, 2, H, W) in pixels, x and y, from the first to the second of each pair of grey frames (F, H, W).

    finest: the last scale, 0 for full resolution. stride: pixels between patches.
    """
    levels = pyramid(grey, finest)
    first, second = (torch.tensor(some, device=grey.device) for some in zip(*pairs, strict=True))
    flow = grey.new_zeros(len(pairs), 2, *levels[-1].shape[1:])
    for scale in range(len(levels) - 1, min(finest, len(levels) - 1) - 1, -1):
        flow = resized(flow, levels[scale].shape[1:])
        flow = Search(levels[scale], first, second, stride=stride).improved(flow)
    return resized(flow, grey.shape[1:])


def resized(flow: Tensor, size: Sequence[int]) -> Tensor:
    """Returns flow (N, 2, h, w) at another size, in pixels of that."""
    height, width = flow.shape[2:]
    if (height, width) == tuple(size):
        return flow
    larger = F.interpolate(flow, tuple(size), mode="bilinear", align_corners=False)
    return larger * larger.new_tensor([size[1] / width, size[0] / height]).view(1, 2, 1, 1)


class Search:
    """Patches of one scale. frames: (F, h, w); first, second: of each pair, their numbers (N)."""

    def __init__(self, frames: Tensor, first: Tensor, second: Tensor, *, stride: int) -> None:
        self.height, self.width = frames.shape[1:]
        self.second, self.stride = second, stride
        self.rows, self.columns = (-(-max(0, side - SIDE) // stride) + 1 for side in (self.height, self.width))
        padded = F.pad(frames[:, None], [BORDER] * 4, mode="replicate")[:, 0]
        self.windows = padded.unfold(1, SIDE + 1, 1).unfold(2, SIDE + 1, 1)
        self.template = self._patches(padded, first)
        self.gradient_x, self.gradient_y = (self._patches(each, first) for each in gradients(padded))
        for gradient in (self.gradient_x, self.gradient_y):
            gradient -= gradient.mean((-2, -1), keepdim=True)
        self._set_inverse()
        self.top = BORDER + stride * torch.arange(self.rows, device=frames.device)[:, None]
        self.left = BORDER + stride * torch.arange(self.columns, device=frames.device)

    def _patches(self, padded: Tensor, first: Tensor) -> Tensor:
        """(N, rows, columns, SIDE, SIDE); the last ones reach beyond the frame."""
        inside = padded[:, BORDER:, BORDER:].unfold(1, SIDE, self.stride).unfold(2, SIDE, self.stride)
        return inside[first, : self.rows, : self.columns].clone()

    def _set_inverse(self) -> None:
        """H^-1."""
        xx, xy, yy = (
            (one * other).sum((-2, -1))
            for one, other in (
                (self.gradient_x, self.gradient_x),
                (self.gradient_x, self.gradient_y),
                (self.gradient_y, self.gradient_y),
            )
        )
        determinant = (xx * yy - xy * xy).clamp(min=LEAST_DETERMINANT)
        self.inverse = yy / determinant, -xy / determinant, xx / determinant

    def improved(self, flow: Tensor) -> Tensor:
        """Returns the dense flow (N, 2, h, w), from that of the coarser scale at the same size."""
        rows = (self.top[:, 0] - BORDER + SIDE // 2).clamp(max=self.height - 1)
        columns = (self.left - BORDER + SIDE // 2).clamp(max=self.width - 1)
        found = self._at(flow[:, :, rows][:, :, :, columns].transpose(0, 1).contiguous())
        for distance, steps in ROUNDS:
            for row, column in NEIGHBOURS:
                found = self._better(found, moved(found.u, distance * row, column=distance * column))
            found = self._descended(found, steps)
        return self._dense(found.u)

    def _descended(self, found: Found, steps: int) -> Found:
        """After some steps of Gauss and Newton, each taken where it makes the error less; none farther than a patch is wide."""
        start, (xx, xy, yy) = found.u, self.inverse
        for _ in range(steps):
            step = torch.stack([xx * found.slope_x + xy * found.slope_y, xy * found.slope_x + yy * found.slope_y])
            there = found.u - step
            near = (there - start).square().sum(0) <= AREA
            found = self._better(found, torch.where(near, there, found.u))
        return found

    def _better(self, found: Found, u: Tensor) -> Found:
        other = self._at(u)
        return found.where(other.error < found.error, other)

    def _difference(self, u: Tensor) -> Tensor:
        """I(x + u) - T(x), (N, rows, columns, SIDE, SIDE)."""
        x = (self.left + u[0]).clamp(BORDER - SIDE + 1, BORDER + self.width - 1)
        y = (self.top + u[1]).clamp(BORDER - SIDE + 1, BORDER + self.height - 1)
        column, row = x.floor(), y.floor()
        window = self.windows[self.second[:, None, None], row.long(), column.long()]
        right, down = (x - column)[..., None, None], (y - row)[..., None, None]
        across = torch.lerp(window[..., :-1], window[..., 1:], right)
        return torch.lerp(across[..., :-1, :], across[..., 1:, :], down).sub_(self.template)

    def _at(self, u: Tensor) -> Found:
        difference = self._difference(u)
        total = difference.sum((-2, -1))
        error = difference.square().sum((-2, -1)) - total.square() / AREA
        x, y = ((difference * gradient).sum((-2, -1)) for gradient in (self.gradient_x, self.gradient_y))
        return Found(u, error, slope_x=x, slope_y=y)

    def _dense(self, u: Tensor) -> Tensor:
        """(N, 2, h, w): the mean over the patches around each pixel."""
        weight = self._difference(u).abs_().clamp_(min=1).reciprocal_().flatten(-2)
        weight = weight.movedim(-1, 1).flatten(2)  # (N, AREA, patches)
        along = u.flatten(2).transpose(0, 1)[:, :, None]  # (N, 2, 1, patches)
        parts = torch.cat([weight, (along * weight[:, None]).flatten(1, 2)], 1)
        size = tuple(SIDE + self.stride * (count - 1) for count in (self.rows, self.columns))
        total = F.fold(parts, size, SIDE, stride=self.stride)[:, :, : self.height, : self.width]
        return total[:, 1:] / total[:, :1]


def gradients(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the derivatives along x and y of frames (F, h, w), by Sobel."""
    padded = F.pad(frames[:, None], [1] * 4, mode="replicate")[:, 0]
    # By hand: a GPU's convolution may round to 10 bits.
    down, across = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4, padded[:, 2:] - padded[:, :-2]
    x = (down[:, :, 2:] - down[:, :, :-2]) / 2
    y = (across[:, :, :-2] + 2 * across[:, :, 1:-1] + across[:, :, 2:]) / 8
    return x, y


def moved(u: Tensor, row: int, *, column: int) -> Tensor:
    """Returns what each patch's neighbour has, so many rows and columns off; at the border, what the last one has."""
    rows = (torch.arange(u.shape[-2], device=u.device) + row).clamp(0, u.shape[-2] - 1)
    columns = (torch.arange(u.shape[-1], device=u.device) + column).clamp(0, u.shape[-1] - 1)
    return u[..., rows, :][..., columns]
