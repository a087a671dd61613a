"""Random rounding: a step that only training changes, and that files may lack."""

import cases
import keras
import numpy as np
import pytest

import tensorquant as tq
import tensorquant.keras as tqk

SPEC = "stochastic,8,4"


def _model():
    model, x = cases.make("dense")
    return tqk.quantize_model(model, extrinsic={"=it": SPEC}, seed=9), x


def _wanted(x, step):
    model, _ = cases.make("dense")
    stream = tq.stream_of("it", "output")
    return tq.Quantizer(SPEC)(cases.outputs(model, x)[0], seed=9, stream=stream, step=step)


def test_numbers_depend_on_seed_name_and_step_alone():
    model, x = _model()
    for training, step in ((False, 0), (True, 0), (True, 1), (False, 0), (True, 2)):
        (found,) = cases.outputs(model, x, training)
        assert cases.same_bits(found, _wanted(x, step))
    tqk.set_inference_step(model, 1)
    assert cases.same_bits(cases.outputs(model, x)[0], _wanted(x, 1))
    assert tqk.layer_steps(model) == {"it": 3}


def test_compiled_functions_see_the_step():
    model, x = _model()
    for step in (0, 5, 2**31 - 1):
        tqk.set_inference_step(model, step)
        assert cases.same_bits(model.predict(x, verbose=0), _wanted(x, step))


def test_parameters_and_inputs_have_streams_of_their_own():
    model, x = cases.make("dense")
    kernel, bias = (keras.ops.convert_to_numpy(v) for v in model.weights)
    tqk.quantize_model(model, weights=SPEC, extrinsic={"=input": SPEC}, seed=3)
    (found,) = cases.outputs(model, x)
    tqk.strip(model)
    q = tq.Quantizer(SPEC)

    def quantized(x, layer, role):
        return q(x, seed=3, stream=tq.stream_of(layer, role))

    model.set_weights([quantized(kernel, "it", "weight"), quantized(bias, "it", "bias")])
    assert cases.same_bits(found, cases.outputs(model, quantized(x, "input", "output"))[0])


def test_only_calls_in_training_count():
    model, x = _model()
    model.compile("sgd", "mse")
    y = np.zeros((2, 4), np.float32)
    model.fit(x, y, epochs=3, batch_size=1, verbose=0)
    model.predict(x, verbose=0)
    model.evaluate(x, y, verbose=0)
    assert tqk.layer_steps(model) == {"it": 6}


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_files_keep_the_step(tmp_path, name):
    model, _ = _model()
    tqk.set_layer_steps(model, {"it": 41})
    (model.save if name.endswith("keras") else model.save_weights)(tmp_path / name)
    other, _ = _model()
    other.load_weights(tmp_path / name)
    assert tqk.layer_steps(other) == {"it": 41}


def test_a_file_without_a_step_leaves_it(tmp_path):
    model, _ = cases.make("dense")
    model.save_weights(tmp_path / "float.weights.h5")
    other, _ = _model()
    tqk.set_layer_steps(other, {"it": 7})
    other.load_weights(tmp_path / "float.weights.h5")
    assert tqk.layer_steps(other) == {"it": 7}


def test_the_step_is_no_weight():
    model, _ = _model()
    assert [v.name for v in model.weights] == ["kernel", "bias"]
    assert len(model.variables) == 3
    assert model.count_params() == 16


def test_layers_that_do_not_round_at_random_have_no_step():
    model, _ = cases.make("dense")
    tqk.quantize_model(model, extrinsic="nearest,8,4")
    assert tqk.layer_steps(model) == {}
    with pytest.raises(tq.Error, match="no layer 'it' that rounds at random"):
        tqk.set_layer_steps(model, {"it": 1})


ENDS = (0, 1, 2**31 - 1, 2**31, 2**32 - 1)


