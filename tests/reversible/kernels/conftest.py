"""The kernels run on CUDA where there is a device, in Triton's interpreter on CPU where TRITON_INTERPRET=1.

Triton decides when it is imported, so one process cannot do both: ``test_interpreter.py`` starts another.
"""

import importlib.util
import os

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


@pytest.fixture
def device() -> torch.device:
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton is not installed")
    if INTERPRETED:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device; test_interpreter.py runs this in Triton's interpreter")
    return torch.device("cuda")
