"""tensorquant.keras.layer_facts against numbers by hand."""

import keras
import pytest
from keras import layers

import tensorquant as tq
import tensorquant.keras as tqk
import tensorquant.search as tqs


def rows_of(model):
    return [(one.layer, one.macs, one.terms, one.sources) for one in tqk.layer_facts(model)]


def test_lenet_has_the_products_of_the_command_line():
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(20, 5, padding="same", activation="relu", name="Conv1"),
            layers.MaxPooling2D(name="pool1"),
            layers.Conv2D(50, 5, padding="same", activation="relu", name="Conv2"),
            layers.MaxPooling2D(name="pool2"),
            layers.Flatten(name="flatten"),
            layers.Dense(500, activation="relu", name="Dense3"),
            layers.Dense(10, name="Dense4"),
        ]
    )
    facts = tqk.layer_facts(model)
    macs = 784 * 20 * 25 + 196 * 50 * 20 * 25 + 2450 * 500 + 500 * 10
    assert sum(one.macs for one in facts) == macs
    assert rows_of(model)[3] == ("Conv2", 196 * 50 * 500, 500, ["pool1"])
    # Pools move values, so Conv2 and Dense3 read what the convolutions before them leave.
    specs = {
        "output:input": "nearest,8,7",
        "output:Conv1": "nearest,4,2",
        "output:Conv2": "nearest,5,2",
    }
    assert tqs.cost_of(facts)(specs) == 32 * (
        784 * 20 * 25 * 8 + 196 * 50 * 500 * 4 + 2450 * 500 * 5 + 500 * 10 * 32
    )


def test_a_graph_is_followed_through_operations_models_and_layers_that_are_called_twice():
    inner_input = keras.Input((6, 6, 4))
    inner = keras.Model(
        inner_input, layers.Conv2D(4, 3, padding="same", name="conv")(inner_input), name="block"
    )
    x = keras.Input((6, 6, 4))
    relu = layers.ReLU(name="relu")
    y = relu(inner(x))
    y = relu(inner(y) + x)
    y = layers.Dense(3, use_bias=False, name="fc")(layers.GlobalAveragePooling2D(name="pool")(y))
    conv = 36 * 4 * 36
    assert rows_of(keras.Model(x, y)) == [
        ("input", 0, 0, []),
        ("block/conv", conv, 36, ["input"]),
        ("relu", 0, 0, ["block/conv"]),
        ("block/conv", conv, 36, ["relu"]),
        ("relu", 0, 0, ["block/conv", "input"]),
        ("pool", 0, 0, ["relu"]),
        ("fc", 12, 4, ["pool"]),
    ]
    facts = tqk.layer_facts(keras.Model(x, y))
    assert tqs.cost_of(facts, "bits")({}) == 32 * (4 * 36 + 4 + 12)


def test_layers_have_the_products_of_their_definitions():
    cases = [
        (layers.Conv2D(6, 3, strides=2, groups=2), (9, 9, 4), 16 * 6 * 18, 18),
        (layers.Conv2DTranspose(5, 3, strides=2), (4, 4, 2), 16 * 2 * 5 * 9, 8),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), (5, 5, 3), 9 * 6 * 9, 9),
        (layers.SeparableConv1D(7, 4), (9, 3), 6 * 3 * 4 + 6 * 7 * 3, 4),
        (layers.EinsumDense("abc,cde->abde", output_shape=(4, 2, 5)), (4, 3), 4 * 10 * 3, 3),
        (layers.Conv1D(4, 3, dilation_rate=2), (11, 2), 7 * 4 * 6, 6),
    ]
    for layer, shape, macs, terms in cases:
        x = keras.Input(shape)
        [fact] = [
            one for one in tqk.layer_facts(keras.Model(x, layer(x))) if one.layer == layer.name
        ]
        assert fact.macs == macs, layer
        assert fact.terms == terms, layer


def test_quantized_models_have_the_same_facts():
    x = keras.Input((4,))
    model = keras.Model(x, layers.Dense(2, name="fc")(x))
    before = rows_of(model)
    assert (
        rows_of(tqk.quantize_model(model, weights="nearest,4,3", extrinsic="nearest,4,2")) == before
    )


def test_what_cannot_be_counted_is_an_error_that_names_it():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(tq.Error, match="'own' \\(Own\\) has no graph"):
        tqk.layer_facts(Own(name="own"))
    x = keras.Input((5, 3))
    with pytest.raises(tq.Error, match="'lstm' \\(LSTM\\)"):
        tqk.layer_facts(keras.Model(x, layers.LSTM(4, name="lstm")(x)))
    x = keras.Input((None, 3))
    with pytest.raises(tq.Error, match="size of"):
        tqk.layer_facts(keras.Model(x, layers.Dense(4)(x)))
