"""A trained network for other programs: loaded by them, and compared with ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import revseg
from revseg.network.inference import predict_probabilities
from revseg.training.checkpoint import Checkpoint, save

safe_open = pytest.importorskip("safetensors").safe_open
SIZE = (5, 12, 18)


def trained(folder: Path, **settings: object) -> tuple[revseg.RevSegNet, Path]:
    torch.manual_seed(0)
    net = revseg.RevSegNet(channels=4, levels=1, depth=1, rank=4, **settings)
    torch.nn.init.normal_(net.head.weight)
    path = folder / "checkpoints" / "last.pt"
    save(Checkpoint(net.config, net.state_dict(), optimizer={}, step=5, seconds=1.0, height=12), path)
    return net, folder


@pytest.mark.slow
def test_the_graph_and_the_weights_give_the_same_probabilities(tmp_path: Path) -> None:
    net, run = trained(tmp_path / "run", evidence=True, classes=3)
    revseg.export(run, tmp_path / "out", size=SIZE)
    volume = torch.randint(0, 256, (net.config.inputs, *SIZE), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    np.save(tmp_path / "volume.npy", volume[None].numpy())
    program = (
        "import sys, numpy, torch\n"
        f"found = torch.export.load({str(tmp_path / 'out' / 'network.pt2')!r}).module()"
        f"(torch.from_numpy(numpy.load({str(tmp_path / 'volume.npy')!r})))\n"
        "assert not [name for name in sys.modules if name.startswith('revseg')]\n"
        f"numpy.save({str(tmp_path / 'found.npy')!r}, found.detach().numpy())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = torch.from_numpy(np.load(tmp_path / "found.npy"))[0]
    net.convolve_in_(torch.float32)
    expected = torch.cat([part for _, part in predict_probabilities(net, volume)], 1)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 0.01
    assert expected.std() > 0.05
    assert torch.allclose(found.sum(0), torch.ones(SIZE))
    with safe_open(tmp_path / "out" / "weights.safetensors", "pt") as file:
        again = revseg.RevSegNet(**json.loads(file.metadata()["network"]))
        again.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (it is no dictionary)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"size is \(5, 12\): give \(T, H, W\)"):
        revseg.export(tmp_path, tmp_path / "out", size=(5, 12))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"is a folder without checkpoints/last\.pt"):
        revseg.export(tmp_path, tmp_path / "out", size=SIZE)
    assert not (tmp_path / "out").exists()
