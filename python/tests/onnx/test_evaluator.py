"""tensorquant.onnx.evaluator: logits of a model under maps, which is then as it was."""

import numpy as np
import pytest
from files import model_of
from onnx import helper

import tensorquant as tq
import tensorquant.onnx as tqo
import tensorquant.search as tqs

X = ((np.arange(300, dtype=np.float32) % 17 - 8) / 4).reshape(50, 6)
RNG = np.random.default_rng(4)
WEIGHTS = {
    "a.weight": RNG.integers(-9, 10, (6, 12)).astype(np.float32) / 8,
    "c.weight": RNG.integers(-9, 10, (12, 4)).astype(np.float32) / 8,
}
MAPS = tq.Override(weights="nearest,4,2", extrinsic={"=relu": "nearest,4,1"})


def net(batch="n", last=()):
    nodes = [
        helper.make_node("MatMul", ["x", "a.weight"], ["a"], "a"),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("MatMul", ["b", "c.weight"], ["c"], "c"),
        *last,
    ]
    return tqo.load(model_of(nodes, {"x": [batch, 6]}, ["c"] if not last else ["y"], WEIGHTS))


def by_hand(x):
    """All of it is exact in float32."""
    q = tq.Quantizer("nearest,4,2")
    hidden = tq.Quantizer("nearest,4,1")(np.maximum(x @ q(WEIGHTS["a.weight"]), 0))
    return hidden @ q(WEIGHTS["c.weight"])


@pytest.mark.parametrize("batch_size", [1, 7, 50, 256])
def test_logits_are_those_of_the_quantized_model(batch_size):
    found = tqo.evaluator(net(), X, batch_size=batch_size)(MAPS)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, by_hand(X))


def test_inputs_may_be_named_and_batches_fixed():
    np.testing.assert_array_equal(tqo.evaluator(net(batch=10), {"x": X})(MAPS), by_hand(X))
    with pytest.raises(tq.Error, match="batches of 20, and 50 samples"):
        tqo.evaluator(net(batch=20), X)


def test_a_model_is_left_with_its_own_quantizers():
    model = tqo.quantize_model(net(), weights={"=c": "binary"})
    tqo.set_inference_step(model, 3)
    before, rows = model.run(X)["c"], tqo.summary(model, None)
    evaluate = tqo.evaluator(model, X)
    assert not np.array_equal(evaluate(MAPS), evaluate(tq.Override()))
    with pytest.raises(tq.Error, match="fc9"):
        evaluate(tq.Override(weights={"=fc9": "binary"}, strict=True))
    assert tqo.summary(model, None) == rows
    assert model.step == 3
    np.testing.assert_array_equal(model.run(X)["c"], before)


def test_the_step_of_random_rounding_is_the_number_of_the_batch():
    maps = tq.Override(extrinsic={"=c": "stochastic,5,1"}, seed=5)
    found = tqo.evaluator(net(), X, batch_size=25)(maps)
    model = tqo.quantize_model(net(), maps=maps)
    for number, rows in enumerate((slice(0, 25), slice(25, 50))):
        tqo.set_inference_step(model, number)
        np.testing.assert_array_equal(model.run(X[rows])["c"], found[rows])


def test_probabilities_become_logits():
    softmax = helper.make_node("Softmax", ["c"], ["y"], "softmax")
    found = tqo.evaluator(net(last=[softmax]), X)(MAPS)
    logits = by_hand(X).astype(np.float64)
    expected = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    np.testing.assert_allclose(found, np.maximum(expected, np.log(2.0**-126)), rtol=1e-5, atol=1e-5)


def test_a_search_takes_its_labels_or_the_float_model_s():
    labels = np.zeros(50, np.int64)
    evaluate = tqo.evaluator(net(), X, labels)
    [metrics] = tqs.sweep(evaluate, [tq.Override()])
    assert metrics.correct == (evaluate(tq.Override()).argmax(1) == 0).sum() < 50
    [metrics] = tqs.sweep(tqo.evaluator(net(), X), [tq.Override()])
    assert metrics.correct == 50
    table = tqs.sensitivity(evaluate, {"weight:a": WEIGHTS["a.weight"]}, widths=[8, 3])
    assert table.places == ("weight:a",)


def test_what_does_not_fit_is_an_error_at_once():
    with pytest.raises(tq.Error, match="no input 'z'"):
        tqo.evaluator(net(), {"z": X})
    with pytest.raises(tq.Error, match="expected float32, found float64"):
        tqo.evaluator(net(), X.astype(np.float64))
    with pytest.raises(TypeError, match="one integer for each of 50"):
        tqo.evaluator(net(), X, [1, 2])
    flat = helper.make_node("Flatten", ["c"], ["y"], "flat", axis=0)
    with pytest.raises(tq.Error, match=r"first output is float32\[1, 200\]"):
        tqo.evaluator(net(last=[flat]), X)(MAPS)
