"""XLA's own conversions, those of compiled JAX functions, are the quantizers."""

import numpy as np
import pytest
from borders import borders, every_half
from conftest import assert_same_numbers

import tensorquant as tq

jax = pytest.importorskip("jax", reason="JAX is not installed")
# Of overflows and signalling NaNs.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

TYPES = {
    "float16": "fp16",
    "bfloat16": "bf16",
    "float8_e5m2": "e5m2",
    "float8_e4m3": "float,4,3",
    "float8_e3m4": "float,3,4",
    "float8_e4m3fn": "e4m3fn,overflow=nan",
    "float8_e4m3fnuz": "e4m3fnuz,overflow=nan",
    "float8_e5m2fnuz": "e5m2fnuz,overflow=nan",
    "float8_e4m3b11fnuz": "e4m3b11fnuz,overflow=nan",
    "float4_e2m1fn": "e2m1",
}


def inputs_of(spec: str) -> np.ndarray:
    values = tq.Quantizer(spec).values(at_most=2**16)  # see test_ml_dtypes.py
    return np.concatenate([borders(values), every_half()])


@pytest.mark.parametrize("name", TYPES)
def test_casts_are_the_same(name):
    x = inputs_of(TYPES[name])
    if name == "float4_e2m1fn":  # NaN becomes -0 there
        x = x[~np.isnan(x)]
    cast = jax.jit(lambda a: a.astype(getattr(jax.numpy, name)))
    assert_same_numbers(tq.Quantizer(TYPES[name])(x), np.asarray(cast(x)).astype(np.float32))


@pytest.mark.parametrize(("E", "M"), [(2, 1), (3, 4), (4, 3), (5, 2), (5, 10), (6, 9), (8, 7)])
def test_reduced_precision_is_a_float_without_subnormals(E, M):
    x = inputs_of(f"float,{E},{M}")
    theirs = np.asarray(jax.jit(lambda a: jax.lax.reduce_precision(a, E, M))(x))
    least = 2.0 ** (2 - 2 ** (E - 1))
    tiny = np.abs(x) < least
    if E < 8:
        assert set(np.abs(theirs[tiny])) == {0, least}
        x, theirs = x[~tiny], theirs[~tiny]
    assert_same_numbers(tq.Quantizer(f"float,{E},{M}")(x), theirs)
