"""The sections of scripts/davis_benchmark.py and scripts/davis_split_benchmark.py on their pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median, stdev

from harness.page import span, table
from harness.results import Record

from quality.case import Recipe

MEASURES = ("J", "F", "JF")
TITLES = {
    "copy": "nearest label copied",
    "flow": "optical flow, frame by frame",
    "flow-direct": "optical flow, straight",
    "flow-fine": "optical flow, frame by frame, of 480 lines",
    "mean-mask": "mean mask of the training videos",
    "motion": "what moves, nothing trained",
    "revseg": "revseg",
    "unet": "MONAI UNet",
}


@dataclass(frozen=True)
class Group:
    """The records of one method with one number of labelled frames."""

    method: str
    records: list[Record]

    @property
    def sequences(self) -> list[str]:
        return sorted({record["sequence"] for record in self.records})

    def native(self) -> Group:
        """Returns the same with the measures at the videos' own size, of the records that have them."""
        return replace(self, records=[record | record["native"] for record in self.records if record.get("native")])

    def mean(self, measure: str, sequences: Iterable[str] | None = None) -> float | None:
        """Returns the mean over the sequences, of each the mean over its seeds."""
        of_each = self.by_sequence(measure)
        values = [of_each[name] for name in (of_each if sequences is None else sequences) if name in of_each]
        return fmean(values) if values else None

    def by_sequence(self, measure: str) -> dict[str, float]:
        return {name: fmean(record[measure] for record in self.records if record["sequence"] == name) for name in self.sequences}

    def spread(self, measure: str) -> float | None:
        """Returns the standard deviation over the seeds of the mean over the sequences; seeds that lack one are left out."""
        of_each_seed = [[r for r in self.records if r["seed"] == seed] for seed in {r["seed"] for r in self.records}]
        whole = [some for some in of_each_seed if len(some) == len(self.sequences)]
        return stdev(fmean(r[measure] for r in some) for some in whole) if len(whole) > 1 else None

    def text(self, measure: str) -> str:
        """Returns the mean with its spread; - without records."""
        mean, spread = self.mean(measure), self.spread(measure)
        return "-" if mean is None else f"{mean:.3f}" + (f" ± {spread:.3f}" if spread is not None else "")


def section(name: str, recipe: Recipe, records: Sequence[Record], splits: Mapping[str, Sequence[str]]) -> str:
    """Returns heading, conditions, means, comparisons, and for each number of labelled frames a table of the sequences."""
    parts = [f"## A few labelled frames: {name}", conditions(recipe, records), means(records)]
    parts.append("\n".join(f"- {sentence}." for sentence in comparisons(records)))
    for labelled in groups(records):
        parts += [f"### J&F (J, F), {labelled} labelled", by_sequence(records, labelled, splits)]
    return "\n\n".join(part for part in parts if part)


def conditions(recipe: Recipe, records: Sequence[Record]) -> str:
    trained = [record for record in records if "steps" in record]
    devices = ", ".join(sorted({record["device"] for record in records}))
    sentences = [
        f"{len({record['sequence'] for record in records})} sequences of DAVIS {recipe.year}, "
        f"{span([record['size'][0] for record in records])} frames, height {records[0]['size'][1]}, on {devices}.",
        "Measured on the frames that are not labelled; labelled ones are evenly spaced, the first and last included.",
        "Native: at the videos' own size, of the methods that write such masks. Seconds: from the files to the masks, median of "
        "the videos. Peak memory: above that of the process before, largest.",
    ]
    if trained:
        steps, seeds = span([record["steps"] for record in trained]), sorted({record["seed"] for record in trained})
        named = ", ".join(map(str, seeds))
        sentences.append(f"Trainings of {steps} steps, seeds: {named}; ± is the standard deviation over the seeds.")
    if recipe.overrides:
        sentences.append(f"Settings beyond experiment=few_frames: `{' '.join(recipe.overrides)}`.")
    return " ".join(sentences)


def groups(records: Sequence[Record]) -> dict[int, dict[str, Group]]:
    """Returns number of labelled frames -> method -> group, both in their order."""
    result: dict[int, dict[str, Group]] = {}
    for labelled in sorted({record["labelled"] for record in records}):
        by_method = {m: [r for r in records if r["labelled"] == labelled and r["method"] == m] for m in TITLES}
        result[labelled] = {method: Group(method, some) for method, some in by_method.items() if some}
    return result


