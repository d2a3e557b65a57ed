"""How a step may scale to 64 devices: computed from what a step takes on one, the bytes that are counted, and the speed of links.

    python scripts/scale_curve.py [--page docs/results/scale.md]

Nothing here is measured but the seconds on one device and its peak, which docs/results/gpu.md has. A device that holds a part of
a volume computes its share of the frames, padding included, and exchanges halos with its neighbours; what of that is hidden
behind the computation is not counted as hidden. Gradients are reduced in a ring.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from harness import arguments
from harness.page import table, write_section
from harness.settings import compose
from scale_volume import counted

from revseg.network.memory import Size, forecast_training, parameters
from revseg.network.plan import blocks_of, padded_size, shard_frames

COUNTS = (1, 2, 4, 8, 16, 32, 64)
RECOMMENDED = replace(compose([]).network, classes=2, evidence=True)
WITHOUT_KERNELS = 1.28 / 0.170
"""How many times as long a step takes without the fused kernels, which know no neighbours: 80 frames of 854 x 480, an H100 on
which PyTorch computed the adjoints beside an H200 on which the kernels did."""


@dataclass(frozen=True)
class Link:
    """What connects two devices, one way, as its maker states it."""

    name: str
    bandwidth: float
    """Bytes a second."""
    latency: float
    """Seconds for a message."""


LINKS = (
    Link("NVLink 4, 450 GB/s, 10 µs", 450e9, 10e-6),
    Link("InfiniBand NDR, 50 GB/s, 15 µs", 50e9, 15e-6),
    Link("Ethernet, 1.25 GB/s, 50 µs", 1.25e9, 50e-6),
)


@dataclass(frozen=True)
class Step:
    """A step of the recommended network on one device."""

    name: str
    size: Size
    seconds: float
    """Measured on an H200 (docs/results/gpu.md)."""
    labelled: int = 5


VIDEO = Step("80 frames of 854 x 480", (80, 480, 854), 0.170)
FILM = Step("172,800 frames of 170 x 96, a feature film", (172_800, 96, 170), 5.2)


def of_videos(step: Step, count: int, link: Link) -> float:
    """Returns the seconds of a step in which each device takes a video of its own: computation, then a ring of gradients."""
    sent = 2 * (count - 1) / count * 4 * parameters(RECOMMENDED)
    return step.seconds + (sent / link.bandwidth + 2 * (count - 1) * link.latency if count > 1 else 0)


def of_volume(step: Step, count: int, link: Link) -> float | None:
    """Returns the seconds of a step on one volume that so many devices hold; None where it has too few frames for these."""
    padded = padded_size(RECOMMENDED, step.size)[0]
    own = shard_frames(RECOMMENDED, padded, count)
    if own * (count - 1) >= padded:
        return None
    # Three passes, two exchanges in each: partial sums and what becomes of them.
    exchanges = 6 * sum(block.kind == "leapfrog" for block in blocks_of(RECOMMENDED)) if count > 1 else 0
    halos = counted(RECOMMENDED, step.size, count) / link.bandwidth + exchanges * link.latency
    computing = step.seconds * own / padded * (WITHOUT_KERNELS if count > 1 else 1)
    return computing + halos + of_videos(step, count, link) - step.seconds


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("--page", type=Path, help="Markdown page whose section is written (default: it is printed)")
    given = parser.parse_args()
    text = section()
    if given.page:
        write_section(given.page, "scale_curve", "curve", text)
    else:
        print(text)


def section() -> str:
    header = ["devices", *(link.name for link in LINKS)]
    faster = [[count, *(f"{count * VIDEO.seconds / of_videos(VIDEO, count, link):.1f}" for link in LINKS)] for count in COUNTS]
    gradients = f"{4 * parameters(RECOMMENDED) / 1e6:.2f} MB of gradients"
    videos = f"{VIDEO.name} on each device, {VIDEO.seconds:.2f} s a step on one; {gradients}"
    return f"""## Computed: up to 64 devices

What `scripts/scale_curve.py` computes from the seconds of a step on one H200 ([GPU](gpu.md)), the bytes that are
counted from the layers, and the speed that makers state for links. None of it was measured on more than one GPU.

**Videos of their own**, {videos}. Videos in the time of one:

{table(header, faster)}

{of_one_volume(VIDEO, header)}

{of_one_volume(FILM, header)}

The fused kernels know no neighbours: a device that holds a part of a volume works without them, in {WITHOUT_KERNELS:.1f}
times the time (measured at 480 lines, one device). To share a volume is therefore for what one device cannot hold, not for
speed, and short videos are shared out whole."""


def of_one_volume(step: Step, header: list[str]) -> str:
    rows = []
    for count in COUNTS:
        found = [seconds for link in LINKS if (seconds := of_volume(step, count, link)) is not None]
        if found:
            peak = forecast_training(RECOMMENDED, step.size, labelled_frames=step.labelled, shards=count).total
            rows.append([count, *(f"{seconds:.2f} s" for seconds in found), f"{peak / 1e9:.2f} GB"])
    halos = f"{counted(RECOMMENDED, step.size, 3) / 1e6:.0f} MB of halos from a device with two neighbours"
    return f"**One volume**, {step.name}; {halos}:\n\n{table([*header, 'memory of a device, forecast'], rows)}"


if __name__ == "__main__":
    main()
