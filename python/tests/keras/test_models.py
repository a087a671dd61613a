"""Maps on whole models: names, reports, errors, what stays as it was."""

from pathlib import Path

import cases
import keras
import numpy as np
import pytest
from keras import layers as L

import tensorquant as tq
import tensorquant.keras as tqk


def _names(model):
    return [row.layer for row in tqk.summary(model, print_fn=None)]


def test_layers_go_by_their_paths():
    model, _ = cases.make("subclassed")
    assert _names(model) == ["block/first", "block/second", "scale", "batch_normalization", "dense"]
    model, _ = cases.make("nested")
    assert _names(model) == ["block/conv", "flatten", "it"]
    model, _ = cases.make("bidirectional")
    assert _names(model) == ["it"]


def test_a_block_is_hit_as_a_whole():
    model, _ = cases.make("subclassed")
    tqk.quantize_model(model, weights={"block/": "nearest,8,4"})
    assert [row.weights for row in tqk.summary(model, print_fn=None)] == ["nearest,8,4"] * 2 + [
        ""
    ] * 3


def test_the_summary_shows_places_and_rules(capsys):
    model, _ = cases.make("dense")
    maps = {"weights": {"it": {"weight": "nearest,8,6"}}, "intrinsic": {"it": "nearest,16,8"}}
    tqk.quantize_model(model, maps=tq.Override(**maps))
    assert tqk.summary(model) == [
        tqk.LayerSummary(
            "it",
            "Dense",
            "nearest,8,6",
            "",
            "",
            "nearest,16,8",
            'weights "it" (rule 1), intrinsic "it" (rule 1)',
        )
    ]
    assert capsys.readouterr().out == (
        "layer  type   weights      bias  output  intrinsic     rule\n"
        'it     Dense  nearest,8,6  -     -       nearest,16,8  weights "it" (rule 1), '
        'intrinsic "it" (rule 1)\n'
    )


def test_input_is_the_model_s_input():
    model, x = cases.make("nested")
    wanted = cases.outputs(model, tq.Quantizer("nearest,6,2")(x))
    tqk.quantize_model(model, extrinsic={"=input": "nearest,6,2"})
    assert _names(model)[0] == "input"
    assert all(map(cases.same_bits, cases.outputs(model, x), wanted))


def test_a_three_in_one_file_sets_all_its_maps(tmp_path):
    path = tmp_path / "maps.json"
    path.write_text('{"weights": {"it": "nearest,8,6"}, "extrinsic": "nearest,8,4"}')
    model, _ = cases.make("dense")
    tqk.quantize_model(model, maps=path)
    row = tqk.summary(model, print_fn=None)[1]
    assert (row.weights, row.output) == ("nearest,8,6", "nearest,8,4")
    with pytest.raises(TypeError, match="not both"):
        tqk.quantize_model(model, "fp16", maps=path)


def test_idle_rules_are_warnings_or_errors():
    model, x = cases.make("dense")
    wanted = cases.outputs(model, x)
    with pytest.warns(tqk.IdleRuleWarning, match="weights key 'ti' hits no layer; the nearest is"):
        tqk.quantize_model(model, weights={"ti": "fp16"})
    with pytest.warns(tqk.IdleRuleWarning, match="weights key 'input' hits no layer"):
        tqk.quantize_model(model, weights={"input": "fp16"})
    tqk.strip(model)
    with pytest.raises(tq.Error, match="hits no layer"):
        tqk.quantize_model(model, weights={"it": "nearest,4,2", "ti": "fp16"}, strict=True)
    assert all(map(cases.same_bits, cases.outputs(model, x), wanted))


def test_a_second_call_replaces_the_first():
    model, _ = cases.make("subclassed")
    tqk.quantize_model(model, weights="nearest,8,4", extrinsic="stochastic,8,4")
    variables = len(model.variables)
    tqk.quantize_model(model, weights={"dense": "fp16"})
    assert [row.weights for row in tqk.summary(model, print_fn=None)] == [""] * 4 + ["fp16"]
    assert len(model.variables) < variables


def test_an_error_names_all_layers_and_changes_nothing():
    x = keras.Input((4, 3))
    y = L.GRU(2, name="gru")(L.LSTM(3, name="lstm", return_sequences=True)(x))
    model = keras.Model(x, L.Dense(2, name="fc")(y))
    data = cases.normal(2, 4, 3)
    wanted = cases.outputs(model, data)
    message = r"cannot be rounded: 'lstm' \(LSTM\), 'gru' \(GRU\)"
    with pytest.raises(tq.Error, match=message):
        tqk.quantize_model(model, weights="nearest,2,0", intrinsic="nearest,8,4")
    assert all(map(cases.same_bits, cases.outputs(model, data), wanted))
    tqk.quantize_model(model, intrinsic={"lstm": None, "gru": None, "": "nearest,8,4"})


def test_maps_of_training_are_refused_and_change_nothing():
    layer = tqk.quantize_model(keras.layers.Dense(2, name="x"), weights="fp16")
    maps = tq.Override("bf16", gradients={"x": "bf16"})
    with pytest.raises(tq.Error, match="rule 1: the gradients map is for tensorquant.torch"):
        tqk.quantize_model(layer, maps=maps)
    assert tqk.summary(layer, print_fn=None)[0].weights == "fp16"


def test_layers_that_keras_has_quantized_are_refused():
    model, _ = cases.make("dense")
    model.get_layer("it").quantize("int8")
    with pytest.raises(tq.Error, match=r"layer 'it' \(Dense\): Keras has quantized it itself"):
        tqk.quantize_model(model, extrinsic="fp16")


