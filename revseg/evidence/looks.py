"""What the classes look like in a video, learned on the video itself, and what that says of its frames.

    p_c(x) <- normalised( p_c(x) q_c(x)^w ),     w = power (1 - c(x))^(FADES (1 - 1/L)),     L: number of labelled frames

c: the confidence in the evidence. Where labels come there and back they know contours better than looks;
with one labelled frame, of which this is rare, looks count alike everywhere. What is weighed is smoothed with
a confidence of trust (1 - 2 q_0(x))+ at least, class 0 being the ground: where labels are lost on their way, what looks have
found would be worn away.

q: a perceptron of two hidden layers, which sees the descriptor of a pixel (``descriptors``). A second one sees how it differs
from what is behind it (``Background``) as well, and each has half of the power (``Ensemble``). They learn from pixels of
labelled frames, and of others where the evidence is sure. Flow loses what is covered, turns or moves too fast, and motion takes
shadows for an object; looks know neither, and find again what comes back. All that is drawn is drawn from seeds of its own: the
same video and labels have the same evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from revseg.evidence.cache import digest
from revseg.evidence.config import LooksConfig
from revseg.labels.palette import VOID

VERSION = 9
"""Version of what this file and those that see for it make of the same: descriptors.py, background.py, sight.py, draft.py,
shadows.py, ensemble.py, by_looks.py and recognised.py."""

PIXELS = 24000
"""Pixels that are drawn from all labelled frames together, and as many from all others."""
AROUND = 20
"""Pixels around the objects in which half of the background's are drawn: there it is to be told from them."""
PART = 4096
"""Pixels that are classified at a time: what is computed of them stays in the processor's cache."""
BATCH, RATE, DECAYS = 2048, 1e-2, (0.9, 0.999)
CLIP = 6.0
"""No class is held for less likely than the likeliest by more, in logarithms."""
SURE = 3.0
"""By so much a class is likelier than all others, in logarithms, where looks are sure."""
FADES = 4
"""Power with which looks count less where the evidence can be trusted, of many labelled frames."""
HEARD = 0.1
"""Where looks count less than this share of their power, they need not be sharp."""
LEAST = 0.02
"""No probability of the evidence counts as less, so that looks are always heard."""


def looks_key(config: LooksConfig) -> str:
    """Returns the key of all that weighing with looks depends on, beside frames and evidence."""
    return digest("looks", VERSION, config)


def asks_looks(config: LooksConfig, labels: Tensor) -> bool:
    """Whether looks are asked: where labels (L, H, W) show a class beside the ground, to be told from others."""
    return config.power > 0 and len({*labels.unique().tolist()} - {VOID}) > 1


