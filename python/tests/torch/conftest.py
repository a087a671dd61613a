"""Tests of tensorquant.torch."""

import pytest

torch = pytest.importorskip("torch")


def pytest_configure(config):
    for text in (
        "layer 'qkv' was not called",  # of the model that is there for it
        "LSTM with projections",
        "enable_nested_tensor is True",
        "`torch.nn.utils.weight_norm` is deprecated",
        "`torch.jit",
    ):
        config.addinivalue_line("filterwarnings", f"ignore:{text}")


@pytest.fixture(autouse=True)
def one_seed():
    """Each test starts from the same random numbers, in networks that stay as they are."""
    torch.manual_seed(1)
    torch.backends.mha.set_fastpath_enabled(False)  # its bits are other ones
    yield
    torch.backends.mha.set_fastpath_enabled(True)