@pytest.mark.parametrize("step", ENDS)
def test_steps_have_32_bits(step, tmp_path):
    model, x = _model()
    for kind in (int, np.int64, np.uint32):
        tqk.set_inference_step(model, kind(step))
        tqk.set_layer_steps(model, {"it": kind(step)})
    assert cases.same_bits(model.predict(x, verbose=0), _wanted(x, step))
    assert tqk.layer_steps(model) == {"it": step}
    model.save_weights(tmp_path / "m.weights.h5")
    other, _ = _model()
    other.load_weights(tmp_path / "m.weights.h5")
    assert tqk.layer_steps(other) == {"it": step}
    assert cases.same_bits(cases.outputs(model, x, training=True)[0], _wanted(x, step))
    assert tqk.layer_steps(model) == {"it": (step + 1) % 2**32}


@pytest.mark.parametrize("seed", [0, 2**31, 2**32, 2**63, 2**64 - 1])
def test_seeds_have_64_bits(seed):
    model, x = cases.make("dense")
    (y,) = cases.outputs(model, x)
    wanted = tq.Quantizer(SPEC)(y, seed=seed, stream=tq.stream_of("it", "output"))
    for kind in (int, np.uint64):
        tqk.quantize_model(model, extrinsic={"=it": SPEC}, seed=kind(seed))
        assert cases.same_bits(cases.outputs(model, x)[0], wanted)
        assert cases.same_bits(model.predict(x, verbose=0), wanted)


WRONG = [
    (-1, tq.Error, "-1 is not between 0 and"),
    (2**64, tq.Error, "18446744073709551616 is not between 0 and"),
    (1.5, TypeError, "expected an integer, got 1.5"),
    (None, TypeError, "expected an integer, got None"),
    (True, TypeError, "expected an integer, got True"),
    (float("nan"), TypeError, "expected an integer, got nan"),
    ("1", TypeError, "expected an integer, got str"),
]


@pytest.mark.parametrize("wrong, error, message", WRONG, ids=[str(row[0]) for row in WRONG])
def test_a_wrong_seed_is_refused_at_once(wrong, error, message):
    model, x = _model()
    (before,) = cases.outputs(model, x)
    for spec in (SPEC, "nearest,8,1"):
        with pytest.raises(error, match=f"^seed: {message}"):
            tqk.quantize_model(model, extrinsic={"=it": spec}, seed=wrong)
        with pytest.raises(error, match=f"^seed: {message}"):
            tqk.override(extrinsic=spec, seed=wrong)
    override = tq.Override(extrinsic={"=it": SPEC})
    override.seed = wrong
    with pytest.raises(error, match=f"seed: {message}"):
        tqk.quantize_model(model, maps=override)
    assert cases.same_bits(cases.outputs(model, x)[0], before)


@pytest.mark.parametrize("wrong, error, message", WRONG, ids=[str(row[0]) for row in WRONG])
def test_a_wrong_step_is_refused_at_once(wrong, error, message):
    x = keras.Input((3,))
    model = keras.Model(x, keras.layers.Dense(2, name="b")(keras.layers.Dense(2, name="a")(x)))
    tqk.quantize_model(model, extrinsic={"=a": SPEC, "=b": SPEC}, seed=9)
    tqk.set_layer_steps(model, {"a": 3, "b": 4})
    tqk.set_inference_step(model, 5)
    before = [keras.ops.convert_to_numpy(v).tobytes() for v in model.variables]
    with pytest.raises(error, match=f"^step: {message}"):
        tqk.set_inference_step(model, wrong)
    with pytest.raises(error, match=f"^step of 'b': {message}"):
        tqk.set_layer_steps(model, {"a": 7, "b": wrong})
    assert [keras.ops.convert_to_numpy(v).tobytes() for v in model.variables] == before


def test_a_saved_config_with_a_wrong_seed_is_refused():
    model, _ = _model()
    config = model.get_config()
    text = repr(config).replace("'seed': 9", "'seed': -9")
    assert text != repr(config)
    with pytest.raises(tq.Error, match="seed: -9 is not between"):
        keras.Model.from_config(eval(text))
