"""What the groups say together: memory per block, beside the floor, and revseg beside each peer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import Any

from speed.case import blocks_in

Record = dict[str, Any]
Groups = Mapping[str, Record]
"""Name of a group -> its record."""
Line = tuple[str, str, str, str]
"""What, where, mode, measured."""

MODES = {"revseg": "fp32", "revseg-int16": "int16"}
# Bytes of one state (two fields), and as many of one adjoint, per channel and voxel.
BYTES = {"revseg": 8, "revseg-int16": 4}
MB = 2**20


def lines(groups: Groups) -> Iterator[Line]:
    for peer, mode in MODES.items():
        yield from _per_block(groups, peer, mode)
        if record := find(groups, "floor", peer, "peak"):
            floor = floor_bytes(record)
            note = f"{record['peak'] / floor:.2f} ({(record['peak'] - record['input']) / floor:.3f} without the uint8 input)"
            yield "peak / floor (2 states + 2 adjoints)", "480p x 80", mode, f"{note}; floor {floor / MB:.0f} MB"
    for peer, mode in (MODES | {"revseg-kept": "fp32, hidden kept"}).items():
        for other, name in (("plain", "plain autograd"), ("checkpoint", "`torch.utils.checkpoint`"), ("naive", "naive fp32")):
            yield from _beside(groups, "stored", f"peak / same network, {name}", "32 blocks", (peer, mode, other), _peaks)
            yield from _beside(groups, "depth/16", f"step time / same network, {name}", "16 blocks", (peer, mode, other), _times)
        for other, name in (("iunets", "2C channels"), ("iunets-half", "C channels")):
            where, pair = f"30 layers, iunets {name}", (peer, mode, other)
            yield from _beside(groups, "layers30/peak", "peak / iunets", where, pair, _peaks)
            yield from _beside(groups, "layers30/time", "step time / iunets", where, pair, _times)
            yield from _beside(groups, "layers30/time", "step time per forward FLOP / iunets", where, pair, _per_operation)


def find(groups: Groups, group: str, peer: str, needed: str) -> Record | None:
    """Returns the record of a peer in a group; None where it is absent, failed or lacks what is needed."""
    cases = groups.get(group, {}).get("cases", [])
    return next((case for case in cases if case["peer"] == peer and "error" not in case and case.get(needed)), None)


def floor_bytes(record: Record) -> int:
    """Returns 2 states + 2 adjoints of the padded volume, in their mode's dtypes."""
    multiple = 2 ** (len(record["depth"]) - 1)
    frames, height, width = (-(-n // multiple) * multiple for n in record["size"])
    return 2 * BYTES[record["peer"]] * record["channels"] * frames * height * width


def _per_block(groups: Groups, peer: str, mode: str) -> Iterator[Line]:
    cases = [case for case in groups.get(f"per-block/{peer}", {}).get("cases", []) if case.get("peak")]
    if len(cases) == 2:
        few, many = cases
        frames, height, width = few["size"]
        state = BYTES[peer] * few["channels"] * frames * height * width
        blocks = blocks_in(many["depth"]) - blocks_in(few["depth"])
        # Weights aside: their normalised copies, and the gradients of those, also exist during a step.
        copies = 2 * (many["weights"] - few["weights"])
        raw, share = ((many["peak"] - few["peak"] - aside) / blocks / state for aside in (0, copies))
        note = f"{share:.2%} of one state ({raw:.2%} with copies of the weights); state {state / MB:.0f} MB"
        yield "peak memory per added block", f"{blocks} blocks added", mode, note


def _beside(
    groups: Groups, group: str, what: str, where: str, pair: tuple[str, str, str], say: Callable[[Record, Record], str]
) -> Iterator[Line]:
    peer, mode, other = pair
    needed = "peak" if say is _peaks else "seconds"
    mine, theirs = find(groups, group, peer, needed), find(groups, group, other, needed)
    if mine and theirs:
        yield what, where, mode, say(mine, theirs)


def _peaks(mine: Record, theirs: Record) -> str:
    return f"{mine['peak'] / theirs['peak']:.3g} ({mine['peak'] / MB:.0f} MB, {theirs['peak'] / MB:.0f} MB)"


def _times(mine: Record, theirs: Record, factor: float = 1.0) -> str:
    """Divides round by round: in each round the two were measured right after each other."""
    each = [factor * a / b for a, b in zip(mine["seconds"], theirs["seconds"], strict=False)]
    return f"{median(each):.3g} [{min(each):.3g} to {max(each):.3g}]"


def _per_operation(mine: Record, theirs: Record) -> str:
    share = theirs["flops"] / mine["flops"]
    return f"{_times(mine, theirs, share)}; iunets does {share:.3f} of the operations"
