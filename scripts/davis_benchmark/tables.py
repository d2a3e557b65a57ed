"""Results as CSV, for spreadsheets, and as Markdown, for the eye."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median, stdev

from davis_benchmark.methods import BASELINES, METHODS
from davis_benchmark.results import Record
from revseg.runs.atomic import replacing

MEASURES = ("J", "F", "JF")
COLUMNS = (
    *("sequence", "labelled", "method", "seed", "object", *MEASURES),
    *("seconds", "training_seconds", "peak_memory_bytes", "steps", "clip_frames", "frames", "height", "width", "device", "date"),
)


def write_csv(records: Iterable[Record], path: Path) -> None:
    """A line per case, and where there are several objects one for each of them."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", extrasaction="ignore")
    writer.writeheader()
    for record in records:
        frames, height, width = record["size"]
        row = record | {"object": "all", "frames": frames, "height": height, "width": width}
        writer.writerow(row)
        if len(record["objects"]) > 1:
            writer.writerows(row | {"object": number} | measures for number, measures in record["objects"].items())
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", newline="")


@dataclass(frozen=True)
class Group:
    """The records of one method with one number of labelled frames."""

    labelled: int
    method: str
    records: list[Record]

    @property
    def sequences(self) -> list[str]:
        return sorted({record["sequence"] for record in self.records})

    def native(self) -> Group:
        """The same with the measures at the videos' own size, of the records that have them."""
        return replace(self, records=[record | record["native"] for record in self.records if record.get("native")])

    def mean(self, measure: str, sequences: Iterable[str] | None = None) -> float | None:
        """Over the sequences, of each the mean over its seeds."""
        of_each = self.by_sequence(measure)
        values = [of_each[name] for name in (of_each if sequences is None else sequences) if name in of_each]
        return fmean(values) if values else None

    def by_sequence(self, measure: str) -> dict[str, float]:
        return {name: fmean(record[measure] for record in self.records if record["sequence"] == name) for name in self.sequences}

    def spread(self, measure: str) -> float | None:
        """Standard deviation over the seeds of the mean over the sequences; seeds that lack a sequence are left out."""
        of_each_seed = {seed: [r for r in self.records if r["seed"] == seed] for seed in {r["seed"] for r in self.records}}
        whole = [some for some in of_each_seed.values() if len(some) == len(self.sequences)]
        return stdev(fmean(r[measure] for r in some) for some in whole) if len(whole) > 1 else None


def groups(records: Sequence[Record]) -> dict[int, dict[str, Group]]:
    """Number of labelled frames -> method -> group, both in their order."""
    result: dict[int, dict[str, Group]] = {}
    for labelled in sorted({record["labelled"] for record in records}):
        some = [record for record in records if record["labelled"] == labelled]
        by_method = {method: [r for r in some if r["method"] == method] for method in METHODS}
        result[labelled] = {method: Group(labelled, method, rs) for method, rs in by_method.items() if rs}
    return result


def means(records: Sequence[Record]) -> str:
    """One line per number of labelled frames and method."""
    heads = ["labelled", "method", "sequences", "J", "F", "J&F", "native J&F", "seconds", "peak memory, MB"]
    lines = [row(heads), "|--:|---" + "|--:" * (len(heads) - 2) + "|"]
    for labelled, by_method in groups(records).items():
        for method, group in by_method.items():
            cells = [labelled, title(group), len(group.sequences), *(with_spread(group, measure) for measure in MEASURES)]
            cells.append(with_spread(group.native(), "JF") if group.native().records else "-")
            seconds = median(record["seconds"] for record in group.records)
            peaks = [record["peak_memory_bytes"] for record in group.records if record["peak_memory_bytes"] is not None]
            cells += [f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}", f"{max(peaks) / 1e6:.0f}" if peaks else "-"]
            lines.append(row(cells, bold=method == "revseg"))
    return "\n".join(lines)


def title(group: Group) -> str:
    """With a word on clips, where videos were cut."""
    clips = [r["clip_frames"] for r in group.records if r.get("clip_frames") and r["clip_frames"] < r["size"][0]]
    cut = f", clips of {span(clips)} frames in {len(clips)} of {len(group.records)} trainings" if clips else ""
    return METHODS[group.method].title + cut


