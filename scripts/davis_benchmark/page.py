"""A section of a Markdown page, between markers: what is written by hand around it stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from davis_benchmark import tables
from davis_benchmark.case import Recipe
from davis_benchmark.results import Record
from revseg.runs.atomic import replacing

NEW_PAGE = "# Quality\n"


def write_section(page: Path, name: str, text: str, script: str = "davis_benchmark") -> None:
    """Replace what is between the markers of `name`, or add it at the end."""
    begin, end = f"<!-- {script} {name}: made by scripts/{script}.py -->", f"<!-- end of {script} {name} -->"
    before = page.read_text(encoding="utf-8") if page.exists() else NEW_PAGE
    if (begin in before) != (end in before):
        raise ValueError(f"{page} has only one of the two markers of section {name}: add {begin if end in before else end}")
    section = f"{begin}\n{text.strip()}\n{end}"
    if begin in before:
        head, rest = before.split(begin, 1)
        new = head + section + rest.split(end, 1)[1]
    else:
        new = f"{before.rstrip()}\n\n{section}\n"
    with replacing(page) as temporary:
        temporary.write_text(new, encoding="utf-8")


def section(name: str, recipe: Recipe, records: Sequence[Record], splits: Mapping[str, Sequence[str]]) -> str:
    """Heading, conditions, means, comparisons, and for each number of labelled frames a table of the sequences."""
    parts = [f"## A few labelled frames: {name}", conditions(recipe, records), tables.means(records)]
    parts.append("\n".join(f"- {sentence}." for sentence in tables.comparisons(records)))
    for labelled in sorted({record["labelled"] for record in records}):
        parts += [f"### J&F (J, F), {labelled} labelled", tables.by_sequence(records, labelled, splits)]
    return "\n\n".join(part for part in parts if part)


def conditions(recipe: Recipe, records: Sequence[Record]) -> str:
    trained = [record for record in records if "steps" in record]
    seeds = sorted({record["seed"] for record in trained})
    sizes = [record["size"] for record in records]
    devices = ", ".join(sorted({record["device"] for record in records}))
    sentences = [
        f"{len({record['sequence'] for record in records})} sequences of DAVIS {recipe.year}, "
        f"{tables.span([s[0] for s in sizes])} frames, height {sizes[0][1]}, on {devices}.",
        "Measured on the frames that are not labelled; labelled ones are evenly spaced, the first and last included.",
        "Native: at the videos' own size, of the methods that write such masks. Seconds: from the files to the masks, median of "
        "the videos. Peak memory: above that of the process before, largest.",
    ]
    if trained:
        steps, named = tables.span([record["steps"] for record in trained]), ", ".join(map(str, seeds))
        sentences.append(f"Trainings of {steps} steps, seeds: {named}; ± is the standard deviation over the seeds.")
    if recipe.overrides:
        sentences.append(f"Settings beyond experiment=few_frames: `{' '.join(recipe.overrides)}`.")
    return " ".join(sentences)