def means(records: Sequence[Record]) -> str:
    """Returns one line per number of labelled frames and method."""
    header = ["labelled", "method", "sequences", "J", "F", "J&F", "native J&F", "seconds", "peak memory, MB"]
    lines: list[list[object]] = []
    for labelled, by_method in groups(records).items():
        for method, group in by_method.items():
            seconds = median(record["seconds"] for record in group.records)
            peaks = [record["peak_memory_bytes"] for record in group.records if record["peak_memory_bytes"] is not None]
            cells = [labelled, TITLES[group.method], len(group.sequences), *map(group.text, MEASURES), group.native().text("JF")]
            cells += [f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}", f"{max(peaks) / 1e6:.0f}" if peaks else "-"]
            lines.append([f"**{cell}**" for cell in cells] if method == "revseg" else cells)
    return table(header, lines, words=2)


def comparisons(records: Sequence[Record]) -> list[str]:
    """Compares revseg with every other method, on the sequences that both have."""
    sentences = []
    for labelled, by_method in groups(records).items():
        mine = by_method.pop("revseg", None)
        for theirs in by_method.values() if mine is not None else ():
            common = [name for name in mine.sequences if name in theirs.sequences]
            pairs = [(mine.by_sequence("JF")[name], theirs.by_sequence("JF")[name]) for name in common]
            if pairs:
                margin, wins = fmean(a - b for a, b in pairs), sum(a > b for a, b in pairs)
                told = f"J&F of revseg {margin:+.3f} against {TITLES[theirs.method]}, higher on {wins} of {len(common)} sequences"
                sentences.append(f"{labelled} labelled: {told}{memory_beside(mine, theirs, common)}")
        sentences += ranked(labelled, mine) if mine is not None else []
    return sentences


def ranked(labelled: int, mine: Group) -> list[str]:
    """How well the J that runs expect ranks their frames."""
    known = [record for record in mine.records if record.get("rank_correlation") is not None]
    of_each = Group(mine.method, known).by_sequence("rank_correlation")
    if not of_each:
        return []
    least = min(of_each, key=lambda name: of_each[name])
    above = sum(value >= 0.6 for value in of_each.values())
    told = f"Spearman's correlation of the J that the run expects of a frame and the true one {fmean(of_each.values()):.2f}"
    where = f"at least 0.6 on {above} of {len(of_each)} sequences, least on {least}, {of_each[least]:.2f}"
    return [f"{labelled} labelled: {told}, {where}"]


def memory_beside(mine: Group, theirs: Group, common: Sequence[str]) -> str:
    known = all(record["peak_memory_bytes"] is not None for record in (*mine.records, *theirs.records))
    if not known or theirs.method != "unet":
        return ""
    peaks = [group.by_sequence("peak_memory_bytes") for group in (mine, theirs)]
    return f", with {fmean(peaks[0][name] / peaks[1][name] for name in common):.2f} of its peak memory"


def by_sequence(records: Sequence[Record], labelled: int, splits: Mapping[str, Sequence[str]]) -> str:
    """Returns a line per sequence with J&F (J, F) of each method, the best in bold, and means over all and over each split."""
    some = groups(records)[labelled].values()
    names = sorted({name for group in some for name in group.sequences})
    scopes = {name: [name] for name in names} | {"**mean**": names}
    scopes |= {f"mean of {split}": [name for name in names if name in listed] for split, listed in splits.items()}
    lines = []
    for label, scope in scopes.items():
        of_each = [[group.mean(measure, scope) for measure in ("JF", "J", "F")] for group in some]
        if any(values[0] is not None for values in of_each):
            best = max(values[0] for values in of_each if values[0] is not None)
            lines.append([label, *(cell(values, best) for values in of_each)])
    return table(["sequence", *(TITLES[group.method] for group in some)], lines)


def cell(values: Sequence[float | None], best: float) -> str:
    if values[0] is None:
        return "-"
    jf, j, f = (f"{value:.3f}" for value in values)
    return f"{f'**{jf}**' if values[0] == best else jf} ({j}, {f})"
