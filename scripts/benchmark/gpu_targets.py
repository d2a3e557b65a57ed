"""The lines of the "must reach" table that name a GPU."""

from __future__ import annotations

import statistics

from benchmark.results import Results
from benchmark.targets import MODES, NAN, TIMED_MODES, Line, floor_bytes, timed


def gpu_lines(results: Results) -> list[Line]:
    return [*_one_step(results), _four_k(results), _inference(results), *_roofline(results)]


def _one_step(results: Results) -> list[Line]:
    where = "480p x 100, (0, 2, 2, 2)"
    time = Line("one train step", where, 100, "ms", "15 ms at 790 TFLOP/s")
    peak = Line("peak of one train step", where, 2.0, "GB", "1.3 GB floor, int16")
    for peer, mode in TIMED_MODES.items():
        if record := timed(results.find("one-step/480p", peer)):
            seconds = statistics.median(record["seconds"])
            # 8 units of work: the forward pass is 2 of them.
            time.measured[mode] = 1e3 * seconds, f"{4 * record['flops'] / seconds / 1e12:.0f} TFLOP/s"
            peak.measured[mode] = (
                record["peak"] / 1e9,
                f"{record['input'] / 1e9:.2f} GB of it the uint8 input",
            )
    return [time, peak]


def _four_k(results: Results) -> Line:
    line = Line("frames of 3840x2160 trained in 139 GB", "(0, 2, 2, 2)", 400, "frames", at_least=True)
    if record := timed(results.find("one-step/4k", "revseg-int16")):
        seconds = statistics.median(record["seconds"])
        line.predicted = f"{floor_bytes(record) / 1e9:.0f} GB floor"
        line.measured["int16"] = (
            record["size"][0],
            f"{seconds:.2f} s a step, peak {record['peak'] / 1e9:.0f} GB",
        )
    return line


def _inference(results: Results) -> Line:
    line = Line(
        "inference without decoding",
        "480p, (0, 2, 2, 2)",
        3000,
        "frames/s",
        "29 GFLOP a frame",
        at_least=True,
    )
    for peer, mode in MODES.items():
        if record := timed(results.find("inference", peer)):
            seconds = statistics.median(record["seconds"])
            line.measured[mode] = (
                record["size"][0] / seconds,
                f"{record['flops'] / seconds / 1e12:.0f} TFLOP/s",
            )
    return line


def _roofline(results: Results) -> list[Line]:
    lines = []
    for level in range(4):
        # The default network has no block on level 0.
        required = 0.4 if level else NAN
        line = Line(f"achieved / roofline, level {level}", f"{4 * 8**level} channels", required, at_least=True)
        for record in results.groups.get("roofline", {}).get("cases", []):
            if record["channels"] == 4 * 8**level and "error" not in record:
                for way in ("forward", "backward"):
                    share = record[f"{way}_roofline"] / record[f"{way}_seconds"]
                    line.measured[f"{MODES[record['peer']]} {way}"] = (
                        share,
                        f"{1e3 * record[f'{way}_seconds']:.3g} ms",
                    )
        lines.append(line)
    return lines