def test_layers_with_lora_are_refused():
    model, _ = cases.make("dense")
    model.get_layer("it").enable_lora(1)
    with pytest.raises(tq.Error, match=r"layer 'it' \(Dense\): its weights are a sum with LoRA's"):
        tqk.quantize_model(model, weights="fp16")


def test_one_layer_under_two_names_needs_one_rule():
    inner = keras.Sequential([keras.Input((3,)), L.Dense(3, name="fc")], name="inner")
    x = keras.Input((3,))
    wrapper = keras.Sequential([keras.Input((3,)), inner], name="wrapper")
    model = keras.Model(x, wrapper(inner(x)))
    with pytest.raises(tq.Error, match="'inner/fc' and 'wrapper/inner/fc'"):
        tqk.quantize_model(model, weights={"wrapper": "fp16"})
    tqk.quantize_model(model, weights={"fc": "fp16"})
    assert _names(model) == ["inner/fc"]


def test_layers_of_one_name_are_refused():
    class Twice(L.Layer):
        def __init__(self):
            super().__init__(name="twice")
            self.a, self.b = L.Dense(2, name="fc"), L.Dense(2, name="fc")

        def call(self, x):
            return self.b(self.a(x))

    with pytest.raises(tq.Error, match="several layers have one name.*'twice/fc'"):
        tqk.quantize_model(Twice(), weights="fp16")


def test_errors_in_a_call_name_the_layer():
    @tq.register_quantizer("broken_in_keras_test")
    class Broken(tq.UserQuantizer):
        def quantize(self, x):
            return x[1:]

    model, x = cases.make("dense")
    tqk.quantize_model(model, extrinsic={"=it": "broken_in_keras_test"})
    with pytest.raises(Exception, match="broken_in_keras_test"):
        model(x)
    assert isinstance(model.get_layer("it").kernel, keras.Variable)


def test_a_quantizer_without_a_string_cannot_be_saved():
    class Nameless(tq.UserQuantizer):
        def quantize(self, x):
            return np.sign(x)

    model, _ = cases.make("dense")
    with pytest.raises(tq.Error, match="register_quantizer"):
        tqk.quantize_model(model, extrinsic={"=it": Nameless()})


def test_a_file_of_an_earlier_version_is_loaded():
    """Written before the package had folders: the names in a file stay while modules move."""
    model = keras.models.load_model(Path(__file__).parent / "data" / "functional.keras")
    stochastic, arithmetic = "stochastic,8,6", "{product:nearest,12,8,accumulator:nearest,16,8}"
    assert [row[:-1] for row in tqk.summary(model, print_fn=None)] == [
        ("input", "", "", "", "stochastic,8,4", ""),
        ("fc", "Dense", stochastic, stochastic, "nearest,8,5", arithmetic),
        ("r", "ReLU", "", "", "nearest,8,5", ""),
        ("out", "Dense", stochastic, stochastic, "nearest,8,5", ""),
    ]
    assert tqk.layer_steps(model) == {"input": 1, "fc": 1, "r": 1, "out": 1}
    y = cases.outputs(model, cases.normal(5, 4))[0]
    assert np.array_equal(y, tq.Quantizer("nearest,8,5")(y))


def test_unbuilt_models_are_quantized_when_they_are_built():
    model = keras.Sequential([L.Dense(3, name="a"), L.Dense(2, name="b")])
    tqk.quantize_model(model, weights="nearest,8,5", extrinsic={"=b": "nearest,8,4"})
    x = cases.normal(2, 4)
    (found,) = cases.outputs(model, x)
    tqk.strip(model)
    for variable in model.trainable_variables:
        variable.assign(tq.Quantizer("nearest,8,5")(keras.ops.convert_to_numpy(variable)))
    assert cases.same_bits(found, tq.Quantizer("nearest,8,4")(cases.outputs(model, x)[0]))


def test_a_layer_that_makes_layers_when_built_must_be_built_first():
    class Late(L.Layer):
        def build(self, shape):
            self.inner = L.Dense(2)
            self.inner.build(shape)

        def call(self, x):
            return self.inner(x)

    layer = Late(name="late")
    tqk.quantize_model(layer, weights="fp16")
    with pytest.raises(tq.Error, match=r"layer 'late' \(Late\): it made layers after"):
        layer(cases.normal(2, 3))


def test_clones_and_applications_are_quantized():
    model = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=3)
    x = cases.normal(1, 32, 32, 3)
    tqk.quantize_model(model, weights="nearest,8,6", extrinsic="nearest,10,6")
    (found,) = cases.outputs(model, x)
    assert np.array_equal(found, tq.Quantizer("nearest,10,6")(found))
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    assert cases.same_bits(cases.outputs(clone, x)[0], found)


def test_masks_reach_the_next_layer():
    x = keras.Input((4,), dtype="int32")
    y = L.Embedding(5, 3, mask_zero=True, name="words")(x)
    model = keras.Model(x, L.LSTM(2, name="lstm")(y))
    tokens = np.array([[1, 2, 0, 0]], np.int32)
    wanted = cases.outputs(model, tokens)
    tqk.quantize_model(model, extrinsic={"words": "float,8,23"})
    assert all(map(cases.same_bits, cases.outputs(model, tokens), wanted))
    assert not np.array_equal(
        wanted[0], cases.outputs(model, np.array([[1, 2, 1, 1]], np.int32))[0]
    )
