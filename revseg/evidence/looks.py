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

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from revseg.evidence.cache import digest
from revseg.evidence.config import LooksConfig
from revseg.evidence.native import opinion
from revseg.evidence.native.library import compiled
from revseg.evidence.native.perceptron import Perceptron, add_odds, gradients
from revseg.labels.palette import VOID

VERSION = 10
"""Version of what this file and those that see for it make of the same: descriptors.py, background.py, sight.py, draft.py,
shadows.py, ensemble.py, by_looks.py and recognised.py; and what is compiled of these."""

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


class Choice(NamedTuple):
    """Pixels of a frame that may be drawn."""

    classes: NDArray[np.int64]
    """(h, w)."""
    places: list[tuple[NDArray[np.int64], int]]
    """Some of them, in the order of rows, and how many are drawn of these."""


class Drawn(NamedTuple):
    """Pixels of a frame that were drawn, some perhaps several times."""

    size: tuple[int, ...]
    """(h, w)."""
    places: Tensor
    """(n,), in the order of rows."""
    classes: Tensor
    """(n,)."""

    def rows(self) -> tuple[NDArray[np.bool_], Tensor]:
        """Returns which pixels these are, (h, w), and for each that was drawn its number among them, in the order of rows."""
        pixels = np.zeros(self.size, bool)
        pixels.reshape(-1)[self.places.numpy()] = True
        return pixels, torch.from_numpy(pixels.cumsum() - 1)[self.places]


