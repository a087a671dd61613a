"""Quantizers written in Python, by their registered names."""

import threading

import numpy as np
import pytest
from frameworks import assert_same_bits

import tensorquant as tq


@tq.register_quantizer("halves")
class Halves(tq.UserQuantizer):
    def quantize(self, x):
        return (np.floor(x * 2) / 2).astype(x.dtype)

    def gradient(self, x, y, dy):
        return np.where(x == y, dy, 0).astype(dy.dtype)


@tq.register_quantizer("demeaned")
class Demeaned(tq.UserQuantizer):
    """Looks at the whole array, and has no gradient of its own."""

    def quantize(self, x):
        return x - x.mean()


@tq.register_quantizer("steps")
class Steps(tq.UserQuantizer):
    is_random = True

    def quantize(self, x, seed, stream, step):
        return np.full_like(x, seed + 10 * stream + 100 * step)


@tq.register_quantizer("broken")
class Broken(tq.UserQuantizer):
    def quantize(self, x):
        raise ZeroDivisionError("this quantizer is broken")


X = np.array([[0.3, 0.5], [-1.2, 4.0]], np.float32)
DY = np.array([[1, 2], [3, 4]], np.float32)


def test_output_and_gradient_are_those_of_its_functions(framework):
    y, (dx,) = framework.vjp(lambda t: framework.ops.quantize(t, "halves"), [X], DY)
    assert_same_bits(y, np.array([[0, 0.5], [-1.5, 4]], np.float32))
    assert_same_bits(dx, np.array([[0, 2], [0, 4]], np.float32))
    y, (dx,) = framework.vjp(lambda t: framework.ops.quantize(t, "demeaned"), [X], DY)
    assert_same_bits(y, X - X.mean())
    assert_same_bits(dx, DY)


def test_a_tensor_of_a_half_type_gives_one(framework):
    x = X.astype(np.float16)
    y = framework.array(framework.ops.quantize(framework.tensor(x), "halves"))
    assert_same_bits(y, np.array([[0, 0.5], [-1.5, 4]], np.float16))


def test_compiled_it_has_the_same_bits(framework):
    function = framework.compiled(lambda t: framework.ops.quantize(t, "halves"))
    for _ in range(3):
        y = framework.array(function(framework.tensor(X)))
        assert_same_bits(y, np.array([[0, 0.5], [-1.5, 4]], np.float32))


def test_vmap_quantizes_each_tensor_alone(framework):
    function = framework.vmapped(lambda t: framework.ops.quantize(t, "demeaned"))
    y = framework.array(function(framework.tensor(X)))
    assert_same_bits(y, np.stack([row - row.mean() for row in X]))


def test_random_ones_get_seed_stream_and_step(framework):
    y = framework.ops.quantize(framework.tensor(X), "steps", seed=1, stream=2, step=3)
    assert_same_bits(framework.array(y), np.full((2, 2), 321, np.float32))


def test_many_threads_do_not_wait_for_each_other(framework):
    """None waits for another: the interpreter's lock is not held in the core."""
    results = {}

    def work(i):
        x = np.full(50000, i + 0.3, np.float32)
        for spec in ("halves", "nearest,16,1", "halves"):
            y = framework.array(framework.ops.quantize(framework.tensor(x), spec))
            results[i, spec] = np.unique(y).tolist()

    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert results == {
        (i, spec): [float(i) if spec == "halves" else i + 0.5]
        for i in range(8)
        for spec in ("halves", "nearest,16,1")
    }


def test_an_error_of_a_quantizer_reaches_the_caller(framework):
    with pytest.raises(Exception, match="this quantizer is broken"):
        framework.array(framework.ops.quantize(framework.tensor(X), "broken"))
