"""Threads of Python and of the core: the same bits, and Python's lock is free meanwhile."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import assert_same_bits

import tensorquant as tq


@pytest.fixture(autouse=True)
def as_many_threads_as_before():
    yield
    tq.set_num_threads(0)


@pytest.mark.parametrize("spec", ["nearest,8,4", "stochastic,8,4", "ternary", "float,4,3"])
def test_the_number_of_threads_changes_no_bit(spec):
    x = np.random.default_rng(1).normal(size=1_000_003).astype(np.float32)
    q = tq.Quantizer(spec)
    results = []
    for threads in (1, 2, 5):
        tq.set_num_threads(threads)
        assert tq.get_num_threads() == threads
        results.append(q(x, seed=7))
    with ThreadPoolExecutor(4) as pool:
        results += pool.map(lambda _: q(x, seed=7), range(8))
    for result in results:
        assert_same_bits(result, results[0])


def test_rounded_products_from_several_threads_have_the_same_bits():
    a = np.random.default_rng(1).normal(size=(64, 64)).astype(np.float32)
    formats = {"product": "nearest,8,4", "accumulator": "nearest,10,4"}
    wanted = tq.matmul(a, a, **formats)
    with ThreadPoolExecutor(4) as pool:
        for y in pool.map(lambda _: tq.matmul(a, a, **formats), range(16)):
            assert_same_bits(y, wanted)


def test_the_lock_is_released():
    """Another thread of Python runs to its end while one call of the core waits for it."""

    inside, reached = threading.Event(), threading.Event()

    class Waits(tq.UserQuantizer):
        def quantize(self, x):
            inside.set()
            assert reached.wait(timeout=60)
            return x

    x = np.random.default_rng(1).normal(size=1000).astype(np.float32)
    waiting = threading.Thread(target=Waits(), args=(x,))
    waiting.start()
    assert inside.wait(timeout=60)
    tq.Quantizer("nearest,8,4")(x)
    reached.set()
    waiting.join()


def test_python_goes_on_while_a_kernel_works():
    x = np.random.default_rng(1).normal(size=(192, 1024)).astype(np.float32)
    w = np.random.default_rng(2).normal(size=(1024, 192)).astype(np.float32)
    tq.set_num_threads(1)
    ticks = []
    is_done = threading.Event()

    def work():
        tq.matmul(x, w, product="stochastic,8,4", accumulator="stochastic,24,4")
        is_done.set()

    worker = threading.Thread(target=work)
    worker.start()
    while not is_done.wait(timeout=0.001):
        ticks.append(len(ticks))
    worker.join()
    assert ticks  # none, if the worker had held the lock from beginning to end


def test_wrong_numbers_are_refused():
    with pytest.raises(tq.Error, match="threads: -1 is not between 0 and"):
        tq.set_num_threads(-1)
