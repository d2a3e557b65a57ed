"""A small network and its training step the plain way: net(volume), loss, backward under autograd."""

import torch
import torch.nn.functional as F

from revseg import RevSegNet
from revseg.network.network import normalise
from revseg.network.step import training_step

VOID = 255
SETTINGS = {"channels": 2, "classes": 3, "levels": 2, "depth": 1, "rank": 3, "step_size": 0.5}


class PlainLoss:
    """Cross-entropy and a Dice of sums over the pixels that are not void; in the dtype of the logits."""

    def statistics(self, logits, labels):
        logits, labels = logits[labels != VOID], labels[labels != VOID]
        p, y = logits.softmax(1)[:, 1], (labels == 1).to(logits)
        error = F.cross_entropy(logits, labels, reduction="sum")
        return torch.stack([error, torch.ones_like(y).sum(), (p * y).sum(), p.sum(), y.sum()])

    def value(self, statistics):
        error, count, overlap, predicted, true = statistics
        return error / count + 1 - (2 * overlap + 1) / (predicted + true + 1)


def network(**settings):
    """With a head that sees every feature."""
    torch.manual_seed(0)
    net = RevSegNet(**{**SETTINGS, **settings})
    for name, parameter in net.named_parameters():
        if name.endswith("bias") or name.startswith("head"):
            torch.nn.init.normal_(parameter, std=0.3)
    return net.double() if net.config.state_dtype == "float64" else net


def double(**settings):
    return network(arithmetic="float", state_dtype="float64", **settings)


def data(batch=2, size=(6, 7, 9), frames=(1, 4, 5), seed=1, inputs=3):
    """inputs: channels of the volume."""
    generator = torch.Generator().manual_seed(seed)
    volume = torch.randint(0, 256, (batch, inputs, *size), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 3, (batch, len(frames), *size[1:]), dtype=torch.uint8, generator=generator)
    labels[:, :, 0, :3] = VOID
    return volume, labels, frames


def placed(net, volume, offset):
    """Logits of net(volume), the video lying in a larger volume."""
    (t, h, w), (frames, height, width) = offset, volume.shape[2:]
    larger = torch.zeros(*volume.shape[:2], t + frames, h + height, w + width, dtype=torch.float64)
    larger[:, :, t:, h:, w:] = normalise(volume, torch.float64)
    return net(larger)[:, :, t:, h:, w:]


def plainly(net, volume, labels, frames, offset=(0, 0, 0)):
    """Loss and gradients of net(volume) under autograd."""
    return differentiated(net, placed(net, volume, offset), labels, frames)


def differentiated(net, logits, labels, frames):
    """Loss of the logits of the whole volume, and its gradients under autograd."""
    loss = PlainLoss()
    labelled = logits[:, :, list(frames)].movedim(1, -1).flatten(0, -2)
    value = loss.value(loss.statistics(labelled, labels.flatten().long()))
    return value.detach(), torch.autograd.grad(value, tuple(net.parameters()))


def gradients(net, *arguments, **keywords):
    """Of the step at the memory floor."""
    net.zero_grad()
    result = training_step(net, *arguments, loss=PlainLoss(), **keywords)
    return result, [parameter.grad.clone() for parameter in net.parameters()]


def assert_close(got, expected, tolerance):
    for one, other in zip(got, expected, strict=True):
        assert other.norm() > 0
        assert (one - other).abs().max() <= tolerance * other.abs().max()
