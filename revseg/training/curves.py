"""The curves that a run has logged for TensorBoard, read again."""

from __future__ import annotations

from pathlib import Path

MOST = 4000
"""Points of a curve at most: of longer ones a random part is kept, and the last."""


def losses(folder: Path) -> list[tuple[float, float]]:
    """Returns (step, loss) of a run, over all its sessions; nothing where there is no log."""
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator  # only here: it is slow to load

    if not folder.is_dir():
        return []
    log = EventAccumulator(str(folder), size_guidance={SCALARS: MOST}, purge_orphaned_data=True)
    log.Reload()
    if "training/loss" not in log.Tags()["scalars"]:
        return []
    return sorted({event.step: event.value for event in log.Scalars("training/loss")}.items())
