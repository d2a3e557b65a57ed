"""Fields on a GPU, or any other device of PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from revseg.device import free_memory
from revseg.evidence.config import FlowConfig
from revseg.evidence.dis import dense_flow
from revseg.evidence.fields import DISTINCT, LARGEST, SUBPIXEL, THIN, WHOLE, Link, Pair, Part, gathered
from revseg.video.picture import picture_of

STRIDES = {"ultrafast": 4, "fast": 4, "medium": 3}
"""Pixels between the patches of DIS, by preset."""

# What a flow takes of each pixel while it is found, what all of a batch may of the memory that is free, and how many are at most.
BYTES_OF_FLOW, SHARE_OF_BATCH, LARGEST_BATCH = 400, 1 / 8, 16

# Of the memory that is free, pictures may take this: those beyond it are sent anew each time.
SHARE_OF_PICTURES = 1 / 8

RED_GREEN_BLUE = (0.299, 0.587, 0.114)
"""Shares of grey."""


class TensorFields:
    """``Fields`` of a video (C, T, H, W) uint8 on the CPU, whose frames are enlarged by a factor for the flow."""

    made_by = "torch"

    def __init__(self, volume: Tensor, config: FlowConfig, *, factor: int, device: torch.device) -> None:
        self.height, self.width = volume.shape[2:]
        self.config, self.factor, self.device = config, factor, device
        self._volume = volume
        self._pictures: dict[int, Tensor] = {}

    @cached_property
    def batch(self) -> int:
        if self.device.type == "cpu":
            return 1  # nothing is won by more, and the caches hold the patches of one
        pixels = self.height * self.width * self.factor**2
        return max(1, min(LARGEST_BATCH, int(SHARE_OF_BATCH * free_memory(self.device) / (BYTES_OF_FLOW * pixels))))

    @cached_property
    def identity(self) -> Tensor:
        rows = torch.arange(self.height, device=self.device, dtype=torch.float32)
        columns = torch.arange(self.width, device=self.device, dtype=torch.float32)
        return torch.stack(torch.meshgrid(columns, rows, indexing="xy"))

    @cached_property
    def _most_pictures(self) -> int:
        return int(SHARE_OF_PICTURES * free_memory(self.device) / (3 * self.height * self.width))

    def find(self, pairs: Sequence[Pair], finest_scale: int) -> list[Tensor]:
        frames = sorted({frame for pair in pairs for frame in pair})
        rows = {frame: row for row, frame in enumerate(frames)}
        grey = torch.stack([self._grey(frame) for frame in frames])
        stride = STRIDES[self.config.preset]
        flow = dense_flow(grey, [(rows[a], rows[b]) for a, b in pairs], finest=finest_scale, stride=stride)
        if self.factor > 1:
            flow = F.avg_pool2d(flow, self.factor)
        return list(_rounded(flow * (SUBPIXEL / self.factor)))

    def moved(self, displacement: Tensor) -> Tensor:
        return self.identity + displacement * (1 / SUBPIXEL)

    def displacement(self, position: Tensor) -> Tensor:
        return _rounded((position - self.identity) * SUBPIXEL)

    def way(self, displacement: Tensor) -> Tensor:
        return self.moved(displacement)

    def composed(self, first: Tensor, second: Tensor) -> Tensor:
        return self.look_up(second, first)

    def look_up(self, planes: Tensor, way: Tensor, sharp: Tensor | None = None) -> Tensor:
        x, y = way
        grid = torch.stack([x * (2 / max(1, self.width - 1)) - 1, y * (2 / max(1, self.height - 1)) - 1], -1)
        found = F.grid_sample(planes[None], grid[None], mode="bilinear", padding_mode="border", align_corners=True)[0]
        if sharp is None:
            return found
        cubic = F.grid_sample(planes[None], grid[None], mode="bicubic", padding_mode="border", align_corners=True)[0]
        return torch.where(sharp, cubic.clamp_(0, 1), found)

    def gathered(self, own: Tensor | None, around: Sequence[Link], sharp: Tensor | None = None) -> Tensor:
        total: Tensor = gathered(self, own, around, sharp=sharp)
        return total

    def thin(self, probabilities: Tensor) -> Tensor:
        """(H, W) bool; whether there are any, nobody waits to know."""
        eroded = -F.max_pool2d(-probabilities, THIN, stride=1, padding=THIN // 2)
        opened = F.max_pool2d(eroded, THIN, stride=1, padding=THIN // 2)
        found = (probabilities - opened > DISTINCT).any(0, keepdim=True)
        return F.max_pool2d(found.float(), 3, stride=1, padding=1)[0] > 0

    def agreement(self, pair: Pair, to: Tensor, fro: Tensor, part: Part = WHOLE) -> Tensor:
        frame, other = pair
        looked_up = self.look_up(torch.cat([fro, self._colours(other)]), to[:, *part])
        error = self.length(looked_up[:2] - self.identity[:, *part]) * self.factor
        difference = (looked_up[2:] - self._colours(frame)[:, *part]).abs().mean(0)
        return torch.exp(-error / self.config.reach - difference / self.config.contrast).clip(min=self.config.least)

    def extent(self, field: Tensor) -> Part:
        """All of it: nobody waits to know."""
        return WHOLE

    def length(self, planes: Tensor) -> Tensor:
        return torch.hypot(*planes)

    def quantile(self, field: Tensor, share: float) -> float:
        """By rank: PyTorch's own takes no more than 16 million numbers."""
        place = share * (field.numel() - 1)
        ordered, below = field.flatten().sort().values, int(place)
        above = min(below + 1, field.numel() - 1)
        return float(torch.lerp(ordered[below], ordered[above], place - below))

    def from_bytes(self, values: Tensor) -> Tensor:
        return values.to(self.device).float() / 255

    def to_bytes(self, field: Tensor) -> Tensor:
        return (255 * field).round_().to(torch.uint8)

    def field(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, torch.float32)

    def tensor(self, field: Tensor) -> Tensor:
        return field

    def table(self, values: NDArray[np.float32], field: Tensor) -> Tensor:
        return torch.from_numpy(values).to(self.device)[:, field.to(self.device).long()]

    def joined(self, planes: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(planes))

    def half(self, field: Tensor) -> Tensor:
        return field.half()

    def single(self, field: Tensor) -> Tensor:
        return field.float()

    def array(self, field: Tensor) -> NDArray[np.float32]:
        return field.cpu().numpy()

    def _grey(self, frame: int) -> Tensor:
        """(H, W), of whole numbers as bytes have them; enlarged."""
        weights = torch.tensor(RED_GREEN_BLUE, device=self.device).view(3, 1, 1)
        grey = (self._picture(frame) * weights).sum(0).round_()
        if self.factor == 1:
            return grey
        larger = F.interpolate(grey[None, None], scale_factor=self.factor, mode="bicubic", align_corners=False)[0, 0]
        return larger.round_().clamp_(0, 255)

    def _colours(self, frame: int) -> Tensor:
        """(3, H, W), blurred: noise is no difference."""
        side = self.config.blur
        kernel = cv2.getGaussianKernel(side, 0)[:, 0].tolist()
        mode = "reflect" if side // 2 < min(self.height, self.width) else "replicate"  # there is less to reflect
        padded = F.pad(self._picture(frame).float()[None], [side // 2] * 4, mode=mode)[0]
        # By hand: a GPU's convolution may round to 10 bits.
        across = torch.stack([weight * padded[:, :, x : x + self.width] for x, weight in enumerate(kernel)]).sum(0)
        return torch.stack([weight * across[:, y : y + self.height] for y, weight in enumerate(kernel)]).sum(0)

    def _picture(self, frame: int) -> Tensor:
        """(3, H, W) uint8."""
        if (kept := self._pictures.get(frame)) is not None:
            return kept
        picture = torch.from_numpy(picture_of(list(self._volume[:, frame].numpy()))).to(self.device).permute(2, 0, 1)
        if len(self._pictures) < self._most_pictures:
            self._pictures[frame] = picture
        return picture


def _rounded(scaled: Tensor) -> Tensor:
    return scaled.round_().clamp_(-LARGEST - 1, LARGEST).to(torch.int16)
