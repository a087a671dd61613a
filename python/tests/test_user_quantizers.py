"""Quantizers written in Python."""

import pickle
import subprocess
import sys
import threading
import traceback

import numpy as np
import pytest
from conftest import assert_same_bits

import tensorquant as tq

X = np.array([[0.3, -1.7], [12.2, 0.0]], np.float32)


@tq.register_quantizer("multiples", usage="multiples[,step]", summary="multiples of step")
class Multiples(tq.UserQuantizer):
    def __init__(self, step=0.5, limit=10):
        self.step = step
        self.limit = limit

    def quantize(self, x):
        return (np.round(x / self.step) * self.step).astype(x.dtype)

    def gradient(self, x, y, dy):
        return np.where(abs(x) < self.limit, dy, 0).astype(dy.dtype)


class Returns(tq.UserQuantizer):
    def __init__(self, result):
        self.result = result

    def quantize(self, x):
        return self.result


def test_it_is_called_as_every_quantizer(library):
    q = Multiples()
    y = q(library.make(X.copy()))
    assert_same_bits(library.to_numpy(y), np.array([[0.5, -1.5], [12, 0]], np.float32))
    x = library.make(X.copy())
    dx = tq.Quantizer.gradient(q, x, y, x)
    assert_same_bits(library.to_numpy(dx), np.where(X < 10, X, 0))


def test_it_keeps_each_type():
    for dtype in (np.float16, np.float32, np.float64):
        assert_same_bits(Multiples(0.25)(X.astype(dtype)), (np.round(X * 4) / 4).astype(dtype))


def test_it_is_known_by_its_name():
    q = tq.Quantizer("multiples,0.25,limit=3")
    assert q.spec == "multiples,0.25,limit=3"
    assert_same_bits(q(X), np.round(X * 4) / 4)
    assert_same_bits(q.gradient(X, X, X), np.where(abs(X) < 3, X, 0))
    assert ("multiples", "multiples[,step]", "multiples of step") in tq.list_quantizers()
    assert pickle.loads(pickle.dumps(q)) == q


def test_it_stands_in_maps():
    own = Multiples(0.25)
    m = tq.quantizer_map({"conv": own, "fc": "multiples,0.125"})
    assert m.find("conv1") is own
    assert isinstance(m.find("fc"), Multiples)
    assert m.find("fc") == tq.Quantizer("multiples,0.125")
    assert m.to_json() == f'{{"conv":"{own.spec}","fc":"multiples,0.125"}}'


def test_it_is_a_value():
    a, b = Multiples(), Multiples()
    assert a != b
    assert len({a, b}) == 2
    assert not a.is_straight_through
    assert Returns(None).is_straight_through
    assert a.facts is None
    again = pickle.loads(pickle.dumps(Multiples(0.25)))
    assert (type(again), again.step) == (Multiples, 0.25)


def test_without_a_gradient_it_is_straight_through():
    class Zero(tq.UserQuantizer):
        def quantize(self, x):
            return np.zeros_like(x)

    assert_same_bits(Zero().gradient(X, X, X), X)


def test_random_ones_get_the_context():
    class Draws(tq.UserQuantizer):
        is_random = True

        def quantize(self, x, seed, stream, step):
            return np.full_like(x, 100 * seed + 10 * stream + step)

    assert Draws()(X, seed=1, stream=2, step=3).tolist() == [[123, 123], [123, 123]]
    assert tq.quantizer_map(Draws()).find("x").is_random


def test_what_it_gets_it_may_keep():
    kept = []

    class Keeps(tq.UserQuantizer):
        def quantize(self, x):
            kept.append(x)
            return x

    for i in range(100):
        Keeps()(np.full(1000, i, np.float32))
    assert [int(x[0]) for x in kept] == list(range(100))
    assert all((x == x[0]).all() for x in kept)


def test_exceptions_keep_their_traceback():
    class Fails(tq.UserQuantizer):
        def quantize(self, x):
            raise KeyError("of the user")

    for q in (Fails(), tq.quantizer_map(Fails()).find("x")):
        with pytest.raises(KeyError, match="of the user") as caught:
            q(X)
        assert "in quantize" in "".join(traceback.format_tb(caught.value.__traceback__))


@pytest.mark.parametrize(
    ("result", "found"),
    [
        (np.zeros(3, np.float32), r"float32 of shape \(3,\)"),
        (np.zeros((2, 2), np.float32), r"float32 of shape \(2, 2\)"),
        (np.zeros(4), r"float64 of shape \(4,\)"),
        (np.zeros(4, int), r"int64 of shape \(4,\)"),
        ([0.0] * 4, "list"),
        (None, "NoneType"),
    ],
)
def test_wrong_results_are_refused(result, found):
    with pytest.raises(tq.Error, match=rf"quantize\(\) returned {found}, expected a NumPy array"):
        Returns(result)(X)


def test_wrong_names_and_factories_are_refused():
    with pytest.raises(tq.Error, match="has other|not made of lower-case"):
        tq.register_quantizer("Upper")(Multiples)
    with pytest.raises(tq.Error, match="'nearest' is taken"):
        tq.register_quantizer("nearest")(Multiples)
    with pytest.raises(tq.Error, match="'multiples' is taken"):
        tq.register_quantizer("multiples")(Returns)
    tq.register_quantizer("multiples")(Multiples)  # as a notebook does that runs a cell again
    tq.register_quantizer("gives_nothing")(lambda: None)
    with pytest.raises(tq.Error, match="its factory returned NoneType"):
        tq.Quantizer("gives_nothing")
    with pytest.raises(TypeError, match="positional argument"):
        tq.Quantizer("multiples,1,2,3")


def test_each_of_several_threads_gets_its_own_result():
    q = tq.Quantizer("multiples,0.25")
    results = [None] * 8

    def work(i):
        results[i] = q(np.full(10000, i + 0.3, np.float32))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [float(r[0]) for r in results] == [i + 0.25 for i in range(8)]


def test_the_interpreter_ends_clean():
    program = """
import numpy as np, tensorquant as tq
@tq.register_quantizer("halves")
class Halves(tq.UserQuantizer):
    def quantize(self, x):
        return x / 2
own = Halves()
q = tq.Quantizer("halves")
m = tq.quantizer_map({"a": own, "b": "halves", "c": "nearest,8,4"})
o = tq.Override(m)
print(m.find("a")(np.ones(1, np.float32)), q(np.ones(1, np.float32)))
try:
    tq.Quantizer("x")
except tq.Error as error:
    kept = error
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[0.5] [0.5]\n", "")
