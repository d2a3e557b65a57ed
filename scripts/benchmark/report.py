"""docs/benchmarks.md from the results of one or two devices."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmark.case import blocks_in
from benchmark.gpu_targets import gpu_lines
from benchmark.peers import PEERS
from benchmark.results import Results
from benchmark.targets import Line, shared_lines

Record = dict[str, Any]
MB = 2**20

INTRODUCTION = """# Benchmarks

Memory and speed of revseg beside its peers; written by `scripts/benchmark.py` from the raw numbers in
`{folder}/`.

How it is measured. Every measurement has a process of its own. Those of one table are taken side by side: the
processes wait for each other and their timed passes take turns, so a ratio compares passes a moment apart.
Times are medians over the rounds; ratios are medians of the rounds' ratios, with the smallest and the largest
round in brackets. A *step* is forward and backward, gradients included, optimizer excluded, with four
labelled frames, cross-entropy and Dice; videos are noise. *Peak* is memory above what imports, weights and
their gradients take, the uint8 input volume included. On a CPU: peak resident size above the size before,
while malloc hands large freed pieces back at once (left alone, the fragmentation of its heap would triple the
peak of plain autograd). On CUDA: `max_memory_allocated` likewise; *reserved* is what the allocator took from
the device. FLOPs are those of the convolutions of one forward pass, by formula for revseg's network, by
`torch.utils.flop_counter` for others. MB are 2^20 bytes.

All networks here have C = 4 channels per field, rank 16, kernels of 3x3x3 and no blocks on level 0. Tables by
number of blocks: two coarsenings, half of the blocks on level 1 and half on level 2, step size 1 or, above 8
blocks, 8 / blocks. The default network: three coarsenings, blocks (0, 2, 2, 2).