class Examples:
    """Pixels whose class is known. seed: of what is drawn."""

    def __init__(self, *, seed: int = 0) -> None:
        self._random = torch.Generator().manual_seed(seed)
        self.parts: list[tuple[Tensor, Tensor]] = []
        """What is seen, (n, N), and the classes (n), of each draw."""

    def draw(self, seen: Tensor, probabilities: Tensor, count: int, *, sure: float) -> None:
        """Draws so many pixels of a frame: half of objects, a quarter around them, the rest elsewhere.

        seen: what is seen of its pixels, (h, w, N); probabilities: 255 times, (classes, H, W) uint8, on the CPU; sure: what one
        exceeds where pixels are drawn.
        """
        likely = F.interpolate(probabilities[None].float(), seen.shape[:2], mode="area")[0]
        surest, classes = likely.max(0)
        chosen = surest > 255 * sure
        square = np.ones((2 * AROUND + 1, 2 * AROUND + 1), np.uint8)
        around = torch.from_numpy(cv2.dilate((classes > 0).to(torch.uint8).numpy(), square) > 0) & (classes == 0)
        present = [number for number in range(1, len(likely)) if (chosen & (classes == number)).any()]
        places = [(classes == number, count // (2 * len(present))) for number in present]
        for where, wanted in [*places, (around, count // 4), (classes == 0, count // 4)]:
            found = (where & chosen).flatten().nonzero()[:, 0]
            if len(found):
                drawn = found[torch.randint(len(found), (wanted,), generator=self._random)]
                self.parts.append((seen.flatten(0, 1)[drawn], classes.flatten()[drawn]))


def together(examples: Iterable[Examples]) -> tuple[Tensor, Tensor]:
    """Returns what is seen, (n, N), and the classes (n) of all that was drawn."""
    parts = [part for one in examples for part in one.parts]
    values, classes = zip(*parts, strict=True) if parts else ([torch.zeros(0, 0)], [torch.zeros(0).long()])
    return torch.cat(list(values)), torch.cat(list(classes))


class Looks:
    """A classifier that has learned from examples what each class looks like, of what is seen of them, values (n, N).

    numbers: N. Without examples it says nothing.
    """

    def __init__(self, values: Tensor, classes: Tensor, count: int, *, config: LooksConfig, device: torch.device) -> None:
        self.device, self.numbers, self._learned = device, values.shape[1], len(values) > 0
        if not self._learned:
            return
        shift, scale = values.mean(0).to(device), 1 / values.std(0).clamp(min=1e-3).to(device)
        self._random = torch.Generator().manual_seed(0)
        widths = values.shape[1], config.hidden, config.hidden, count
        self._layers = [part for sizes in pairwise(widths) for part in self._layer(*sizes)]
        with torch.enable_grad():
            self._learn((values.to(device) - shift) * scale, classes.to(device), config.steps)
        weight, bias = (part.detach_() for part in self._layers[:2])
        bias -= weight.mul_(scale) @ shift  # from here on it sees values as they are

    def _layer(self, inputs: int, outputs: int) -> list[Tensor]:
        """Weights and bias, from a generator of their own: what a training draws stays as it is."""
        drawn = [2 * torch.rand(shape, generator=self._random) - 1 for shape in ((outputs, inputs), (outputs,))]
        return [(part * inputs**-0.5).to(self.device).requires_grad_() for part in drawn]

    def _logits(self, values: Tensor) -> Tensor:
        first, first_bias, second, second_bias, last, last_bias = self._layers
        hidden = F.linear(F.linear(values, first, first_bias).relu_(), second, second_bias).relu_()
        return F.linear(hidden, last, last_bias)

    def _learn(self, values: Tensor, classes: Tensor, steps: int) -> None:
        """Adam (Kingma and Ba, arXiv:1412.6980), at a rate that falls to 0. That of PyTorch would load its compiler."""
        means, squares = ([torch.zeros_like(part) for part in self._layers] for _ in range(2))
        for step in range(1, steps + 1):
            rows = torch.randint(len(values), (BATCH,), generator=self._random).to(self.device)
            loss = F.cross_entropy(self._logits(values[rows]), classes[rows])
            gradients = torch.autograd.grad(loss, self._layers)
            rate = RATE * (1 - (step - 1) / steps)
            with torch.no_grad():
                for part, mean, square, gradient in zip(self._layers, means, squares, gradients, strict=True):
                    mean.lerp_(gradient, 1 - DECAYS[0])
                    square.lerp_(gradient**2, 1 - DECAYS[1])
                    length = (square / (1 - DECAYS[1] ** step)).sqrt_().add_(1e-8)
                    part.addcdiv_(mean, length, value=-rate / (1 - DECAYS[0] ** step))

    @torch.no_grad()
    def odds(self, seen: Tensor) -> Tensor | None:
        """Returns the logarithm of how likely each class is beside the likeliest, (classes, ...), of what is seen, (..., N).

        None: it has learned nothing.
        """
        if not self._learned:
            return None
        parts = [self._logits(part.to(self.device)) for part in seen.flatten(0, -2).split(PART)]
        logits = torch.cat(parts).T.unflatten(1, seen.shape[:-1])
        return (logits - logits.max(0).values).clamp(min=-CLIP)


def weigh(evidence: Tensor, said: Tensor, power: float, fades: float) -> Tensor:
    """Returns the probabilities (classes, H, W) of a frame's evidence, (classes + 1, H, W), weighed with an opinion of it.

    said: the opinion, logarithms (classes, h, w), which counts power (1 - confidence)^fades. Where all probabilities are 0,
    nothing is known, and they stay.
    """
    probabilities, confidence = evidence[:-1], evidence[-1]
    larger = F.interpolate(said[None], probabilities.shape[1:], mode="bilinear", align_corners=False)[0]
    weighed = probabilities.clamp(min=LEAST) * larger.mul_(power * weight_of(confidence, fades)).exp_()
    return weighed * ((probabilities.sum(0) > 0) / weighed.sum(0))


def weight_of(confidence: Tensor, fades: float) -> Tensor:
    """Returns the share of their power that looks have beside evidence of this confidence, 0 to 1."""
    return (1 - confidence) ** fades


def objectness(said: Tensor) -> Tensor:
    """Returns how sure an opinion (classes, h, w) is of an object, (h, w): (1 - 2 q_0)+, q_0 its probability of the ground."""
    return (1 - 2 * said.softmax(0)[0]).clamp_(min=0)


def sure_objects(said: Tensor) -> Tensor:
    """Returns where an opinion (classes, ...) is sure of an object, (...) bool: one is e^SURE times as likely as any other class,
    at least."""
    (best, second), (classes, _) = said.topk(2, 0)
    return (best - second > SURE) & (classes > 0)


def surely(*said: Tensor) -> Tensor:
    """Returns of how many pixels all opinions (classes, n) are sure to be of each object, (classes,)."""
    classes = said[0].max(0).indices
    sure = torch.stack([sure_objects(one) & (one.max(0).indices == classes) for one in said]).all(0)
    return classes[sure].bincount(minlength=len(said[0])).cpu()


def evenly(frames: Sequence[int], count: int) -> list[int]:
    """Returns so many of the frames at most, evenly spread, the last among them."""
    if len(frames) <= count:
        return list(frames)
    return [frames[round((index + 1) * len(frames) / count) - 1] for index in range(count)]
