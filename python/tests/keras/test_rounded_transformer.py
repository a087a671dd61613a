"""A block of a transformer with everything in it rounded, on each backend, trained and saved."""

import by_hand
import cases
import keras
import numpy as np
import pytest
from keras import layers as L

import tensorquant as tq
import tensorquant.keras as tqk

VALUE = by_hand.VALUE
ROWS, SIZE, HEADS = 5, 8, 2


def block():
    """Pre-norm: attention and a small network, each around an addition."""
    x = given = keras.Input((ROWS, SIZE))
    y = L.LayerNormalization(name="norm1")(x)
    x = L.Add(name="add1")([x, L.MultiHeadAttention(HEADS, SIZE // HEADS, name="attn")(y, y)])
    y = L.LayerNormalization(name="norm2")(x)
    y = L.Dense(2 * SIZE, activation="gelu", name="up")(y)
    x = L.Add(name="add2")([x, L.Dense(SIZE, name="down")(L.Dropout(0.1, name="drop")(y))])
    x = L.GlobalAveragePooling1D(name="mean")(L.RMSNormalization(name="norm3")(x))
    return keras.Model(given, L.Softmax(name="softmax")(L.Dense(3, name="head")(x)))


def made():
    model, numbers = block(), cases.rng()
    for variable in model.trainable_variables:
        variable.assign(numbers.normal(size=variable.shape) / 2)
    return model, cases.normal(4, ROWS, SIZE)


def by_layer(model):
    return {layer.name: [np.float64(w) for w in layer.get_weights()] for layer in model.layers}


def dense(x, kernel, bias):
    return by_hand.matmul(x, kernel, bias.astype(np.float32))


def hand(weights, x):
    x = x.astype(np.float64)
    y = by_hand.layer_norm(x, *weights["norm1"], 1e-3)
    x = by_hand.accumulated(x + by_hand.multi_head(y, weights["attn"]))
    y = by_hand.layer_norm(x, *weights["norm2"], 1e-3)
    y = dense(by_hand.gelu(dense(y, *weights["up"])), *weights["down"])
    x = by_hand.rms_norm(by_hand.accumulated(x + y), *weights["norm3"], 1e-6)
    x = by_hand.mean(np.swapaxes(x, 1, 2))[..., 0]
    return by_hand.softmax(dense(x, *weights["head"]))


def test_a_block_of_a_transformer_is_rounded_in_every_layer():
    model, x = made()
    weights, wanted = by_layer(model), cases.outputs(model, x)[0]
    tqk.quantize_model(model, intrinsic={"": VALUE}, strict=True)
    found = cases.outputs(model, x)[0]
    assert cases.same_bits(found, hand(weights, x).astype(np.float32))
    assert np.allclose(found, wanted, atol=0.02)
    assert cases.same_bits(model.predict(x, verbose=0), found)
    rows = {row.layer: row.intrinsic for row in tqk.summary(model, print_fn=None)}
    assert {name for name, text in rows.items() if text == "nothing to round"} == {"drop"}


def test_it_is_trained_saved_and_loaded(tmp_path):
    model, x = made()
    random = {"product": "stochastic,20,14", "accumulator": "stochastic,24,16"}
    tqk.quantize_model(model, intrinsic={"re:attn|norm": random, "": VALUE})
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    history = model.fit(x, np.array([0, 1, 2, 0]), epochs=2, batch_size=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert not all(map(cases.same_bits, before, model.get_weights()))
    model.save(tmp_path / "block.keras")
    again = keras.models.load_model(tmp_path / "block.keras")
    assert cases.same_bits(cases.outputs(again, x)[0], cases.outputs(model, x)[0])
    assert tqk.layer_steps(again) == tqk.layer_steps(model)
    assert set(tqk.layer_steps(again).values()) == {4}


def test_its_quantizers_are_counted():
    model, x = made()
    tqk.quantize_model(model, "nearest,8,6", "nearest,10,6", {"": VALUE})
    tqk.record_ranges(model)
    model(x)
    places = {(row.layer, row.place) for row in tqk.ranges(model, print_fn=None)}
    for layer in ("norm1", "attn", "add1", "norm3", "softmax"):
        assert (layer, "output") in places
    assert ("norm2", "weight") in places and ("norm2", "bias") in places
    assert ("attn", "weight3") in places and ("attn", "bias3") in places


def test_layers_that_cannot_be_rounded_are_listed_in_one_error():
    x = given = keras.Input((ROWS, SIZE))
    x = L.LSTM(3, return_sequences=True, name="lstm")(x)
    x = L.Dense(3, activation="squareplus", name="dense")(L.LayerNormalization(name="norm")(x))
    model = keras.Model(given, L.Activation("sparsemax", name="last")(x))
    with pytest.raises(tq.Error) as error:
        tqk.quantize_model(model, intrinsic={"": VALUE})
    assert all(f"'{name}'" in str(error.value) for name in ("lstm", "dense", "last"))
    assert "'norm'" not in str(error.value)


def test_mixed_precision_computes_as_keras_does():
    policy = keras.mixed_precision.dtype_policy()
    try:
        keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
        model, x = made()
    finally:
        keras.mixed_precision.set_dtype_policy(policy)
    wanted = cases.outputs(model, x)[0]
    tqk.quantize_model(model, intrinsic={"": VALUE})
    found = cases.outputs(model, x)[0]
    assert found.dtype == wanted.dtype
    assert np.allclose(found.astype(np.float32), wanted.astype(np.float32), atol=0.05)


def test_attention_sees_elements_and_scales_of_what_it_reads():
    """Sums of int8 elements, rounded to integers, times their scales; of values none would be left."""
    inputs = [keras.Input((ROWS, SIZE)) for _ in range(2)]
    moved = [L.Identity(name=name)(x) for name, x in zip("qv", inputs)]
    model = keras.Model(inputs, L.Attention(name="attn")(moved))
    spec = "int,8,per=tensor,scale=max"
    inside = {
        "product": "none",
        "accumulator": "even,32,0",
        "accumulate": "once",
        "outer": {"accumulator": "float,8,23"},
    }
    x, v = (cases.normal(2, ROWS, SIZE) / scale for scale in (4, 8))
    tqk.quantize_model(model, extrinsic={"=q": spec, "=v": spec}, intrinsic={"attn": inside})
    x64, v64 = (np.float64(tq.Quantizer(spec)(z)) for z in (x, v))
    scores = x64 @ np.swapaxes(v64, 1, 2)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    step = np.abs(v64).max() / 127
    wanted = np.round(powers / powers.sum(-1, keepdims=True) @ v64 / step)
    found = np.float64(cases.outputs(model, [x, v])[0]) / step
    assert np.allclose(found, wanted, atol=1e-3)
