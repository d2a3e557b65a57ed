"""Whether the inverse returns the same bits when it runs with another number of threads than the forward pass.

    python scripts/thread_counts.py

A network with three coarsenings, 2048 channels on the coarsest level, where matrix products take over; forward with one thread,
inverse with each number. The share of values that differ, and the largest difference in units of the grid.
"""

from __future__ import annotations

import argparse

import torch

from revseg import RevSegNet

THREADS = (1, 2, 3, 4)


def differences(convolution_dtype: str, state_dtype: str) -> list[str]:
    """Returns what each number of threads comes back with."""
    torch.manual_seed(0)
    net = RevSegNet(
        channels=4,
        levels=3,
        depth=(1, 1, 1, 2),
        rank=16,
        convolution_dtype=convolution_dtype,
        state_dtype=state_dtype,
        grid_bits=6,
    )
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("kernel"):
                parameter.mul_(3)  # of norm above 1: the bound takes part
    generator = torch.Generator().manual_seed(1)
    y = (torch.randn(1, 4, 16, 48, 48, generator=generator) * 64).round() / 64
    cells = []
    with torch.no_grad():
        torch.set_num_threads(THREADS[0])
        end = net.sequence(y, y)
        for threads in THREADS:
            torch.set_num_threads(threads)
            back = net.sequence.inverse(*end)
            wrong = torch.stack([part != y for part in back]).float().mean().item()
            most = max(float((part - y).abs().amax()) * 64 for part in back)
            cells.append("equal" if wrong == 0 else f"{wrong:.1%} differ, up to {most:.0f}")
    return cells


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print(f"| convolutions | states | {' | '.join(f'{count} threads' for count in THREADS)} |\n|---|---|{'---|' * len(THREADS)}")
    for convolution_dtype in ("float32", "bfloat16"):
        for state_dtype in ("float32", "int32", "int16"):
            cells = " | ".join(differences(convolution_dtype, state_dtype))
            print(f"| {convolution_dtype} | {state_dtype} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
