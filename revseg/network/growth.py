"""Weights of a network for one that tells more classes apart."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from revseg.network.config import NetworkConfig
from revseg.network.network import RevSegNet


def grown(weights: Mapping[str, Tensor], config: NetworkConfig, net: RevSegNet) -> dict[str, Tensor]:
    """Returns the weights of a network with the settings ``config``, for ``net``, which differs from it in more classes at most.

    What is about the further classes is as ``net`` has it: a row of the head, and a plane of the evidence in opening and head.
    """
    state = dict(weights)
    if net.config.outputs == config.outputs:
        return state
    fresh = net.state_dict()
    for name in ("opening.weight", "head.weight"):
        known = weights[name]
        state[name] = fresh[name].clone()
        state[name][: len(known), _places(known.shape[1], fresh[name].shape[1])] = known.to(fresh[name].device)
    state["head.bias"] = fresh["head.bias"].clone()
    state["head.bias"][: len(weights["head.bias"])] = weights["head.bias"].to(fresh["head.bias"].device)
    return state


def _places(before: int, now: int) -> list[int]:
    """Returns where each of the features lies now: the last one, the confidence in the evidence, stays the last."""
    return [*range(before - 1), now - 1]
