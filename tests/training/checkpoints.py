"""Checkpoints of a tiny network, right ones and wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from revseg import RevSegNet
from revseg.training.checkpoint import Checkpoint, save

SETTINGS = {"channels": 2, "levels": 1, "depth": 1, "rank": 3}


def checkpoint_of(net: RevSegNet, **more: Any) -> Checkpoint:
    """Returns that of a training that stands after step 7."""
    fields = {"optimizer": {"name": "muon", "parts": []}, "step": 7, "seconds": 1.5, "height": 96}
    return Checkpoint(network=net.config, weights=net.state_dict(), **fields | more)


def content_of(path: Path) -> dict[str, Any]:
    """Saves a checkpoint, and returns what is in the file."""
    save(checkpoint_of(RevSegNet(**SETTINGS)), path)
    content: dict[str, Any] = torch.load(path, weights_only=True)
    return content


def saved(content: object, path: Path) -> Path:
    """Writes any content as torch.save does."""
    torch.save(content, path)
    return path
