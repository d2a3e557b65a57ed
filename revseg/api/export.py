"""A trained network for other programs: as a graph of torch.export, and its weights as safetensors."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from revseg.network.network import RevSegNet
from revseg.reversible.block import Leapfrog
from revseg.reversible.layer import SymmetricLayer
from revseg.runs.atomic import replacing
from revseg.runs.folder import checkpoint_at
from revseg.training.checkpoint import load, network_from

GRAPH, WEIGHTS = "network.pt2", "weights.safetensors"


class Probabilities(nn.Module):
    """A trained network that ends with probabilities."""

    def __init__(self, net: RevSegNet) -> None:
        super().__init__()
        self.net = net
        for block in net.sequence.blocks:
            if isinstance(block, Leapfrog) and isinstance(block.layer, SymmetricLayer):
                block.layer = Bounded(block.layer)

    def forward(self, volume: Tensor) -> Tensor:
        """Computes (1, inputs, T, H, W) -> (1, classes, T, H, W), each position summing to 1."""
        logits: Tensor = self.net(volume)
        return logits.softmax(1)


class Bounded(nn.Module):
    """A symmetric layer whose kernel is bounded once and for all: training does it in every step."""

    def __init__(self, layer: SymmetricLayer) -> None:
        super().__init__()
        self.activation, self.padding = layer.activation.function, [side // 2 for side in layer.kernel_size]
        kernel = layer.normalised_kernel().detach()
        self.kernel, self.bias = nn.Parameter(kernel), nn.Parameter(layer.bias.detach())
        self.transposed = nn.Parameter(kernel.flip(2, 3, 4).transpose(0, 1).contiguous())

    def forward(self, y: Tensor) -> Tensor:
        """Computes K^T s(K y + b)."""
        hidden = self.activation(F.conv3d(y, self.kernel, self.bias, padding=self.padding))
        return F.conv3d(hidden, self.transposed, padding=self.padding)


def export(checkpoint: str | Path, folder: str | Path, *, size: tuple[int, int, int]) -> None:
    """Writes network.pt2 and weights.safetensors of a trained network into a folder.

    checkpoint: the folder of a run, or a checkpoint file. size: (T, H, W) of the volumes that the graph is for, at the height of
    the network, such as (40, 96, 170); it takes no other.

        probabilities = torch.export.load("network.pt2").module()(volume)

    volume: (1, inputs, T, H, W) uint8, the channels of the video and after them those of the evidence, if the network sees any.
    The graph needs neither revseg nor Triton. It computes in float32: its probabilities differ from those of revseg by what
    rounding to the grid makes of that, about 0.01 at most. weights.safetensors has the tensors of ``RevSegNet.state_dict()``, and
    the settings of the network as JSON in its metadata, "network".
    Raises ValueError or OSError in one sentence for what cannot be used.
    """
    try:
        from safetensors.torch import save_file
    except ImportError as error:
        raise ValueError("export needs safetensors: pip install 'revseg[export]'") from error
    if len(size) != 3 or min(size) < 1:
        raise ValueError(f"size is {size}: give (T, H, W), such as (40, 96, 170)")
    folder, loaded = Path(folder), load(checkpoint_at(Path(checkpoint)))
    net = network_from(loaded, torch.device("cpu"))
    net.convolve_in_(torch.float32)
    inputs = torch.zeros(1, net.config.inputs, *size, dtype=torch.uint8)
    with torch.no_grad():
        program = torch.export.export(Probabilities(net), (inputs,), strict=False)
    graph = io.BytesIO()  # not straight to the file: a full disk would be an error of its archive
    torch.export.save(program, graph)
    with replacing(folder / GRAPH) as temporary:
        temporary.write_bytes(graph.getbuffer())
    weights = {name: tensor.contiguous() for name, tensor in loaded.weights.items()}
    with replacing(folder / WEIGHTS) as temporary:
        save_file(weights, temporary, metadata={"network": json.dumps(asdict(loaded.network))})
