"""Whatever public functions of tensorquant.keras are given: errors are of one line."""

import cases
import keras
import numpy as np
import pytest
from hostile import HOSTILE, assert_clear

import tensorquant as tq
import tensorquant.keras as tqk
from tensorquant import ops


def _calls():
    maps = dict.fromkeys(("weights", "extrinsic", "intrinsic", "maps"))
    model, _ = cases.make("dense")
    tqk.quantize_model(model, extrinsic="stochastic,8,4")
    yield tqk.quantize_model, {"model": model, **maps, "seed": 0, "strict": False}
    yield tqk.override, {**maps, "seed": 0, "strict": False}
    rules = {"maps": tq.Override(extrinsic="int,8,scale=max"), "method": "minmax"}
    layer = keras.layers.Identity()
    yield (
        (lambda **others: tqk.calibrate(data=np.ones((2, 2)), **others)),
        {"model": layer, **rules},
    )
    yield tqk.strip, {"model": cases.make("dense")[0]}
    yield tqk.summary, {"model": model, "print_fn": None}
    yield tqk.layer_steps, {"model": model}
    yield tqk.set_layer_steps, {"model": model, "steps": {}}
    yield tqk.set_inference_step, {"model": model, "step": 0}
    yield (lambda step: tqk.set_layer_steps(model, {"it": step})), {"step": 0}
    framework = ops.backend(keras.backend.backend())
    x = keras.ops.ones((2, 2))
    for spec in ("nearest,8,4", "stochastic,8,4"):
        random = {"seed": 0, "stream": 0, "step": 0}
        axes = {"reduction_axis": 0, "channel_axis": None}
        yield framework.quantize, {"x": x, "spec": spec, **random, **axes}
    operation = ops.linear("none", "nearest,8,4")
    # Not x: numbers are tensors without dimensions, and TensorFlow has its own error for shapes.
    arguments = {"operation": operation, "float_function": None, "step": 0}
    yield (lambda operation, **options: framework.arithmetic(operation, x, x, **options)), arguments


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.filterwarnings("ignore")
def test_wrong_arguments_are_told_in_one_line(hostile):
    for function, arguments in _calls():
        for name in arguments:
            assert_clear(function, **{**arguments, name: HOSTILE[hostile]})


@pytest.mark.parametrize("wrong", [-1, 1.5, None, True, "x", np.float32(1)])
def test_ops_refuse_wrong_numbers_also_where_nothing_is_random(wrong):
    quantize = ops.backend(keras.backend.backend()).quantize
    for spec in ("nearest,8,4", "stochastic,8,4"):
        for name in ("seed", "stream", "step"):
            with pytest.raises((TypeError, ValueError), match=f"^{name}: "):
                quantize(keras.ops.ones((2,)), spec, **{name: wrong})


@pytest.mark.parametrize("wrong", [np.array(1.5, np.float32), np.array([1, 2], np.int32)])
def test_a_tensor_that_is_no_step_is_refused(wrong):
    quantize = ops.backend(keras.backend.backend()).quantize
    step = keras.ops.convert_to_tensor(wrong)
    with pytest.raises(TypeError, match="^step: expected one integer"):
        quantize(keras.ops.ones((2,)), "stochastic,8,4", step=step)
