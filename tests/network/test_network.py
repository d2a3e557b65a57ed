"""RevSegNet as other people's code uses it."""

import copy
import dataclasses
import inspect
import io
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from revseg import RevSegNet
from revseg.network.config import NetworkConfig
from revseg.network.network import normalise
from revseg.network.step import training_step
from revseg.training.loss import SegmentationLoss
from tests import plain_network
from tests.reversible.sequences import layers_of

SMALL = {"channels": 2, "levels": 2, "depth": (1, 1, 1), "rank": 3, "step_size": 0.5}
DOUBLE = {"arithmetic": "float", "state_dtype": "float64"}


def network(**settings):
    """Small, with a head and biases that are not near zero."""
    torch.manual_seed(0)
    net = RevSegNet(**{**SMALL, **settings})
    for name, parameter in net.named_parameters():
        if name.endswith("bias") or name.startswith("head"):
            torch.nn.init.normal_(parameter, std=0.3)
    return net.double() if net.config.state_dtype == "float64" else net


def video(*shape, seed=1, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def test_the_example_of_the_documentation_runs():
    net = RevSegNet(channels=4, classes=2, levels=3, depth=(0, 2, 2, 2), rank=16, step_size=0.5, arithmetic="exact")
    volume = video(1, 3, 5, 9, 11)
    logits = net(volume)
    assert logits.shape == (1, 2, 5, 9, 11)
    prev, curr = (net.sequence.grid.load(net.sequence.grid.store(video(1, 4, 8, 8, 16, seed=s))) for s in (1, 2))
    after = net.sequence(prev, curr)
    assert [part.shape for part in after] == [prev.shape, curr.shape]
    assert all(torch.equal(a, b) for a, b in zip(net.sequence.inverse(*after), (prev, curr), strict=True))


@pytest.mark.parametrize("container", ["float32", "int32", "int16"])
@pytest.mark.parametrize("convolution", ["bfloat16", "float32"])
def test_the_state_of_a_volume_is_recovered_bit_for_bit_through_64_blocks(container, convolution):
    net = network(levels=3, depth=(8, 8, 8, 16), step_size=0.2, state_dtype=container, convolution_dtype=convolution)
    assert len(layers_of(net.sequence)) == 64
    with torch.no_grad():
        y = net.opening(video(2, 8, 8, 16, 3) / 2).movedim(-1, 1)
        y = net.sequence.grid.load(net.sequence.grid.store(y))
        back = net.sequence.inverse(*net.sequence(y, y))
    assert torch.equal(back[0], y)
    assert torch.equal(back[1], y)


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 3, 5), (4, 4, 4), (5, 8, 9)])
@pytest.mark.parametrize("coarsen_time", [True, False, (False, True)])
def test_any_size_is_padded_and_cropped_back(size, coarsen_time):
    """As if the padded volume had been given, and its logits cropped."""
    net = network(coarsen_time=coarsen_time, **DOUBLE)
    volume = video(2, 3, *size, dtype=torch.float64)
    logits = net(volume)
    assert logits.shape == (2, 2, *size)
    mt, mh, mw = net.multiple
    assert (mt, mh, mw) == ({True: 4, False: 1}.get(coarsen_time, 2), 4, 4)
    padded = F.pad(volume, (0, -size[2] % mw, 0, -size[1] % mh, 0, -size[0] % mt))
    cropped = net(padded)[:, :, : size[0], : size[1], : size[2]]
    assert torch.allclose(cropped, logits, rtol=0, atol=1e-13)


@pytest.mark.parametrize("depth", [0, 1, (0, 1, 2), [2, 0, 1]])
@pytest.mark.parametrize("rank", [1, (1, 2, 3)])
def test_depth_and_rank_as_number_tuple_or_list(depth, rank):
    net = network(depth=depth, rank=rank)
    count = (5 if depth else 0) if isinstance(depth, int) else 2 * depth[0] + 2 * depth[1] + depth[2]
    assert len(layers_of(net.sequence)) == count
    assert net(video(1, 3, 4, 4, 4)).isfinite().all()


def plain(net, volume):
    layers = [(layer.kernel, layer.bias) for layer in layers_of(net.sequence)]
    return plain_network.network(
        volume,
        (net.opening.weight, net.opening.bias),
        (net.head.weight, net.head.bias),
        layers,
        net.config.depths,
        net.config.halves_time,
        net.config.step_size,
    )


