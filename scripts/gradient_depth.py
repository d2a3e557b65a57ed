"""Error of gradients with bfloat16 adjoints, against depth and step size; float32 convolutions, exact states.

    python scripts/gradient_depth.py                      # 2 to 128 blocks
    python scripts/gradient_depth.py --arithmetic float   # and the drift of the approximate inverse of float32 states

One training step of a network with one coarsening on a random video, labels on three frames, adjoints once in 16 bits and once
in float32. Error: norm of the difference over norm of the float32 gradient, for each group of parameters; the largest stands
in the table.
"""

from __future__ import annotations

import argparse

import torch

from revseg import RevSegNet
from revseg.network.step import training_step
from revseg.training.loss import SegmentationLoss

DEPTHS = (2, 8, 32, 64, 128)
STEP_SIZES = (1.0, 0.5, 0.25, 0.15, 0.05)
FRAMES = (0, 3, 7)


def network(depth: int, step_size: float, **settings: object) -> RevSegNet:
    """Returns a network of ``depth`` blocks, a quarter before and a quarter behind those of the coarse level."""
    torch.manual_seed(0)
    blocks = (depth // 4, depth - 2 * (depth // 4))
    net = RevSegNet(channels=4, levels=1, depth=blocks, rank=8, step_size=step_size, convolution_dtype="float32", **settings)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.1)
        net.head.weight.normal_(std=0.3)
    return net


def gradients(net: RevSegNet) -> dict[str, torch.Tensor]:
    """Returns the gradients of one training step, by group of parameters."""
    generator = torch.Generator().manual_seed(1)
    volume = torch.randint(0, 256, (1, 3, 8, 16, 16), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 2, (1, len(FRAMES), 16, 16), dtype=torch.uint8, generator=generator)
    training_step(net, volume, labels, FRAMES, SegmentationLoss())
    groups: dict[str, list[torch.Tensor]] = {}
    for name, parameter in net.named_parameters():
        group = name if name.startswith(("opening", "head")) else f"blocks' {name.rsplit('.', 1)[1]}"
        assert parameter.grad is not None
        groups.setdefault(group, []).append(parameter.grad.flatten())
    return {group: torch.cat(parts) for group, parts in groups.items()}


def error(depth: int, step_size: float, adjoint_dtype: str) -> tuple[float, str]:
    """Returns the largest error over the groups of parameters, and the group that has it."""
    rounded = gradients(network(depth, step_size, adjoint_dtype=adjoint_dtype))
    reference = gradients(network(depth, step_size))
    errors = {group: float((rounded[group] - reference[group]).norm() / reference[group].norm()) for group in reference}
    worst = max(errors, key=lambda group: errors[group])
    return errors[worst], worst


def drift(depth: int, step_size: float) -> float:
    """Returns the relative error of the state that the inverse of ``arithmetic=float`` returns to."""
    net = network(depth, step_size, arithmetic="float")
    generator = torch.Generator().manual_seed(1)
    y = torch.randn(1, 4, 8, 16, 16, generator=generator)
    with torch.no_grad():
        back = net.sequence.inverse(*net.sequence(y, y))
    return max(float((part - y).norm() / y.norm()) for part in back)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arithmetic", choices=("exact", "float"), default="exact")
    parser.add_argument("--adjoints", choices=("bfloat16", "float16"), default="bfloat16")
    arguments = parser.parse_args()
    what = "error of gradients" if arguments.arithmetic == "exact" else "drift of the inverse"
    print(f"| blocks | {' | '.join(f'h = {size:g}' for size in STEP_SIZES)} |   {what}")
    print(f"|--:|{'--:|' * len(STEP_SIZES)}")
    for depth in DEPTHS:
        cells = []
        for size in STEP_SIZES:
            try:
                cells.append(
                    "{:.2%} ({})".format(*error(depth, size, arguments.adjoints))
                    if what.startswith("error")
                    else f"{drift(depth, size):.1e}"
                )
            except OverflowError:
                cells.append("state out of range")
        print(f"| {depth} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
