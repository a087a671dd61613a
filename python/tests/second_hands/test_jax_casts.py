"""XLA's own conversions, those of compiled JAX functions, are the quantizers."""

import numpy as np
import pytest
from borders import borders, every_half
from conftest import assert_same_numbers
from float_types import TYPES

import tensorquant as tq

jax = pytest.importorskip("jax", reason="JAX is not installed")
# Of overflows and signalling NaNs.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

# XLA compiles none of six bits.
CASTS = {name: spec for name, spec in TYPES.items() if not name.startswith("float6")}


def inputs_of(spec: str) -> np.ndarray:
    values = tq.Quantizer(spec).values(at_most=2**16)  # see test_ml_dtypes.py
    return np.concatenate([borders(values), every_half()])


@pytest.mark.parametrize("name", CASTS)
def test_casts_are_the_same(name):
    x = inputs_of(CASTS[name])
    if name == "float4_e2m1fn":  # NaN becomes -0 there
        x = x[~np.isnan(x)]
    cast = jax.jit(lambda a: a.astype(getattr(jax.numpy, name)))
    assert_same_numbers(tq.Quantizer(CASTS[name])(x), np.asarray(cast(x)).astype(np.float32))


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
