"""The lines of the "must reach" table that hold on every device: required, predicted, measured."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

from benchmark.case import blocks_in
from benchmark.results import Results

Record = dict[str, Any]
MODES = {"revseg": "fp32", "revseg-int16": "int16"}
TIMED_MODES = MODES | {"revseg-kept": "fp32, hidden kept"}
# Bytes of one state (two fields) and of one adjoint per channel and voxel.
BYTES = {"revseg": (8, 8), "revseg-int16": (4, 4)}
NAN = float("nan")


@dataclass
class Line:
    """One line. ``required`` is an upper bound, a lower one with ``at_least``, nan for a report only."""

    what: str
    where: str
    required: float
    unit: str = ""
    predicted: str = "-"
    at_least: bool = False
    measured: dict[str, tuple[float, str]] = field(default_factory=dict)
    """mode -> number in ``unit``, and what is to be said about it"""

    @property
    def verdict(self) -> str:
        if not self.measured:
            return "not measured"
        if self.required != self.required:
            return "reported"
        verdicts = [f"{mode}: {self._judge(value)}" for mode, (value, _) in self.measured.items()]
        return "<br>".join(verdicts)

    def _judge(self, value: float) -> str:
        share = value / self.required
        met = share >= 1 if self.at_least else share <= 1
        return f"met, {share:.2f} of the number" if met else f"**missed** by {100 * abs(share - 1):.0f} %"


@dataclass(frozen=True)
class Ratio:
    """Of times: median over the rounds, smallest and largest round."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} [{self.low:.3g} to {self.high:.3g}]"


def rounds(numerator: Record, denominator: Record) -> Ratio:
    """Round by round: in each round the two were measured right after each other."""
    each = [a / b for a, b in zip(numerator["seconds"], denominator["seconds"], strict=False)]
    return Ratio(statistics.median(each), min(each), max(each))


def timed(record: Record | None) -> Record | None:
    return record if record and record.get("seconds") else None


def with_peak(record: Record | None) -> Record | None:
    return record if record and record.get("peak") else None


def floor_bytes(record: Record) -> int:
    """2 states + 2 adjoints of the padded volume, in their mode's dtypes."""
    multiple = 2 ** (len(record["depth"]) - 1)
    voxels = 1
    for n in record["size"]:
        voxels *= -(-n // multiple) * multiple
    return sum(BYTES[record["peer"]]) * record["channels"] * voxels


def shared_lines(results: Results) -> list[Line]:
    plain = Line("step time / plain autograd, same convolutions", "16 blocks", 1.2, predicted="1.33; hidden kept 1.17")
    checkpoint = Line("step time / `torch.utils.checkpoint` per block", "16 blocks", 0.9, predicted="1.0 (8 / 8 units)")
    naive = Line("step time / naive fp32 version", "16 blocks", 1 / 6, predicted="1/15 to 1/6")
    return [
        _per_block(results),
        _floor(results),
        _stored(results),
        _ratio_of_times(results, plain, "plain"),
        _ratio_of_times(results, checkpoint, "checkpoint"),
        *_iunets(results),
        _ratio_of_times(results, naive, "naive"),
    ]


def _per_block(results: Results) -> Line:
    line = Line("peak memory per added block", "states >= 256 MB", 0.5, "% of one state", "0")
    for peer, mode in MODES.items():
        cases = results.groups.get(f"per-block/{peer}", {}).get("cases", [])
        records = sorted(filter(with_peak, cases), key=lambda record: blocks_in(record["depth"]))
        if len(records) != 2:
            continue
        few, many = records
        state = BYTES[peer][0] * few["channels"] * few["size"][0] * few["size"][1] * few["size"][2]
        blocks = blocks_in(many["depth"]) - blocks_in(few["depth"])
        # Weights aside: their normalised copies, and the gradients of those, also exist during a step.
        copies = 2 * (many["weights"] - few["weights"])
        raw, share = ((many["peak"] - few["peak"] - aside) / blocks / state * 100 for aside in (0, copies))
        note = f"{raw:.2f} % with copies of the weights; state {state / 2**20:.0f} MB, {blocks} blocks added"
        line.measured[mode] = share, note
    return line


def _floor(results: Results) -> Line:
    line = Line("peak / floor (2 states + 2 adjoints)", "480p x 80", 1.2, "", "1 + slab + input")
    for peer, mode in MODES.items():
        if record := with_peak(results.find("floor", peer)):
            least = floor_bytes(record)
            without = (record["peak"] - record["input"]) / least
            note = f"{without:.3f} without the uint8 input; floor {least / 2**20:.0f} MB"
            line.measured[mode] = record["peak"] / least, note
    return line


def _stored(results: Results) -> Line:
    line = Line("peak of int16 mode / same network under plain autograd", "32 blocks", 1 / 15)
    small = with_peak(results.find("stored", "revseg-int16"))
    for peer, name in (("plain", "plain autograd"), ("naive", "naive fp32")):
        stored = with_peak(results.find("stored", peer))
        if small and stored:
            line.measured[f"/ {name}"] = (
                small["peak"] / stored["peak"],
                f"1/{stored['peak'] / small['peak']:.1f}",
            )
    if plain := results.find("stored", "plain"):
        line.predicted = f"1/{_stored_share(plain) / sum(BYTES['revseg-int16']):.1f} of plain autograd"
    return line


def _stored_share(record: Record) -> float:
    """Bytes per channel and voxel: 2 states, 2 adjoints, and for each block curr and hidden in bfloat16."""
    kept = 16.0
    for level, count in enumerate(record["depth"]):
        visits = 1 if level == len(record["depth"]) - 1 else 2
        kept += visits * count * 2 * (1 + record["rank"] / (record["channels"] * 8**level))
    return kept


def _ratio_of_times(results: Results, line: Line, other: str) -> Line:
    for peer, mode in TIMED_MODES.items():
        mine, theirs = timed(results.find("depth/16", peer)), timed(results.find("depth/16", other))
        if mine and theirs:
            ratio = rounds(mine, theirs)
            line.measured[mode] = ratio.median, str(ratio)
    return line


def _iunets(results: Results) -> list[Line]:
    time = Line("step time per forward FLOP / that of `iunets`", "30 layers", 0.5)
    peak = Line("peak / `iunets`", "30 layers", 0.3)
    for other, name in (("iunets", "2C"), ("iunets-half", "C")):
        for peer, mode in MODES.items():
            beside = f"{mode} / iunets {name}"
            mine, theirs = (timed(results.find("layers30/time", which)) for which in (peer, other))
            if mine and theirs:
                raw, operations = rounds(mine, theirs), theirs["flops"] / mine["flops"]
                note = f"raw times {raw}; iunets does {operations:.3f} of the operations"
                time.measured[beside] = raw.median * operations, note
            mine, theirs = (with_peak(results.find("layers30/peak", which)) for which in (peer, other))
            if mine and theirs:
                note = f"{mine['peak'] / 2**20:.0f} MB, {theirs['peak'] / 2**20:.0f} MB"
                peak.measured[beside] = mine["peak"] / theirs["peak"], note
    return [time, peak]
