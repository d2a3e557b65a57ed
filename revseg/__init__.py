"""revseg: segment a whole video as one volume with a fully reversible network."""

from revseg.network.network import RevSegNet

__all__ = ["RevSegNet"]
