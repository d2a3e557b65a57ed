"""Seconds and peak memory of training steps with their optimizer, what they ask of the host, and frames a second of inference."""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch
from harness import arguments
from harness.memory import Footprint
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from revseg.labels.dataset import evenly_spaced
from revseg.network.inference import predict_probabilities
from revseg.network.network import RevSegNet
from revseg.network.step import add_gradients, launch_step
from revseg.training.config import OptimizerConfig
from revseg.training.loss import SegmentationLoss
from revseg.training.optimizer import Optimizer

Size = tuple[int, int, int]

SMALL: dict[str, Any] = {"channels": 1, "state_dtype": "int16", "adjoint_dtype": "float16", "grid_bits": 4, "norm": "matrix"}
FOUR: dict[str, Any] = {"channels": 4, "rank": 16, "depth": (0, 2, 2, 2), "classes": 2}


@dataclass(frozen=True)
class Case:
    """A network on a video of some size."""

    size: Size
    settings: dict[str, Any]
    repeats: int = 7
    labelled: int = 5
    small: Size = (8, 24, 32)
    """Size in a rehearsal."""
    also: tuple[Size, ...] = field(default=())


GUIDED = {"step_size": 1.0, "classes": 2, "evidence": True, **SMALL}
CASES = {
    "guided": Case((80, 480, 854), GUIDED, also=((80, 96, 170),)),
    "four": Case((100, 480, 854), {**FOUR, "state_dtype": "int16", "adjoint_dtype": "float16"}),
    "film": Case((172_800, 96, 170), GUIDED, repeats=1, small=(64, 24, 32)),
    "inference": Case((96, 480, 854), FOUR),
}


def random_video(size: Size, device: torch.device, inputs: int = 6, labelled: int = 5) -> tuple[Tensor, Tensor, list[int]]:
    """Returns a volume (1, I, T, H, W), labels (1, L, H, W) and the labelled frames."""
    generator = torch.Generator(device).manual_seed(1)
    frames = list(evenly_spaced(size[0], labelled))
    volume = torch.empty(1, inputs, *size, dtype=torch.uint8, device=device)
    for plane in volume[0]:  # one by one: random numbers of 8 bits are made from wider ones
        plane.random_(0, 256, generator=generator)
    labels = torch.randint(0, 2, (1, labelled, *size[1:]), dtype=torch.uint8, device=device, generator=generator)
    return volume, labels, frames


def timed(call: Callable[[], object], repeats: int, device: torch.device) -> list[float]:
    """Returns the seconds of each call."""
    found = []
    for _ in range(repeats):
        _wait(device)
        start = time.perf_counter()
        call()
        _wait(device)
        found.append(time.perf_counter() - start)
    return found


def asked_of_the_host(call: Callable[[], object], device: torch.device) -> dict[str, int]:
    """Returns the operations of PyTorch in a call, and on a GPU the times that the host waits for it."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        call()
    operations = sum(event.count for event in profiler.key_averages() if event.key.startswith("aten::"))
    if device.type != "cuda":
        return {"operations": operations}
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    torch.cuda.set_sync_debug_mode("default")
    return {"operations": operations, "waits": sum("synchronizing" in str(each.message) for each in caught)}


def training(case: Case, size: Size, device: torch.device) -> dict[str, Any]:
    """Measures steps of a case, after two that compile kernels and make the optimizer's state."""
    torch.manual_seed(0)
    footprint = Footprint(device, live=True)
    net = RevSegNet(**case.settings).to(device)
    optimizer, loss = Optimizer(net, OptimizerConfig()), SegmentationLoss()
    volume, labels, frames = random_video(size, device, net.config.inputs, case.labelled)
    checks = []

    def step() -> None:
        launched = launch_step(net, volume, labels, labelled_frames=frames, loss=loss, offset=(3, 2, 1))
        add_gradients(net, launched)
        norm = torch.nn.utils.clip_grad_norm_(optimizer.parameters, 1.0)
        *numbers, _ = torch.cat([launched.numbers(), norm.double()[None]]).tolist()
        checks.append(launched.result(numbers).inverted)
        optimizer.step(1e-3)

    warm = timed(step, 2 if case.repeats > 1 else 1, device)
    seconds = timed(step, case.repeats, device)
    host = asked_of_the_host(step, device) if case.repeats > 1 else {}
    found = {"seconds": median(seconds), "all": seconds, "first": warm[0], "peak": footprint.peak(), "input": volume.nbytes}
    return {"size": list(size), "inverted": all(checks), **found, **host}


def inference(case: Case, size: Size, device: torch.device) -> dict[str, Any]:
    """Measures frames a second, masks included."""
    torch.manual_seed(0)
    net = RevSegNet(**case.settings).to(device)
    volume, _, _ = random_video(size, device, net.config.inputs)
    mask = torch.empty(size, dtype=torch.uint8, device=device)

    def predict() -> None:
        for start, probabilities in predict_probabilities(net, volume[0]):
            mask[start : start + probabilities.shape[1]] = probabilities.argmax(0)

    timed(predict, 2, device)
    seconds = timed(predict, case.repeats, device)
    return {"size": list(size), "seconds": median(seconds), "frames_a_second": size[0] / median(seconds)}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    given = parse()
    device, found = torch.device(given.device), {}
    for name in given.cases:
        case = CASES[name]
        for size in (case.small,) if given.small else (case.size, *case.also):
            measure = inference if name == "inference" else training
            found[f"{name} {'x'.join(map(str, size))}"] = measure(case, size, device)
            print(name, size, found[f"{name} {'x'.join(map(str, size))}"], flush=True)
            if device.type == "cuda":
                torch.cuda.empty_cache()
    print(json.dumps(found))


def parse() -> argparse.Namespace:
    parser = arguments.parser(__doc__, device=True)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--small", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
