"""Tests of tensorquant.torch on the models of other libraries: scripts/test.sh pytorch-models."""

import pathlib
import sys

import pytest

torch = pytest.importorskip("torch")
from cases import declare_torchvision_ops

sys.path.append(str(pathlib.Path(__file__).parents[1] / "torch"))  # for hands.py
torch.set_num_threads(1)  # the tensors are small


def pytest_configure(config):
    # In the process, too, that only hands out tests and imports what their warnings are made of.
    declare_torchvision_ops()
    # Of models that are there for it: their layers' weights are read by the modules around them.
    config.addinivalue_line("filterwarnings", "ignore:layer '.*' was not called")


@pytest.fixture(autouse=True)
def one_seed():
    """Each test starts from the same random numbers, in networks that stay as they are."""
    torch.manual_seed(1)
    torch.backends.mha.set_fastpath_enabled(False)  # its bits are other ones
    yield
    torch.backends.mha.set_fastpath_enabled(True)
