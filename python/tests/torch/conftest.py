"""Tests of tensorquant.torch."""

import pytest

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def one_seed():
    """Each test starts from the same random numbers, in networks that stay as they are."""
    torch.manual_seed(1)
    torch.backends.mha.set_fastpath_enabled(False)  # its bits are other ones
    yield
    torch.backends.mha.set_fastpath_enabled(True)
