"""Warns of labels that can be read, and are seldom meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from revseg.labels.palette import VOID
from revseg.video.folder import some
from revseg.video.names import tell_once


def tell_suspicion(masks: Tensor, place: Path, names: Sequence[str] = ()) -> None:
    """Warns where labels (L, H, W) say one thing all over. names: of the masks, where each is a file."""
    counts = [mask.flatten().bincount(minlength=VOID + 1) for mask in masks]
    values = [set(count.nonzero().flatten().tolist()) for count in counts]
    known = set().union(*values) - {VOID}
    if len(known) == 1:
        (value,) = known
        what = f"object {value}" if value else "background"
        tell_once(f"the labels in {place} show {what} and nothing else: check data.encoding, and that masks show the object")
        return
    whole = [2 * int(count[VOID]) < count.sum() for count in counts]  # else a few pixels are labelled
    if unclear := [name for name, found, most in zip(names, values, whole, strict=False) if found == {0, VOID} and most]:
        tell_once(
            f"{place}: {some(unclear)} 0 and 255 alone, background and don't care: check that 255 does not mean the object there"
        )
    if full := [name for name, found in zip(names, values, strict=False) if len(found) == 1 and not found & {0, VOID}]:
        tell_once(f"{place}: {some(full)} one object all over, without any background: check that this is meant")