@pytest.mark.parametrize(
    ("settings", "batch"),
    [
        ({}, 1),
        ({"depth": (2, 0, 1), "coarsen_time": (False, True)}, 3),
        ({"kernel_size": 5, "rank": (1, 2, 3), "classes": 4}, 2),
    ],
)
def test_logits_and_gradients_equal_plain_autograd(settings, batch):
    net = network(**settings, **DOUBLE)
    net.sequence.slab_bytes = 30_000
    volume = video(batch, 3, 4, 8, 8, dtype=torch.float64).requires_grad_()
    wanted = (volume, *net.parameters())
    logits, expected = net(volume), plain(net, volume)
    assert torch.allclose(logits, expected, rtol=0, atol=1e-11)
    weights = video(*logits.shape, seed=2, dtype=torch.float64)
    gradients = [torch.autograd.grad((out.softmax(1) * weights).sum(), wanted) for out in (logits, expected)]
    for got, reference in zip(*gradients, strict=True):
        assert reference.norm() > 0
        assert (got - reference).abs().max() <= 1e-9 * reference.abs().max()


KINDS = [
    "volume",
    "opening.weight",
    "opening.bias",
    "sequence.blocks.2.layer.kernel",
    "sequence.blocks.2.layer.bias",
    "head.weight",
    "head.bias",
]


@pytest.mark.parametrize("kind", KINDS)
def test_taylor_remainder_is_of_second_order(kind):
    net, volume = network(**DOUBLE), video(1, 3, 4, 8, 8, dtype=torch.float64)
    place = volume.requires_grad_() if kind == "volume" else net.get_parameter(kind)

    def loss():
        return net(volume).logsumexp(1).sum() + net(volume)[:, 0].square().sum()

    start = loss()
    (gradient,) = torch.autograd.grad(start, place)
    base, direction = place.detach().clone(), video(*place.shape, seed=3, dtype=torch.float64)
    direction /= direction.abs().max()
    steps, remainders = [0.02 * 2.0**-k for k in range(10)], []  # short: the bound of a norm has kinks
    with torch.no_grad():
        for step in steps:
            place.copy_(base + step * direction)
            remainders.append(abs((loss() - start - step * (gradient * direction).sum()).item()))
    assert np.polyfit(np.log(steps), np.log(remainders), 1)[0] >= 1.9


def test_uint8_is_normalised_and_float_is_taken_as_normalised():
    net = network()
    pixels = torch.randint(0, 256, (1, 3, 4, 5, 6), dtype=torch.uint8)
    assert torch.equal(net(pixels), net(normalise(pixels)))
    uniform = normalise(torch.arange(256, dtype=torch.uint8))
    assert abs(uniform.mean().item()) < 0.3
    assert 0.8 < uniform.std().item() < 1.4


def test_first_loss_is_that_of_guessing():
    net = RevSegNet(classes=3, **SMALL)
    labels = torch.randint(0, 3, (1, 4, 8, 8))
    assert F.cross_entropy(net(video(1, 3, 4, 8, 8)), labels).item() == pytest.approx(math.log(3), abs=0.1)


