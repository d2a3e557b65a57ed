"""The lines of the "must reach" table: predicted, required, measured, and by how much a line is met or missed."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from benchmark.results import Results

Record = dict[str, Any]
MODES = {"revseg": "fp32", "revseg-int16": "int16"}
# Bytes of one state and one adjoint (two fields each) per channel and voxel.
BYTES = {"revseg": (8, 8), "revseg-int16": (4, 4)}


@dataclass(frozen=True)
class Ratio:
    """Median over the rounds, and the smallest and largest round."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} [{self.low:.3g} to {self.high:.3g}]"


@dataclass(frozen=True)
class Line:
    what: str
    where: str
    predicted: str
    required: float
    unit: str
    measured: dict[str, float]
    """mode -> number in ``unit``; empty where it was not measured"""
    notes: dict[str, str]
    """mode -> spread and the like"""
    at_least: bool = False

    @property
    def verdict(self) -> str:
        if not self.measured:
            return "not measured"
        if self.required != self.required:  # nan: a line that only reports
            return "reported"
        parts = []
        for mode, value in self.measured.items():
            factor = value / self.required
            met = factor >= 1 if self.at_least else factor <= 1
            name = f"{mode} " if len(self.measured) > 1 else ""
            parts.append(f"{name}{'**met**' if met else '**missed**'} ({factor:.2f} of the number)")
        return "; ".join(parts)


def lines(results: Results) -> list[Line]:
    device = results.setting["device"]
    shared = [
        _per_block(results),
        _floor(results),
        _stored(results),
        _time(
            results,
            "step time / plain autograd, same convolutions, 16 blocks",
            "plain",
            1.2,
            "1.33 without, 1.17 with kept activations",
        ),
        _time(
            results,
            "step time / torch.utils.checkpoint per block, 16 blocks",
            "checkpoint",
            0.9,
            "1.00: both do 8 units of work",
        ),
        _per_flop(results),
        _layers30(results),
    ]
    if device == "cpu":
        return [
            *shared,
            _time(
                results,
                "step time / naive fp32 version, 16 blocks",
                "naive",
                1 / 6,
                "1/15 to 1/6: DESIGN.md section 4",
            ),
        ]
    return [*shared, *_one_step(results), _four_k(results), _inference(results), *_roofline(results)]


def rounds(numerator: Record, denominator: Record) -> Ratio:
    """Ratio of times, round by round: both were measured next to each other in every round."""
    each = [a / b for a, b in zip(numerator["seconds"], denominator["seconds"], strict=False)]
    return Ratio(statistics.median(each), min(each), max(each))