Who is measured. *Same network*: revseg's own weights, run with revseg's own convolutions (bfloat16 where the
processor is fast at it) and Haar transforms on the whole volume, float32 states; plain autograd stores what
it needs. On CUDA these convolutions are cuDNN's, while revseg's blocks may run through fused kernels. *naive
fp32*: `F.conv3d` and `F.conv_transpose3d` in float32. *memcnn*: `InvertibleModuleWrapper` around every block
and every change of level. *iunets*: an iUNet with as many layers per level as revseg has blocks there; with
2C channels its state has the size of revseg's (prev and curr, C channels each); in float32, as its inverse
fails under bfloat16 autocast. *MONAI*: UNet (16, 32, 64, 128, 256; two residual units) and SegResNet (16
filters), under bfloat16 autocast where the processor is fast at it; their depth is their own. No peer needed
a change to run.
"""


def page(every: Sequence[Results], pictures: Sequence[list[Path]], folder: str) -> str:
    parts = [INTRODUCTION.format(folder=folder)]
    for results, drawn in zip(every, pictures, strict=True):
        parts += [_heading(results), _targets(results), *_rows(results)]
        parts += [f"![{picture.stem}]({folder}/{picture.name})\n" for picture in drawn]
        if not drawn:
            parts.append("No plots: matplotlib is not installed.\n")
    return "\n".join(parts)


def _heading(results: Results) -> str:
    setting = results.setting
    dates = sorted(group["date"] for group in results.groups.values())
    versions = ", ".join(f"{name} {version or '(not installed)'}" for name, version in setting["versions"].items())
    machine = f"{setting['gpu']}; " if setting["gpu"] else ""
    kind = "CPU" if setting["device"] == "cpu" else "CUDA"
    quick = "\n**A trial on tiny volumes: these numbers mean nothing.**\n" if setting["quick"] else ""
    return (
        f"## {kind}\n{quick}\n"
        f"- machine: {machine}{setting['processor']}, "
        f"{setting['threads']} threads of {setting['cores']} cores, {setting['system']}\n"
        f"- versions: Python {setting['python']}, {versions}\n"
        f"- measured: {dates[0] if dates else '-'} to {dates[-1] if dates else '-'} (UTC)\n"
        f"- command: {', then '.join(f'`{command}`' for command in dict.fromkeys(results.commands))}\n"
    )


def _targets(results: Results) -> str:
    lines = shared_lines(results) + (gpu_lines(results) if results.setting["device"] == "cuda" else [])
    header = ("what", "where", "predicted", "required", "measured", "verdict")
    rows = ((x.what, x.where, x.predicted, _required(x), _measured(x), x.verdict) for x in lines)
    return "### Required and reached\n\n" + _table(header, rows)


def _required(line: Line) -> str:
    if line.required != line.required:
        return "report"
    number = f"1/{1 / line.required:.0f}" if line.required < 0.2 else f"{line.required:g}"
    return f"{'>=' if line.at_least else '<='} {number} {line.unit}".strip()


def _measured(line: Line) -> str:
    parts = [f"{mode}: {value:.3g} {line.unit}".strip() + f" ({note})" for mode, (value, note) in line.measured.items()]
    return "<br>".join(parts) or "-"


def _rows(results: Results) -> Iterable[str]:
    titles = {
        "depth": "Against depth",
        "depth-peak": "Against depth, memory",
        "volume": "Against volume, 16 blocks",
        "layers30": "30 layers",
        "per-block": "Per added block",
        "stored": "Beside autograd, 32 blocks",
        "floor": "Beside the floor",
        "one-step": "One step of the default network",
        "inference": "Inference of the default network",
        "largest": "Largest trainable volume",
        "roofline": "Roofline",
    }
    for row, title in titles.items():
        groups = list(results.starting(row))
        if groups:
            table = {"largest": _largest, "roofline": _block_table}.get(row, _group_table)
            yield f"### {title}\n\n" + "\n".join(table(name, group) for name, group in groups)


def _group_table(name: str, group: Record) -> str:
    frames, height, width = group["cases"][0]["size"]
    alike = all(case["size"] == group["cases"][0]["size"] for case in group["cases"])
    caption = f"`{name}`" + (f": {frames} frames of {width}x{height}\n" if alike else "\n")
    return f"{caption}\n" + _table(
        (
            "",
            "blocks",
            "size",
            "peak MB",
            "reserved MB",
            "seconds",
            "fastest to slowest",
            "frames/s",
            "forward GFLOP",
            "ms per forward GFLOP",
        ),
        (_group_row(case) for case in group["cases"]),
    )


def _group_row(case: Record) -> tuple[str, ...]:
    title, size = PEERS[case["peer"]].title, "x".join(map(str, case["size"]))
    blocks = "-" if case["peer"].startswith("monai") else str(blocks_in(case["depth"]))
    if "error" in case:
        return title, blocks, size, case["error"], "", "", "", "", "", ""
    seconds = case.get("seconds")
    median = statistics.median(seconds) if seconds else None
    return (
        title,
        blocks,
        size,
        _megabytes(case["peak"]),
        _megabytes(case["reserved"]),
        f"{median:.3g}" if median else "-",
        f"{min(seconds):.3g} to {max(seconds):.3g}" if seconds else "-",
        f"{case['size'][0] / median:.3g}" if median else "-",
        f"{case['flops'] / 1e9:.4g}",
        f"{median / case['flops'] * 1e12:.3g}" if median else "-",
    )


def _largest(_: str, group: Record) -> str:
    height, width = group["frame"]
    caption = (
        f"Frames of {width}x{height} that train in {group['limit'] / MB:.0f} MB, to 8 frames; "
        "16 blocks, MONAI with its own depth.\n"
    )
    rows = []
    for case in group["cases"]:
        probes = ", ".join(f"{n}: {_megabytes(peak) if peak else 'out of memory'}" for n, peak in case["probes"].items())
        rows.append(
            (
                PEERS[case["peer"]].title,
                case.get("error", str(case["frames"])),
                f"{case['voxels'] / 1e6:.3g}",
                _megabytes(case["peak"]),
                probes,
            )
        )
    return f"{caption}\n" + _table(("", "frames", "million voxels", "peak MB", "peaks measured (frames: MB)"), rows)


def _block_table(_: str, group: Record) -> str:
    rows = []
    for case in group["cases"]:
        title, size = PEERS[case["peer"]].title, "x".join(map(str, case["size"]))
        if "error" in case:
            rows.append((title, str(case["channels"]), size, case["error"], *[""] * 5))
            continue
        cells = []
        for way in ("forward", "backward"):
            seconds = case[f"{way}_seconds"]
            cells += [f"{1e3 * seconds:.3g}", f"{case[f'{way}_roofline'] / seconds:.2f}"]
        rows.append(
            (
                title,
                str(case["channels"]),
                size,
                *cells,
                f"{case['bandwidth'] / 1e9:.0f}",
                f"{case['peak_flops'] / 1e12:.3g}",
            )
        )
    return "One block alone; roofline = the larger of least bytes over bandwidth and operations over peak.\n\n" + _table(
        (
            "",
            "channels",
            "size",
            "forward ms",
            "achieved / roofline",
            "backward ms",
            "achieved / roofline",
            "copy GB/s",
            "matrix product TFLOP/s",
        ),
        rows,
    )


def _megabytes(value: float | None) -> str:
    return "-" if value is None else f"{value / MB:.1f}" if value < 100 * MB else f"{value / MB:.0f}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells) + "\n"