@pytest.mark.parametrize("settings", [{}, {"state_dtype": "int16", "adjoint_dtype": "bfloat16"}, {"arithmetic": "float"}])
def test_training_under_autocast(settings):
    net = network(convolution_dtype="bfloat16", **settings)
    volume = video(2, 3, 4, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        net(volume).float().square().sum().backward()
    autocast = [parameter.grad.clone() for parameter in net.parameters()]
    net.zero_grad()
    net(volume).square().sum().backward()
    for got, parameter in zip(autocast, net.parameters(), strict=True):
        assert got.dtype == parameter.dtype
        assert (got - parameter.grad).norm() < 0.2 * parameter.grad.norm()


def test_gradients_accumulate_over_volumes_and_batches():
    net = network(**DOUBLE)
    volume = video(2, 3, 4, 8, 8, dtype=torch.float64)
    together = torch.autograd.grad(net(volume).square().sum(), tuple(net.parameters()))
    for sample in volume:
        net(sample[None]).square().sum().backward()
    assert all(torch.allclose(p.grad, t, rtol=1e-9, atol=1e-12) for p, t in zip(net.parameters(), together, strict=True))


def test_backward_twice_and_double_backward_are_errors():
    net = network()
    volume = video(1, 3, 4, 4, 4).requires_grad_()
    loss = net(volume).square().sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()
    with pytest.raises(RuntimeError, match="differentiated only once"):
        torch.autograd.grad(net(volume).sum(), volume, create_graph=True)


def test_settings_rebuild_the_network_and_weights_survive_the_disk():
    net = network(depth=[0, 1, 2], rank=(2, 3, 4), coarsen_time=(True, False), state_dtype="int16")
    rebuilt, stream = RevSegNet(**dataclasses.asdict(net.config)), io.BytesIO()
    assert rebuilt.config == net.config
    torch.save(net.state_dict(), stream)
    stream.seek(0)
    rebuilt.load_state_dict(torch.load(stream, weights_only=True))
    volume = video(1, 3, 4, 5, 6)
    assert torch.equal(rebuilt(volume), net(volume))


def test_a_deep_copy_is_independent():
    net = network()
    volume = video(1, 3, 4, 5, 6)
    before = net(volume)
    clone = copy.deepcopy(net)
    assert torch.equal(clone(volume), before)
    with torch.no_grad():
        for parameter in clone.parameters():
            parameter.add_(0.1)
    assert torch.equal(net(volume), before)
    assert not torch.equal(clone(volume), before)


def test_parameters_have_the_names_and_shapes_that_optimizers_rely_on():
    net = network(kernel_size=5, rank=(3, 4, 5))
    shapes = {name: tuple(p.shape) for name, p in net.named_parameters()}
    kernels = {name: shape for name, shape in shapes.items() if name.endswith(".kernel")}
    assert list(kernels.values()) == [
        (3, 2, 5, 5, 5),
        (4, 16, 5, 5, 5),
        (5, 128, 5, 5, 5),
        (4, 16, 5, 5, 5),
        (3, 2, 5, 5, 5),
    ]
    assert {name.split(".")[0] for name in shapes if name not in kernels} == {"opening", "sequence", "head"}


@pytest.mark.parametrize(
    ("volume", "sentence"),
    [
        (torch.zeros(3, 4, 4, 4), r"shape \(3, 4, 4, 4\); give \(N, 3, T, H, W\)"),
        (torch.zeros(1, 4, 4, 4, 4), r"give \(N, 3, T, H, W\)"),
        (torch.zeros(1, 3, 0, 4, 4), "no empty axis"),
        (torch.zeros(1, 3, 4, 4, 4, dtype=torch.int64), "dtype torch.int64; give uint8"),
    ],
)
def test_volumes_that_are_none_are_refused(volume, sentence):
    with pytest.raises(ValueError, match=sentence):
        network()(volume)


def test_a_volume_out_of_range_stops():
    for container in ("float32", "int32", "int16"):
        net = network(state_dtype=container)
        for bad in (float("nan"), 1e9):
            with pytest.raises(OverflowError, match=r"lower network.step_size, network.grid_bits .* network.depth"):
                net(torch.full((1, 3, 4, 4, 4), bad))


def test_impossible_settings_are_refused_by_the_network_too():
    with pytest.raises(ValueError, match="network.depth has 2 entries"):
        RevSegNet(levels=2, depth=(1, 1))


def test_keywords_are_the_settings_with_their_defaults():
    keywords = {name: each.default for name, each in inspect.signature(RevSegNet).parameters.items() if name != "head"}
    assert keywords == {each.name: each.default for each in dataclasses.fields(NetworkConfig)}


def test_a_head_of_ones_own():
    head = torch.nn.Sequential(torch.nn.Linear(8, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    net = RevSegNet(channels=4, classes=3, levels=1, depth=1, rank=4, head=head)
    assert net.features == 8
    volume = torch.randint(0, 256, (1, 3, 4, 6, 8), dtype=torch.uint8)
    labels = torch.randint(0, 3, (1, 2, 6, 8), dtype=torch.uint8)
    training_step(net, volume, labels, (0, 2), SegmentationLoss())
    assert all(parameter.grad.abs().max() > 0 for parameter in net.parameters())
    assert net(volume).shape == (1, 3, 4, 6, 8)
