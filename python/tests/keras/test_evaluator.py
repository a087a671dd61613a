"""tensorquant.keras.evaluator: logits of a model under maps, which is then as it was."""

import keras
import numpy as np
import pytest

import tensorquant as tq
import tensorquant.keras as tqk
import tensorquant.search as tqs

X = (np.arange(300, dtype=np.float32) % 17 - 8).reshape(50, 6) / 4
MAPS = tq.Override(weights="nearest,4,2", extrinsic={"=hidden": "nearest,4,1"})


def net():
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(12, activation="relu", name="hidden"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(4, name="fc"),
        ]
    )
    random = np.random.default_rng(3)
    model.set_weights([random.integers(-9, 10, w.shape) / 8 for w in model.get_weights()])
    return model


def by_hand(model, x):
    w = [tq.Quantizer("nearest,4,2")(one) for one in model.get_weights()]
    h = tq.Quantizer("nearest,4,1")(np.maximum(x @ w[0] + w[1], 0))
    return h @ w[2] + w[3]  # all of it is exact in float32


@pytest.mark.parametrize("batch_size", [7, 50, 256])
def test_logits_are_those_of_the_quantized_model(batch_size):
    model = net()
    found = tqk.evaluator(model, X, batch_size=batch_size)(MAPS)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, by_hand(model, X))


def test_a_model_is_left_with_its_own_quantizers():
    model = tqk.quantize_model(net(), weights={"=fc": "binary"})
    rows = tqk.summary(model, None)
    before = np.asarray(keras.ops.convert_to_numpy(model(X)))
    evaluate = tqk.evaluator(model, X)
    assert not np.array_equal(evaluate(MAPS), evaluate(tq.Override()))
    with pytest.raises(tq.Error, match="fc9"):
        evaluate(tq.Override(weights={"=fc9": "binary"}, strict=True))
    assert tqk.summary(model, None) == rows
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(X)), before)


def test_a_search_takes_its_labels():
    evaluate = tqk.evaluator(net(), X, np.zeros(50, np.int64))
    [metrics] = tqs.sweep(evaluate, [tq.Override()])
    assert metrics.correct == (evaluate(tq.Override()).argmax(1) == 0).sum() < 50


def test_what_is_wrong_is_said_at_once():
    model = net()
    for x, y, name in (
        ([1.0], None, "x"),
        (np.zeros((0, 6)), None, "x"),
        ((X, X[:3]), None, "x"),
        (X, [1, 2], "y"),
        (X, np.zeros(50), "y"),
    ):
        with pytest.raises(TypeError, match=f"^{name}"):
            tqk.evaluator(model, x, y)
    with pytest.raises(tq.Error, match="batch_size"):
        tqk.evaluator(model, X, batch_size=0)
