"""Where to compute."""

from __future__ import annotations

import torch


def choose_device(name: str) -> torch.device:
    """auto: the GPU if there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or number and not number.isdigit():
        raise ValueError(f"device is {name}; choose auto, cpu, cuda or cuda:1, cuda:2, ...")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device is {name}, but torch sees {torch.cuda.device_count()} GPUs; choose auto or cpu"
        )
    return torch.device(name)