def choose(size: tuple[int, int], probabilities: Tensor, count: int, *, sure: float) -> Choice:
    """Returns of which pixels of a frame (h, w) so many are drawn: half of objects, a quarter around them, the rest elsewhere.

    probabilities: 255 times, (classes, H, W) uint8, on the CPU; sure: what one exceeds where pixels are drawn.
    """
    same = tuple(probabilities.shape[1:]) == size
    likely = probabilities if same else F.interpolate(probabilities[None].float(), size, mode="area")[0]
    surest, classes = (part.numpy() for part in likely.max(0))
    chosen, square = surest > 255 * sure, np.ones((2 * AROUND + 1, 2 * AROUND + 1), np.uint8)
    around = (cv2.dilate((classes > 0).astype(np.uint8), square) > 0) & (classes == 0)
    present = [int(number) for number in np.flatnonzero(np.bincount(classes[chosen], minlength=1)) if number]
    objects = [(classes == number, count // (2 * len(present))) for number in present]
    wanted = [*objects, (around, count // 4), (classes == 0, count // 4)]
    return Choice(classes, [(np.flatnonzero(where & chosen), number) for where, number in wanted])


class Examples:
    """Pixels whose class is known. seed: of what is drawn."""

    def __init__(self, *, seed: int = 0) -> None:
        self._random = torch.Generator().manual_seed(seed)
        self.parts: list[tuple[Tensor, Tensor]] = []
        """What is seen, (n, N), and the classes (n), of each draw."""

    def draw(self, choice: Choice, seen: Tensor) -> None:
        """Draws pixels of a frame. seen: what is seen of them, (h, w, N)."""
        drawn = self.drawn(choice)
        self.parts.append((seen.flatten(0, 1)[drawn.places], drawn.classes))

    def drawn(self, choice: Choice) -> Drawn:
        """The same, while it is not told yet what is seen of them: that is to be put among ``parts``."""
        places = [torch.zeros(0, dtype=torch.int64)]
        for some, count in choice.places:
            if len(some):
                places.append(torch.from_numpy(some)[torch.randint(len(some), (count,), generator=self._random)])
        drawn = torch.cat(places)
        return Drawn(choice.classes.shape, drawn, torch.from_numpy(choice.classes).flatten()[drawn])


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
        self.device, self.numbers, self.learned = device, values.shape[1], len(values) > 0
        if not self.learned:
            return
        # In float64, so that the bits do not depend on how many threads PyTorch has.
        shift, scale = (torch.from_numpy(part.astype(np.float32)).to(device) for part in _spread(values.numpy()))
        self._random = torch.Generator().manual_seed(0)
        sizes = values.shape[1], config.hidden, config.hidden, count
        drawn = torch.cat([part.flatten() for pair in pairwise(sizes) for part in self._layer(*pair)])
        self._network = Perceptron(drawn.to(device), inputs=sizes[0], hidden=config.hidden, classes=count)
        self._learn((values.to(device) - shift).mul_(scale).contiguous(), classes.to(device), config.steps)
        weight, bias = layers_of(self._network)[:2]
        bias -= weight.mul_(scale) @ shift  # from here on it sees values as they are

    @property
    def _compiled(self) -> bool:
        """Whether C computes."""
        return self.device.type == "cpu" and compiled()

    def _layer(self, inputs: int, outputs: int) -> list[Tensor]:
        """Weights and bias, from a generator of their own: what a training draws stays as it is."""
        drawn = [2 * torch.rand(shape, generator=self._random) - 1 for shape in ((outputs, inputs), (outputs,))]
        return [part * inputs**-0.5 for part in drawn]

    def _learn(self, values: Tensor, classes: Tensor, steps: int) -> None:
        """Adam (Kingma and Ba, arXiv:1412.6980), at a rate that falls to 0. That of PyTorch would load its compiler."""
        network, find = self._network, gradients if self._compiled else gradients_of
        part = network.parameters
        mean, square = torch.zeros_like(part), torch.zeros_like(part)
        for step in range(1, steps + 1):
            rows = torch.randint(len(values), (BATCH,), generator=self._random).to(self.device)
            gradient = find(network, values, classes, rows=rows)
            rate = RATE * (1 - (step - 1) / steps)
            mean.lerp_(gradient, 1 - DECAYS[0])
            square.lerp_(gradient**2, 1 - DECAYS[1])
            length = (square / (1 - DECAYS[1] ** step)).sqrt_().add_(1e-8)
            part.addcdiv_(mean, length, value=-rate / (1 - DECAYS[0] ** step))

    def odds(self, seen: Tensor, *, share: float = 1.0, onto: Tensor | None = None) -> Tensor | None:
        """Returns the logarithm of how likely each class is beside the likeliest, (classes, ...), of what is seen, (..., N).

        share: what the logarithms are multiplied by; onto: what they are added to, in place. None: it has learned nothing.
        """
        if not self.learned:
            return None
        values = seen.flatten(0, -2)
        found = values.new_empty(self._network.classes, len(values), device=self.device) if onto is None else onto.flatten(1)
        if self._compiled:
            add_odds(self._network, values, found, clip=CLIP, share=share, add=onto is not None)
        else:
            for part, out in zip(values.split(PART), found.split(PART, 1), strict=True):
                logits = _said(self._network, part.to(self.device))[-1].T
                said = (logits - logits.max(0).values).clamp_(min=-CLIP).mul_(share)
                out.copy_(said) if onto is None else out.add_(said)
        return found.unflatten(1, seen.shape[:-1])


def _spread(values: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the mean of numbers (n, N), and 1 by their standard deviation, (N,)."""
    deviation = values.std(0, ddof=min(1, len(values) - 1), dtype=np.float64)
    return values.mean(0, dtype=np.float64), 1 / deviation.clip(min=1e-3)


def layers_of(network: Perceptron) -> list[Tensor]:
    """Returns weights and biases, layer by layer, in the memory of the parameters."""
    inputs, hidden, classes = network.sizes
    shapes = [shape for pair in pairwise((inputs, hidden, hidden, classes)) for shape in ((pair[1], pair[0]), (pair[1],))]
    parts = network.parameters.split([math.prod(shape) for shape in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def _said(network: Perceptron, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns what each layer says of values (n, N)."""
    first, first_bias, second, second_bias, last, last_bias = layers_of(network)
    one = F.linear(values, first, first_bias).relu_()
    two = F.linear(one, second, second_bias).relu_()
    return one, two, F.linear(two, last, last_bias)


def gradients_of(network: Perceptron, values: Tensor, classes: Tensor, *, rows: Tensor) -> Tensor:
    """Returns what ``gradients`` does, on any device; the equations stand in perceptron.c."""
    seen = values[rows]
    one, two, logits = _said(network, seen)
    second, last = layers_of(network)[2::2]
    error = logits.softmax(1).sub_(F.one_hot(classes[rows], network.classes)).div_(len(rows))
    before = (error @ last).mul_(two > 0)
    first = (before @ second).mul_(one > 0)
    pairs = (first, seen), (before, one), (error, two)
    return torch.cat([part for own, given in pairs for part in ((own.T @ given).flatten(), own.sum(0))])


def weigh(evidence: Tensor, said: Tensor, power: float, fades: float) -> Tensor:
    """Returns the probabilities (classes, H, W) of a frame's evidence, (classes + 1, H, W), weighed with an opinion of it.

    said: the opinion, logarithms (classes, h, w), which counts power (1 - confidence)^fades. Where all probabilities are 0,
    nothing is known, and they stay.
    """
    probabilities, confidence = evidence[:-1], evidence[-1]
    larger = F.interpolate(said[None], probabilities.shape[1:], mode="bilinear", align_corners=False)[0]
    weighed = probabilities.clamp(min=LEAST) * larger.mul_(power * weight_of(confidence, fades)).exp_()
    return weighed * ((probabilities.sum(0) > 0) / weighed.sum(0))


def weighed(evidence: Tensor, said: Tensor, power: float, fades: float) -> Tensor:
    """The same of bytes, (classes + 1, H, W) uint8 -> (classes, H, W) uint8: 255 times. said: where it is computed."""
    if said.device.type == "cpu" and compiled():
        weights = power * weight_of(torch.arange(256) / 255, fades)
        return opinion.weigh(evidence, said, weights, least=LEAST)
    return weigh(evidence.to(said.device).float() / 255, said, power, fades=fades).mul_(255).round_().to(torch.uint8)


def weight_of(confidence: Tensor, fades: float) -> Tensor:
    """Returns the share of their power that looks have beside evidence of this confidence, 0 to 1."""
    return (1 - confidence) ** fades


def objectness(said: Tensor) -> Tensor:
    """Returns how sure an opinion (classes, h, w) is of an object, (h, w): (1 - 2 q_0)+, q_0 its probability of the ground."""
    return (1 - 2 * said.softmax(0)[0]).clamp_(min=0)


def sure_objects(said: Tensor) -> Tensor:
    """Returns where an opinion (classes, ...) is sure of an object, (...) bool: one is e^SURE times as likely as any other class,
    at least."""
    best, classes = said.max(0)
    others = (said >= best - SURE).sum(0, dtype=torch.uint8)  # a fraction of the time that topk takes
    return (others == 1) & (classes > 0)


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
