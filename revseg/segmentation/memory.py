"""Bytes that making masks takes, told from sizes alone."""

from __future__ import annotations

from revseg.evidence.config import EvidenceConfig
from revseg.evidence.memory import EvidenceSize, flow_bytes, smoothing_bytes
from revseg.network.config import NetworkConfig
from revseg.network.inference import is_summed
from revseg.network.memory import Size


def summed_bytes(network: NetworkConfig, size: Size, placements: int, *, window: int | None = None) -> int:
    """Bytes of the probabilities of all frames, float16, where several placements or windows are averaged."""
    return 2 * network.outputs * size[0] * size[1] * size[2] if is_summed(size[0], placements, window) else 0


def deciding_bytes(sizes: EvidenceSize, config: EvidenceConfig, native_pixels: int, *, pooled: bool, threads: int) -> int:
    """Bytes of the frames on their way to masks: pooled or smoothed at the size of the evidence, decided at the video's own.

    pooled: whether with evidence, which is smooth.
    Of each class there: probabilities, those with labels in their place, and the choice between both; and the index of the
    greatest, 8 bytes.
    """
    pixels, classes = sizes.pixels, sizes.classes
    found = (12 * classes + 4 * classes + 24) * native_pixels + 32 * classes * pixels
    if config.smoothing.sweeps and not pooled:
        found += flow_bytes(sizes.size, config, threads)
        found += smoothing_bytes(pixels, sizes.frames, classes, config=config.smoothing, fixed=0, threads=threads)
    return found
