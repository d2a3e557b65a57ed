"""Which cases are measured at which sizes, on a CPU, on a GPU and in a quick trial.

C = 4 and rank 16 throughout. `depth_of` networks have two coarsenings; the network of the one-step rows has
three and blocks (0, 2, 2, 2), revseg's default. The sizes of the CPU rows follow from 2 cores and 25 minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from benchmark.case import Case, Size, depth_of
from benchmark.group import Group

REVSEG = ("revseg", "revseg-int16")
ANY_DEPTH = (*REVSEG, "plain", "checkpoint", "memcnn", "iunets")
MONAI = ("monai-unet", "monai-segresnet")
DEFAULT_DEPTH = (0, 2, 2, 2)


@dataclass(frozen=True)
class Profile:
    """Sizes (frames, height, width) and numbers of blocks."""

    depth_size: Size
    """depth: every peer at this size"""
    depth_peak_size: Size | None
    """depth-peak: memory only, where depth_size is small beside the weights of many blocks; None: depth_size is not"""
    blocks: tuple[int, ...]
    volumes: tuple[Size, ...]
    """volume: 16 blocks; timed"""
    large_volumes: tuple[Size, ...]
    """volume: 16 blocks; peak memory only"""
    layers30_size: Size
    layers30_peak_size: Size
    block_sizes: dict[str, Size]
    """per-block: a size per mode, so that each has a state of 256 MB or more"""
    block_counts: tuple[int, int]
    stored_size: Size
    """stored: 32 blocks, beside plain autograd"""
    stored_peers: tuple[str, ...]
    floor_size: Size
    floor_depth: tuple[int, ...]
    inference_size: Size
    roofline_size: Size
    limit: int
    """largest: bytes"""
    frame: tuple[int, int]
    """largest: height and width; the number of frames is what is sought"""
    extra: tuple[str, ...] = ()
    """peers that are measured on this device only"""
    one_step: tuple[tuple[str, tuple[str, ...], Size, int], ...] = field(default=())
    """one-step: name, peers, size, repeats"""
    repeats: int = 5


CPU = Profile(
    depth_size=(16, 96, 160),
    depth_peak_size=(32, 192, 320),
    blocks=(4, 8, 16, 32, 64),
    extra=("revseg-kept", "revseg-float32", "naive"),
    volumes=((16, 64, 96), (16, 128, 224)),
    large_volumes=((16, 192, 320), (32, 192, 320), (32, 288, 480)),
    layers30_size=(16, 128, 224),
    layers30_peak_size=(32, 288, 480),
    block_sizes={"revseg": (20, 480, 880), "revseg-int16": (40, 480, 880)},
    block_counts=(4, 36),
    stored_size=(20, 480, 880),
    stored_peers=("revseg-int16", "plain"),
    floor_size=(80, 480, 854),
    floor_depth=(0, 1, 1, 1),
    inference_size=(16, 240, 432),
    roofline_size=(16, 96, 160),
    limit=256 << 20,
    frame=(192, 320),
)
CUDA = Profile(
    depth_size=(32, 480, 864),
    depth_peak_size=None,
    blocks=(4, 8, 16, 32, 64),
    extra=("revseg-kept", "revseg-float32", "revseg-unfused", "naive"),
    volumes=((8, 480, 864), (80, 480, 864)),
    large_volumes=((160, 480, 864), (320, 480, 864), (640, 480, 864)),
    layers30_size=(32, 480, 864),
    layers30_peak_size=(80, 480, 864),
    block_sizes={"revseg": (80, 480, 864), "revseg-int16": (80, 480, 864)},
    block_counts=(4, 36),
    stored_size=(80, 480, 864),
    stored_peers=("revseg-int16", "revseg", "plain", "naive"),
    floor_size=(80, 480, 854),
    floor_depth=DEFAULT_DEPTH,
    inference_size=(96, 480, 854),
    roofline_size=(80, 480, 864),
    limit=24 << 30,
    frame=(480, 864),
    one_step=(
        ("480p", (*REVSEG, "revseg-kept", "plain"), (100, 480, 854), 7),
        ("4k", ("revseg-int16",), (400, 2160, 3840), 3),
    ),
)
QUICK = Profile(
    depth_size=(16, 32, 32),
    depth_peak_size=(16, 32, 48),
    blocks=(4,),
    extra=("revseg-kept", "revseg-float32", "naive"),
    volumes=((16, 32, 48),),
    large_volumes=(),
    layers30_size=(16, 32, 32),
    layers30_peak_size=(16, 32, 48),
    block_sizes={"revseg": (16, 64, 64), "revseg-int16": (16, 64, 64)},
    block_counts=(4, 8),
    stored_size=(16, 64, 64),
    stored_peers=("revseg-int16", "plain"),
    floor_size=(16, 64, 60),
    floor_depth=(0, 1, 1, 1),
    inference_size=(16, 32, 32),
    roofline_size=(16, 32, 32),
    limit=64 << 20,
    frame=(32, 32),
    repeats=2,
    one_step=(("tiny", REVSEG, (16, 32, 32), 2),),
)


def depth(profile: Profile) -> list[Group]:
    """Peak and step time against depth; at 16 blocks (or the only depth) also the peers of fixed depth."""
    full = 16 if 16 in profile.blocks else profile.blocks[0]
    return [
        Group(
            f"depth/{n}",
            _cases((*ANY_DEPTH, *(profile.extra + MONAI if n == full else ())), profile.depth_size, depth_of(n)),
            profile.repeats,
        )
        for n in profile.blocks
    ]


def depth_peak(profile: Profile) -> list[Group]:
    """Peak against depth."""
    size = profile.depth_peak_size
    return [] if size is None else [Group(f"depth-peak/{n}", _cases(ANY_DEPTH, size, depth_of(n)), 0) for n in profile.blocks]


def volume(profile: Profile) -> list[Group]:
    """Peak and step time against volume, 16 blocks."""
    peers = (*ANY_DEPTH, *MONAI)
    sizes = [(size, profile.repeats) for size in profile.volumes] + [(size, 0) for size in profile.large_volumes]
    return [Group(f"volume/{'x'.join(map(str, size))}", _cases(peers, size, depth_of(16)), repeats) for size, repeats in sizes]


def layers30(profile: Profile) -> list[Group]:
    """revseg beside iunets, 30 layers: times, and peaks on a volume beside which a slab is small."""
    peers = (*REVSEG, "iunets", "iunets-half")
    return [
        Group("layers30/time", _cases(peers, profile.layers30_size, depth_of(30)), profile.repeats),
        Group("layers30/peak", _cases(peers, profile.layers30_peak_size, depth_of(30)), 0),
    ]


def per_block(profile: Profile) -> list[Group]:
    """Peak at two depths, on states of 256 MB or more."""
    return [
        Group(f"per-block/{peer}", tuple(Case(peer, size, depth_of(n)) for n in profile.block_counts), 0)
        for peer, size in profile.block_sizes.items()
    ]


def stored(profile: Profile) -> list[Group]:
    """Peak beside plain autograd, 32 blocks."""
    return [Group("stored", _cases(profile.stored_peers, profile.stored_size, depth_of(32)), 0)]


def floor(profile: Profile) -> list[Group]:
    """Peak beside the theoretical floor, 480p x 80."""
    return [Group("floor", _cases(REVSEG, profile.floor_size, profile.floor_depth), 0)]


def one_step(profile: Profile) -> list[Group]:
    """One training step of the default network."""
    return [
        Group(f"one-step/{name}", _cases(peers, size, DEFAULT_DEPTH), repeats) for name, peers, size, repeats in profile.one_step
    ]


def inference(profile: Profile) -> list[Group]:
    """Frames a second and peak of the default network's inference, masks included, without decoding."""
    peers = (*REVSEG, "plain", "iunets", *MONAI)
    cases = tuple(Case(peer, profile.inference_size, DEFAULT_DEPTH, "infer") for peer in peers)
    return [Group("inference", cases, profile.repeats)]


def roofline(profile: Profile) -> list[Group]:
    """One block on each level of the default network."""
    frames, height, width = profile.roofline_size
    return [
        Group(
            "roofline",
            tuple(
                Case(peer, (frames >> level, height >> level, width >> level), (1,), "block", 4 * 8**level)
                for peer in REVSEG
                for level in range(4)
            ),
            0,
        )
    ]


ROWS: dict[str, Callable[[Profile], list[Group]]] = {
    "depth": depth,
    "depth-peak": depth_peak,
    "volume": volume,
    "layers30": layers30,
    "per-block": per_block,
    "stored": stored,
    "floor": floor,
    "one-step": one_step,
    "inference": inference,
    "roofline": roofline,
}
# The row "largest" is not a list of groups: each of its measurements follows from the one before
# (benchmark.largest).
NAMES = (*ROWS, "largest")
LARGEST_PEERS = (*REVSEG, "plain", "checkpoint", "iunets", *MONAI)


def _cases(peers: tuple[str, ...], size: Size, blocks: tuple[int, ...]) -> tuple[Case, ...]:
    return tuple(Case(peer, size, blocks) for peer in peers)