def floor_bytes(record: Record) -> int:
    """2 states + 2 adjoints of the padded volume, in their mode's dtypes."""
    frames, height, width = record["size"]
    multiple = 2 ** (len(record["depth"]) - 1)
    voxels = 1
    for n in (frames, height, width):
        voxels *= -(-n // multiple) * multiple
    return sum(BYTES[record["peer"]]) * record["channels"] * voxels


def _per_block(results: Results) -> Line:
    measured, notes = {}, {}
    for peer, mode in MODES.items():
        records = sorted(
            (r for r in results.groups.get(f"per-block/{peer}", {}).get("cases", []) if r.get("peak")),
            key=_blocks,
        )
        if len(records) == 2:
            few, many = records
            added = _blocks(many) - _blocks(few)
            state = BYTES[peer][0] * few["channels"] * few["size"][0] * few["size"][1] * few["size"][2]
            # Weights aside: their normalised copies and those copies' gradients also exist during a step.
            weights = 2 * (many["weights"] - few["weights"])
            measured[mode] = 100 * (many["peak"] - few["peak"] - weights) / added / state
            raw = 100 * (many["peak"] - few["peak"]) / added / state
            notes[mode] = (
                f"{raw:.2f} % with copies of the weights; state {state / 2**20:.0f} MB, {added} blocks added"
            )
    return Line(
        "peak memory per added block", "states >= 256 MB", "0", 0.5, "% of one state", measured, notes
    )


def _floor(results: Results) -> Line:
    measured, notes = {}, {}
    for peer, mode in MODES.items():
        if record := _with_peak(results.find("floor", peer)):
            least = floor_bytes(record)
            measured[mode] = record["peak"] / least
            notes[mode] = (
                f"{(record['peak'] - record['input']) / least:.3f} without the uint8 input; floor {least / 2**20:.0f} MB"
            )
    predicted = "1 + slab + input (3 bytes a voxel)"
    return Line("peak / floor (2 states + 2 adjoints)", "480p x 80", predicted, 1.20, "", measured, notes)


def _stored(results: Results) -> Line:
    measured, notes = {}, {}
    small = _with_peak(results.find("stored", "revseg-int16"))
    for peer, name in (("plain", "plain"), ("naive", "naive fp32")):
        stored = _with_peak(results.find("stored", peer))
        if small and stored:
            measured[f"vs {name}"] = small["peak"] / stored["peak"]
            notes[f"vs {name}"] = f"1/{stored['peak'] / small['peak']:.1f}"
    return Line(
        "peak of int16 mode / same network under autograd",
        "32 blocks",
        _stored_prediction(results),
        1 / 15,
        "",
        measured,
        notes,
    )


def _stored_prediction(results: Results) -> str:
    """Plain autograd keeps, per block, the bfloat16 copy of curr and relu(K curr + b); at the end 2 states and 2 adjoints."""
    record = results.find("stored", "plain")
    if record is None:
        return "-"
    channels, rank = record["channels"], record["rank"]
    kept = 16.0  # bytes per channel and voxel: 2 states, 2 adjoints in float32
    for level, count in enumerate(record["depth"]):
        last = level == len(record["depth"]) - 1
        kept += count * (1 if last else 2) * 2 * (1 + rank / (channels * 8**level))
    return f"1/{kept / sum(BYTES['revseg-int16']):.1f} with bf16 convolutions"


def _time(results: Results, what: str, other: str, required: float, predicted: str) -> Line:
    measured, notes = {}, {}
    for peer, mode in MODES.items():
        mine, theirs = (_timed(results.find("depth/16", name)) for name in (peer, other))
        if mine and theirs:
            ratio = rounds(mine, theirs)
            measured[mode], notes[mode] = ratio.median, str(ratio)
    return Line(what, "depth row", predicted, required, "", measured, notes)


def _per_flop(results: Results) -> Line:
    measured, notes = {}, {}
    theirs = _timed(results.find("layers30", "iunets"))
    for peer, mode in MODES.items():
        mine = _timed(results.find("layers30", peer))
        if mine and theirs:
            raw, flops = rounds(mine, theirs), theirs["flops"] / mine["flops"]
            measured[mode] = raw.median * flops
            notes[mode] = f"raw times {raw}; iunets does {flops:.3f} of the operations"
    return Line("step time per forward FLOP / that of iunets", "30 layers", "-", 0.5, "", measured, notes)


def _layers30(results: Results) -> Line:
    measured, notes = {}, {}
    for other, width in (("iunets", "2C"), ("iunets-half", "C")):
        theirs = _with_peak(results.find("layers30", other))
        for peer, mode in MODES.items():
            mine = _with_peak(results.find("layers30", peer))
            if mine and theirs:
                measured[f"{mode} vs {width}"] = mine["peak"] / theirs["peak"]
                notes[f"{mode} vs {width}"] = (
                    f"{mine['peak'] / 2**20:.0f} MB, {theirs['peak'] / 2**20:.0f} MB"
                )
    return Line("peak / iunets", "30 layers", "-", 0.3, "", measured, notes)


def _one_step(results: Results) -> list[Line]:
    times: dict[str, float] = {}
    peaks: dict[str, float] = {}
    notes = {}
    for peer, mode in MODES.items():
        record = _timed(results.find("one-step/480p", peer))
        if record:
            times[mode] = 1e3 * statistics.median(record["seconds"])
            peaks[mode] = record["peak"] / 1e9
            notes[mode] = f"{4 * record['flops'] / statistics.median(record['seconds']) / 1e12:.0f} TFLOP/s"
    where = "480p x 100, (0, 2, 2, 2)"
    return [
        Line("one train step", where, "15 ms at 790 TFLOP/s", 100, "ms", times, notes),
        Line("peak of that step", where, "1.3 GB floor in int16 mode", 2.0, "GB", peaks, {}),
    ]


def _four_k(results: Results) -> Line:
    record = _timed(results.find("one-step/4k", "revseg-int16"))
    if record is None:
        return Line(
            "frames of 3840x2160 trained in 139 GB", "int16", "-", 400, "frames", {}, {}, at_least=True
        )
    note = f"{statistics.median(record['seconds']):.1f} s a step, peak {record['peak'] / 1e9:.0f} GB"
    return Line(
        "frames of 3840x2160 trained in 139 GB",
        "int16",
        f"{floor_bytes(record) / 1e9:.0f} GB floor",
        400,
        "frames",
        {"int16": record["size"][0]},
        {"int16": note},
        at_least=True,
    )


def _inference(results: Results) -> Line:
    measured = {
        mode: record["size"][0] / statistics.median(record["seconds"])
        for peer, mode in MODES.items()
        if (record := _timed(results.find("inference", peer)))
    }
    return Line(
        "inference without decoding",
        "480p, (0, 2, 2, 2)",
        "29 GFLOP a frame",
        3000,
        "frames/s",
        measured,
        {},
        at_least=True,
    )


def _roofline(results: Results) -> list[Line]:
    lines = []
    for level in range(4):
        measured = {}
        for record in results.groups.get("roofline", {}).get("cases", []):
            if record["channels"] == 4 * 8**level and "error" not in record:
                for way in ("forward", "backward"):
                    measured[f"{MODES[record['peer']]} {way}"] = (
                        record[f"{way}_roofline"] / record[f"{way}_seconds"]
                    )
        required = 0.4 if level else float("nan")  # no block of the default network lies on level 0
        lines.append(
            Line(
                f"achieved / roofline, level {level}",
                f"{4 * 8**level} channels",
                "-",
                required,
                "",
                measured,
                {},
                at_least=True,
            )
        )
    return lines


def _timed(record: Record | None) -> Record | None:
    return record if record and record.get("seconds") else None


def _with_peak(record: Record | None) -> Record | None:
    return record if record and record.get("peak") else None


def _blocks(record: Record) -> int:
    return 2 * sum(record["depth"][:-1]) + record["depth"][-1]
