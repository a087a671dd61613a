"""What the tests share: golden vectors, the array libraries, comparison by bits."""

import importlib
import pathlib
from typing import NamedTuple

import numpy as np
import pytest

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden"


class Library(NamedTuple):
    """An array library: how its arrays are made of NumPy's, and the other way round."""

    name: str
    make: object
    to_numpy: object


def _numpy() -> Library:
    return Library("numpy", lambda a: a, np.asarray)


def _torch() -> Library:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    def make(a):
        if a.dtype.name == "bfloat16":
            return torch.from_numpy(a.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(a)

    def to_numpy(t):
        if t.dtype == torch.bfloat16:
            return t.view(torch.int16).numpy().view(bfloat16())
        return t.numpy()

    return Library("torch", make, to_numpy)


def _tensorflow() -> Library:
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    return Library("tensorflow", tf.constant, lambda t: t.numpy())


def _jax() -> Library:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    jax.config.update("jax_enable_x64", True)
    return Library("jax", jax.numpy.asarray, np.asarray)


_LIBRARIES = {"numpy": _numpy, "torch": _torch, "tensorflow": _tensorflow, "jax": _jax}


@pytest.fixture(params=_LIBRARIES)
def library(request) -> Library:
    return _LIBRARIES[request.param]()


def bfloat16() -> np.dtype:
    return np.dtype(importlib.import_module("ml_dtypes").bfloat16)


def dtype_of(name: str) -> np.dtype:
    if name == "bfloat16":
        pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed: no bfloat16 in NumPy")
        return bfloat16()
    return np.dtype(name)


def assert_same_bits(found, wanted) -> None:
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    bits = f"u{found.dtype.itemsize}"
    a = np.atleast_1d(found).view(bits)
    b = np.atleast_1d(wanted).view(bits)
    differ = np.flatnonzero((a != b).ravel())
    assert not differ.size, (
        f"{differ.size} elements differ, the first at {differ[0]}: found"
        f" {a.ravel()[differ[0]]:#x}, wanted {b.ravel()[differ[0]]:#x}"
    )


def assert_same_numbers(found, wanted) -> None:
    """The same bits, the sign of zero included; only which NaN a NaN is does not count."""
    with np.errstate(invalid="ignore"):  # ml_dtypes' types warn of signalling NaNs
        arrays = [
            np.where(np.isnan(a), a.dtype.type(np.nan), a) for a in map(np.asarray, (found, wanted))
        ]
    assert_same_bits(*arrays)
