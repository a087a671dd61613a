"""Quantizers for layers that are yet to be made."""

import gc
import json
import weakref

import cases
import keras
import numpy as np
import pytest
from keras import layers as L

import tensorquant as tq
import tensorquant.keras as tqk
from tensorquant.keras import generic_keras_override, override

pytestmark = pytest.mark.usefixtures("no_maps_left")


def _weights(model):
    return {row.layer: row.weights for row in tqk.summary(model, print_fn=None)}


def test_layers_made_inside_are_quantized():
    with override(weights={"fc": "nearest,8,4"}):
        model = keras.Sequential(
            [keras.Input((3,)), L.Dense(3, name="fc1"), L.Dense(2, name="out")]
        )
    outside = L.Dense(2, name="fc")
    assert _weights(model) == {"fc1": "nearest,8,4", "out": ""}
    assert type(model.get_layer("out")) is type(outside) is L.Dense


def test_keys_of_a_type_hit_layers_by_their_class():
    def build():
        return keras.Sequential(
            [keras.Input((4, 4, 1)), L.Conv2D(2, 3, name="a"), L.Flatten(), L.Dense(2, name="b")]
        )

    rules = {"op:Conv2D": "nearest,8,4", "op:Dense": "nearest,8,6"}
    with override(weights=rules):
        made_inside = build()
    made_before = tqk.quantize_model(build(), rules)
    for model in (made_inside, made_before):
        found = _weights(model)
        assert (found["a"], found["b"]) == ("nearest,8,4", "nearest,8,6")
    with pytest.warns(UserWarning, match="the types are 'Conv2D', 'Dense', 'Flatten'"):
        tqk.quantize_model(build(), {"op:dense": "fp16"})


def test_they_are_quantized_at_their_first_call_inside_the_scope():
    with override(extrinsic="nearest,4,2"):
        y = keras.ops.convert_to_numpy(L.Dense(3, name="fc")(cases.normal(2, 4)))
    assert np.array_equal(y, tq.Quantizer("nearest,4,2")(y))


def test_the_scope_gives_what_quantize_model_gives():
    maps = {"weights": {"block/": "nearest,8,4"}, "extrinsic": {"scale": "fp16"}}
    with override(**maps):
        model = cases.Subclassed()
        model(cases.normal(2, 4))
    keras.utils.clear_session(free_memory=False)  # the same names again
    other, x = cases.make("subclassed")
    other.set_weights(model.get_weights())
    rows = tqk.summary(model, print_fn=None)
    assert rows == tqk.summary(tqk.quantize_model(other, **maps), print_fn=None)
    assert cases.same_bits(cases.outputs(model, x)[0], cases.outputs(other, x)[0])


@pytest.mark.parametrize("case", ["bidirectional", "time_distributed", "lstm", "attention"])
def test_what_is_inside_a_layer_belongs_to_it(case):
    with override(weights="nearest,8,5"):
        model, x = cases.make(case)
    found = cases.outputs(model, x)
    assert list(_weights(model).values()) == ["nearest,8,5"]
    tqk.quantize_model(model, weights="nearest,8,5")
    assert all(map(cases.same_bits, found, cases.outputs(model, x)))


def test_the_innermost_scope_counts():
    with override(weights="nearest,8,4"):
        with override(weights="fp16"):
            inner = L.Dense(2, name="a")
        outer = L.Dense(2, name="b")
    assert _weights(inner) == {"a": "fp16"}
    assert _weights(outer) == {"b": "nearest,8,4"}


def test_idle_rules_are_warnings_or_errors():
    message = "'fd' hits no layer; the nearest is 'fc'"
    with pytest.warns(tqk.IdleRuleWarning, match=message), override(weights={"fd": "fp16"}):
        L.Dense(2, name="fc")
    scope = override(weights={"fc": "fp16", "fd": "fp16"}, strict=True)
    with pytest.raises(tq.Error, match=message), scope:
        layer = L.Dense(2, name="fc")
    assert type(layer) is L.Dense


def test_errors_leave_layers_float():
    message = r"cannot be rounded: 'lstm' \(LSTM\)"
    with pytest.raises(tq.Error, match=message), override(intrinsic="nearest,8,4"):
        layer = L.LSTM(2, name="lstm")
    assert type(layer) is L.LSTM


def test_models_made_inside_are_saved_and_loaded(tmp_path):
    with override(weights="nearest,8,4"):
        model = cases.Subclassed()
        model(cases.normal(2, 4))
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    x = cases.normal(3, 4)
    assert set(_weights(loaded).values()) == {"nearest,8,4"}
    assert cases.same_bits(cases.outputs(loaded, x)[0], cases.outputs(model, x)[0])


def test_blocks_made_inside_are_saved_and_loaded(tmp_path):
    with override(weights={"block/first": "nearest,8,4"}):
        x = keras.Input((4,))
        model = keras.Model(x, cases.Block(name="block")(x))
    wanted = {"block/first": "nearest,8,4", "block/second": ""}
    assert _weights(model) == wanted
    model.save(tmp_path / "m.keras")
    assert _weights(keras.models.load_model(tmp_path / "m.keras")) == wanted


def test_a_scope_keeps_no_layer_alive():
    with override(weights="nearest,8,4"):
        layer = L.Dense(2, name="fc")
    layer.build((None, 3))
    reference = weakref.ref(layer)
    del layer
    gc.collect()
    assert reference() is None


def test_the_original_s_maps_quantize_layers_by_any_alias(tmp_path):
    path = tmp_path / "map.json"
    path.write_text(json.dumps({"Conv1": "nearest,12,11"}))
    override.extr_q_map = tq.quantizer_map(str(path))
    override.weight_q_map = {"Conv1": "nearest,32,16", "Dense3": tq.Quantizer("nearest,32,16")}
    Convolution2D = L.Convolution2D  # an alias
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            Convolution2D(2, 3, name="Conv1"),
            L.Flatten(name="flat"),
            L.Dense(3, name="Dense3"),
        ]
    )
    rows = {row.layer: row[2:5] for row in tqk.summary(model, print_fn=None)}
    assert rows == {
        "Conv1": ("nearest,32,16", "nearest,32,16", "nearest,12,11"),
        "flat": ("", "", ""),
        "Dense3": ("nearest,32,16", "nearest,32,16", ""),
    }
    override.extr_q_map = override.weight_q_map = None
    assert _weights(L.Dense(1, name="Dense3")) == {"Dense3": ""}


def test_layers_keep_the_maps_that_they_were_made_under():
    override.weight_q_map = "nearest,8,4"
    a = L.Dense(2, name="a")
    override.weight_q_map = "fp16"
    b = L.Dense(2, name="b")
    assert _weights(a) == {"a": "nearest,8,4"} and _weights(b) == {"b": "fp16"}


def test_a_class_overridden_the_original_s_way_is_quantized(monkeypatch):
    monkeypatch.setattr(keras.layers, "Conv1D", generic_keras_override(keras.layers.Conv1D))
    monkeypatch.setattr(keras.layers, "Convolution1D", override.generic_keras_override(L.Conv1D))
    override.weight_q_map = {"conv": "nearest,8,4"}
    assert _weights(keras.layers.Conv1D(2, 3, name="conv")) == {"conv": "nearest,8,4"}
