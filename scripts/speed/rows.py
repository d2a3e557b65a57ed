"""Which cases are measured at which sizes, on a CPU, on a GPU and in a quick trial.

C = 4 and rank 16 throughout. `depth_of` networks have two coarsenings; the default network has three and blocks (0, 2, 2, 2). The
sizes of the CPU follow from 2 cores and 25 minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.arguments import size

from speed.case import Case, Group, Size, depth_of

REVSEG = ("revseg", "revseg-int16")
ANY_DEPTH = (*REVSEG, "plain", "checkpoint", "iunets")
MONAI = ("monai-unet", "monai-segresnet")
LARGEST_PEERS = (*REVSEG, "plain", "checkpoint", "iunets", *MONAI)
DEFAULT_DEPTH = (0, 2, 2, 2)

# Frames x height x width; - where a device has no such group. volume-peak: memory alone, as all rows with "peak" in their name.
# depth-peak: where the size of depth is small beside the weights of many blocks. per-block: a state of 256 MB or more.
# largest: the number of frames is what is sought.
SIZES = """
                  cpu                                   cuda                                    quick
depth             16x96x160                             32x480x864                              16x32x32
depth-peak        32x192x320                            -                                       16x32x48
volume            16x64x96,16x128x224                   8x480x864,80x480x864                    16x32x48
volume-peak       16x192x320,32x192x320,32x288x480      160x480x864,320x480x864,640x480x864     -
layers30/time     16x128x224                            32x480x864                              16x32x32
layers30/peak     32x288x480                            80x480x864                              16x32x48
revseg            20x480x880                            80x480x864                              16x64x64
revseg-int16      40x480x880                            80x480x864                              16x64x64
stored            20x480x880                            80x480x864                              16x64x64
floor             80x480x854                            80x480x854                              16x64x60
one-step/480p     -                                     100x480x854                             -
one-step/4k       -                                     400x2160x3840                           -
one-step/tiny     -                                     -                                       16x32x32
inference         16x240x432                            96x480x854                              16x32x32
largest           0x192x320                             0x480x864                               0x32x32
"""
BLOCKS = {"cpu": (4, 8, 16, 32, 64), "cuda": (4, 8, 16, 32, 64), "quick": (4,)}
PER_BLOCK = {"cpu": (4, 36), "cuda": (4, 36), "quick": (4, 8)}
REPEATS = {"cpu": 5, "cuda": 5, "quick": 2}
LIMIT = {"cpu": 256 << 20, "cuda": 24 << 30, "quick": 64 << 20}
"""Bytes in which the largest volume is to train."""
ONE_STEP = {"480p": ((*REVSEG, "revseg-kept", "plain"), 7), "4k": (("revseg-int16",), 3), "tiny": (REVSEG, 2)}


def sizes(name: str, profile: str) -> list[Size]:
    """Returns the sizes of a row of the table above; none where it says -."""
    header, *lines = (line.split() for line in SIZES.strip().splitlines())
    cells = dict(zip(header, next(line[1:] for line in lines if line[0] == name), strict=True))
    return [size(text) for text in cells[profile].split(",") if text != "-"]


def depth(p: str) -> list[Group]:
    """Peak and step time against depth; at 16 blocks (or the only depth) also the peers of fixed depth."""
    full = 16 if 16 in BLOCKS[p] else BLOCKS[p][0]
    extra = ("revseg-kept", "revseg-float32", *(("revseg-unfused",) if p == "cuda" else ()), "naive", *MONAI)
    peers = {n: (*ANY_DEPTH, *(extra if n == full else ())) for n in BLOCKS[p]}
    return [Group(f"depth/{n}", _cases(peers[n], one, depth_of(n)), REPEATS[p]) for one in sizes("depth", p) for n in BLOCKS[p]]


def depth_peak(p: str) -> list[Group]:
    return [Group(f"depth-peak/{n}", _cases(ANY_DEPTH, one, depth_of(n)), 0) for one in sizes("depth-peak", p) for n in BLOCKS[p]]


def volume(p: str) -> list[Group]:
    counts = [(one, REPEATS[p]) for one in sizes("volume", p)] + [(one, 0) for one in sizes("volume-peak", p)]
    peers = (*ANY_DEPTH, *MONAI)
    return [Group(f"volume/{'x'.join(map(str, one))}", _cases(peers, one, depth_of(16)), count) for one, count in counts]


def layers30(p: str) -> list[Group]:
    """Times, and peaks on a volume beside which a slab is small."""
    names, peers = {"layers30/time": REPEATS[p], "layers30/peak": 0}, (*REVSEG, "iunets", "iunets-half")
    return [Group(name, _cases(peers, one, depth_of(30)), count) for name, count in names.items() for one in sizes(name, p)]


def per_block(p: str) -> list[Group]:
    """Peak at two depths."""
    found = {peer: [Case(peer, one, depth_of(n)) for one in sizes(peer, p) for n in PER_BLOCK[p]] for peer in REVSEG}
    return [Group(f"per-block/{peer}", tuple(cases), 0) for peer, cases in found.items()]


def stored(p: str) -> list[Group]:
    peers = ("revseg-int16", "revseg", "plain", "naive") if p == "cuda" else ("revseg-int16", "plain")
    return [Group("stored", _cases(peers, one, depth_of(32)), 0) for one in sizes("stored", p)]


def floor(p: str) -> list[Group]:
    blocks = DEFAULT_DEPTH if p == "cuda" else (0, 1, 1, 1)
    return [Group("floor", _cases(REVSEG, one, blocks), 0) for one in sizes("floor", p)]


def one_step(p: str) -> list[Group]:
    found = [(f"one-step/{name}", peers, count) for name, (peers, count) in ONE_STEP.items()]
    return [Group(name, _cases(peers, one, DEFAULT_DEPTH), count) for name, peers, count in found for one in sizes(name, p)]


def inference(p: str) -> list[Group]:
    """Frames a second, masks included, without decoding."""
    peers = (*REVSEG, "plain", "iunets", *MONAI)
    return [Group("inference", _cases(peers, one, DEFAULT_DEPTH, "infer"), REPEATS[p]) for one in sizes("inference", p)]


ROWS: dict[str, tuple[str, Callable[[str], list[Group]]]] = {
    "depth": ("Against depth", depth),
    "depth-peak": ("Against depth, memory", depth_peak),
    "volume": ("Against volume, 16 blocks", volume),
    "layers30": ("30 layers", layers30),
    "per-block": ("Per added block", per_block),
    "stored": ("Beside autograd, 32 blocks", stored),
    "floor": ("Beside the floor", floor),
    "one-step": ("One step of the default network", one_step),
    "inference": ("Inference of the default network", inference),
    # Not a list of groups: each of its measurements follows from the one before (speed.largest).
    "largest": ("Largest trainable volume", lambda p: []),
}


def _cases(peers: Sequence[str], one: Size, blocks: tuple[int, ...], task: str = "train") -> tuple[Case, ...]:
    return tuple(Case(peer, one, blocks, task) for peer in peers)
