"""revseg: segment a whole video as one volume with a fully reversible network."""

import os

# How often a thread of libgomp looks whether the others are done before it sleeps. By itself it takes 300,000 unless its own
# process has more threads than there are cores: it does not see what else runs there. Read as PyTorch is imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

from revseg.network.network import RevSegNet

__all__ = ["RevSegNet"]
