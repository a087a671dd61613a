"""Each kind of layer: float without maps, exact with them, trainable, saved, and float again."""

import subprocess
import sys
from pathlib import Path

import cases
import keras
import numpy as np
import pytest

import tensorquant as tq
import tensorquant.keras as tqk

WEIGHTS = {"": {"weight": "nearest,8,5", "bias": "even,7,4"}}
OUTPUTS = {"": "float,4,3"}


def _last(case):
    """The key of the layer that gives the model's output."""
    return "=dense" if case == "subclassed" else "=it"


def quantized_by_hand(model):
    """The float model with parameters quantized by NumPy's front-end."""
    for variable in model.trainable_variables:
        spec = WEIGHTS[""]["bias" if variable.name in ("bias", "beta") else "weight"]
        variable.assign(tq.Quantizer(spec)(keras.ops.convert_to_numpy(variable)))
    return model


@pytest.fixture(params=cases.CASES)
def case(request):
    return request.param


def test_without_maps_it_is_the_float_model(case):
    model, x = cases.make(case)
    wanted = cases.outputs(model, x)
    tqk.quantize_model(model, weights={"": None}, extrinsic={"": "none"})
    assert all(map(cases.same_bits, cases.outputs(model, x), wanted))
    tqk.quantize_model(model, weights="float,8,23", extrinsic="float,8,23")  # has all of float32
    assert all(map(cases.same_bits, cases.outputs(model, x), wanted))


def test_weights_are_what_the_quantizer_says_bit_for_bit(case):
    model, x = cases.make(case)
    tqk.quantize_model(model, weights=WEIGHTS)
    found = cases.outputs(model, x)
    tqk.strip(model)
    wanted = cases.outputs(quantized_by_hand(model), x)
    assert all(map(cases.same_bits, found, wanted))


def test_outputs_are_what_the_quantizer_says_bit_for_bit(case):
    model, x = cases.make(case)
    wanted = [tq.Quantizer(OUTPUTS[""])(y) for y in cases.outputs(model, x)]
    if case == "shared":
        pytest.skip("its first output is the input of its second")
    tqk.quantize_model(model, extrinsic={_last(case): OUTPUTS[""]})
    assert all(map(cases.same_bits, cases.outputs(model, x), wanted))


def test_the_shared_layer_is_quantized_at_each_call():
    model, x = cases.make("shared")
    layer = model.get_layer("it")
    q = tq.Quantizer(OUTPUTS[""])
    once = q(keras.ops.convert_to_numpy(layer(x)))
    wanted = q(keras.ops.convert_to_numpy(layer(once)))
    tqk.quantize_model(model, extrinsic={"it": OUTPUTS[""]})
    assert cases.same_bits(cases.outputs(model, x)[0], wanted)


def test_gradients_go_straight_through(case):
    model, x = cases.make(case)
    if not model.trainable_variables:
        pytest.skip("no parameters")
    # The last layer's alone, whose output no gradient depends on.
    outputs = None if case == "shared" else {_last(case): OUTPUTS[""]}
    tqk.quantize_model(model, weights=WEIGHTS, extrinsic=outputs)
    found = cases.gradients(model, x)
    tqk.strip(model)
    wanted = cases.gradients(quantized_by_hand(model), x)
    assert all(map(cases.same_bits, found, wanted))
    assert any(np.any(g) for g in found)


def test_predict_leaves_the_variables_and_strip_the_model_as_it_was(case):
    model, x = cases.make(case)
    wanted, before = cases.outputs(model, x), cases.state(model)
    model.predict(x, verbose=0)
    classes = [type(layer) for layer in model._flatten_layers()]
    attributes = [set(vars(layer)) for layer in model._flatten_layers()]
    tqk.quantize_model(model, weights=WEIGHTS, extrinsic="stochastic,8,4")
    assert [type(layer).__name__ for layer in model._flatten_layers()] == [
        cls.__name__ for cls in classes
    ]
    model.predict(x, verbose=0)
    assert cases.state(model) == before
    tqk.strip(model)
    assert [type(layer) for layer in model._flatten_layers()] == classes
    assert [set(vars(layer)) for layer in model._flatten_layers()] == attributes
    assert all(map(cases.same_bits, cases.outputs(model, x), wanted))


def test_weight_files_are_those_of_the_float_model(case, tmp_path):
    model, _ = cases.make(case)
    wanted = cases.state(model)
    for name in ("float.weights.h5", "quantized.weights.h5", "float.keras", "quantized.keras"):
        save = model.save_weights if name.endswith("h5") else model.save
        if name.startswith("float"):
            tqk.strip(model)
        else:
            tqk.quantize_model(model, weights=WEIGHTS, extrinsic="stochastic,8,4")
        save(tmp_path / name)
        other, _ = cases.make(case)
        for variable in other.weights:
            variable.assign(np.zeros(variable.shape))
        if name.startswith("float"):
            tqk.quantize_model(other, weights=WEIGHTS, extrinsic="stochastic,8,4")
        other.load_weights(tmp_path / name)
        assert cases.state(other) == wanted
        other.set_weights(model.get_weights())
        assert cases.state(other) == wanted


def test_models_are_loaded_with_their_quantizers_in_a_fresh_process(tmp_path):
    for name in cases.CASES:
        keras.utils.clear_session(free_memory=False)
        model, x = cases.make(name)
        tqk.quantize_model(model, weights=WEIGHTS, extrinsic="stochastic,8,4", seed=5)
        model.save(tmp_path / f"{name}.keras")
        np.savez(tmp_path / f"{name}.npz", *cases.outputs(model, x))
    run = subprocess.run(
        [sys.executable, Path(__file__).with_name("load_models.py"), tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == list(cases.CASES)