def span(numbers: Sequence[int]) -> str:
    """16, or 16 to 48."""
    least, most = min(numbers), max(numbers)
    return str(least) if least == most else f"{least} to {most}"


def with_spread(group: Group, measure: str) -> str:
    spread = group.spread(measure)
    return f"{group.mean(measure):.3f}" + (f" ± {spread:.3f}" if spread is not None else "")


def comparisons(records: Sequence[Record]) -> list[str]:
    """revseg beside the best of what needs no training, and beside the UNet, on the sequences that both have."""
    sentences = []
    for labelled, by_method in groups(records).items():
        mine = by_method.get("revseg")
        others = {method: by_method[method].by_sequence("JF") for method in BASELINES if method in by_method}
        if mine is not None and others:
            sentences.append(f"{labelled} labelled: {beside_baselines(mine, others)}")
        if mine is not None and "unet" in by_method:
            sentences.append(f"{labelled} labelled: {beside_unet(mine, by_method['unet'])}")
    return sentences


def beside_baselines(mine: Group, others: Mapping[str, Mapping[str, float]]) -> str:
    jf = mine.by_sequence("JF")
    common = [name for name in jf if all(name in other for other in others.values())]
    if not common:
        return "revseg and the baselines have no sequence in common"
    best = max(others, key=lambda method: fmean(others[method][name] for name in common))
    margin = fmean(jf[name] - others[best][name] for name in common)
    wins = sum(all(jf[name] > other[name] for other in others.values()) for name in common)
    return (
        f"J&F of revseg {margin:+.3f} against the best of the baselines ({METHODS[best].title}), "
        f"above all of them on {wins} of {len(common)} sequences"
    )


def beside_unet(mine: Group, theirs: Group) -> str:
    common = sorted(set(mine.sequences) & set(theirs.sequences))
    if not common:
        return "revseg and MONAI UNet have no sequence in common"
    j = [mine.by_sequence("J")[name] - theirs.by_sequence("J")[name] for name in common]
    sentence = f"J of revseg {fmean(j):+.3f} against MONAI UNet, higher on {sum(d > 0 for d in j)} of {len(common)} sequences"
    if any(record["peak_memory_bytes"] is None for record in (*mine.records, *theirs.records)):
        return sentence
    peaks = [group.by_sequence("peak_memory_bytes") for group in (mine, theirs)]
    return f"{sentence}, with {fmean(peaks[0][name] / peaks[1][name] for name in common):.2f} of its peak memory"


def by_sequence(records: Sequence[Record], labelled: int, splits: Mapping[str, Sequence[str]]) -> str:
    """A line per sequence with J&F (J, F) of each method, the best in bold, and means over all and over each split."""
    by_method = groups(records)[labelled]
    names = sorted({name for group in by_method.values() for name in group.sequences})
    lines = [row(["sequence", *(METHODS[method].title for method in by_method)]), "|---" + "|--:" * len(by_method) + "|"]
    scopes = {name: [name] for name in names} | {"**mean**": names}
    scopes |= {f"mean of {split}": [name for name in names if name in listed] for split, listed in splits.items()}
    for label, scope in scopes.items():
        of_each = [[group.mean(measure, scope) for measure in ("JF", "J", "F")] for group in by_method.values()]
        if any(values[0] is not None for values in of_each):
            best = max(values[0] for values in of_each if values[0] is not None)
            lines.append(row([label, *(cell(values, best) for values in of_each)]))
    return "\n".join(lines)


def cell(values: Sequence[float | None], best: float) -> str:
    if values[0] is None:
        return "-"
    jf, j, f = (f"{value:.3f}" for value in values)
    return f"{f'**{jf}**' if values[0] == best else jf} ({j}, {f})"


def row(cells: Iterable[object], bold: bool = False) -> str:
    return "| " + " | ".join(f"**{cell}**" if bold else str(cell) for cell in cells) + " |"
