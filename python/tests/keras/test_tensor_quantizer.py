"""Quantizers written in the operations of the framework stand in maps and are trained through."""

import copy
import pickle

import cases
import keras
import numpy as np
import pytest
from keras import layers as L
from own_quantizers import Multiples, Quarters

import tensorquant as tq
import tensorquant.keras as tqk
from tensorquant.keras import TensorQuantizer


class PlusOne(TensorQuantizer):
    def quantize(self, tensor):
        return tensor + 1


class Returns(TensorQuantizer):
    def __init__(self, function):
        self.function = function

    def quantize(self, tensor):
        return self.function(tensor)


def _line(*layers):
    return keras.Sequential([keras.Input((4,)), *layers])


def _expected(x):
    return np.round(x * 4) / 4


def test_outputs_are_what_it_says_eager_and_compiled():
    x = cases.normal(5, 4)
    model = _line(L.Activation("linear", name="it"))
    tqk.quantize_model(model, extrinsic={"=it": Quarters()})
    assert cases.same_bits(cases.outputs(model, x)[0], _expected(x))
    assert cases.same_bits(model.predict(x, verbose=0), _expected(x))


def test_weights_and_biases_are_what_it_says():
    layer = L.Dense(3, bias_initializer="normal", name="it")
    layer.build((None, 4))
    kernel, bias = map(keras.ops.convert_to_numpy, layer.weights)
    tqk.quantize_model(layer, weights={"": {"weight": Quarters(), "bias": PlusOne()}})
    found = keras.ops.convert_to_numpy(layer(np.eye(4, dtype=np.float32)))
    assert cases.same_bits(found, _expected(kernel) + (bias + np.float32(1)))
    assert cases.same_bits(keras.ops.convert_to_numpy(layer.kernel), kernel)


def test_the_input_of_a_model_is_what_it_says():
    x = cases.normal(5, 4)
    model = tqk.quantize_model(_line(L.Activation("linear")), extrinsic={"input": Quarters()})
    assert cases.same_bits(model.predict(x, verbose=0), _expected(x))


def test_its_own_gradient_is_used():
    model, x = cases.make("dense")
    tqk.quantize_model(model, weights="nearest,32,2")  # the same numbers, straight-through
    wanted = cases.gradients(model, x)
    tqk.quantize_model(model, weights=Quarters())
    found = cases.gradients(model, x)
    assert all(cases.same_bits(a * 2, b) for a, b in zip(found, wanted))


def test_a_training_step_goes_through_weights_and_outputs():
    model = keras.Sequential([keras.Input((1,)), L.Dense(1, use_bias=False)])
    model.set_weights([np.float32([[0.3]])])
    tqk.quantize_model(model, weights=Quarters(), extrinsic=Quarters())
    model.compile(keras.optimizers.SGD(0.5), "mse")
    model.fit(np.float32([[1]]), np.float32([[0]]), verbose=0)
    # y = 0.25, the loss y^2 has the gradient 0.5 there, and two quantizers halve it.
    (kernel,) = model.get_weights()
    assert cases.same_bits(kernel, np.float32([[0.3]]) - np.float32(0.5 * 0.125))


def test_it_is_not_left_out_where_an_equal_one_came_before():
    model = _line(L.Activation("linear"), L.ReLU())
    tqk.quantize_model(model, extrinsic={"input": None, "": PlusOne()})
    x = np.ones((1, 4), np.float32)
    assert cases.same_bits(cases.outputs(model, x)[0], x + 2)


class TellsAxes(TensorQuantizer):
    """Writes down which axes it is told, and changes nothing."""

    needs_layout = True

    def __init__(self):
        self.told = []

    def quantize(self, tensor, channel_axes, reduction_axes):
        self.told.append((channel_axes, reduction_axes))
        return tensor


@pytest.mark.parametrize(
    ("layer", "shape", "weight", "output"),
    [
        (L.Dense(3), (5, 4), ((1,), (0,)), ((1,), (1,))),
        (L.Conv2D(3, 2), (1, 4, 4, 2), ((3,), (2,)), ((3,), (3,))),
        (L.DepthwiseConv2D(2), (1, 4, 4, 2), ((2, 3), ()), ((3,), (3,))),
        (L.Conv1DTranspose(3, 2), (1, 4, 2), ((1,), (2,)), ((2,), (2,))),
    ],
    ids=lambda value: value.name if isinstance(value, L.Layer) else "",
)
def test_it_is_told_the_axes_where_it_asks(layer, shape, weight, output):
    of_weight, of_output = TellsAxes(), TellsAxes()
    tqk.quantize_model(
        layer, weights={"": {"weight": of_weight, "bias": None}}, extrinsic=of_output
    )
    layer(np.ones(shape, np.float32))
    assert (of_weight.told, of_output.told) == ([weight], [output])


class HasAxes(L.Layer):
    """The same tensor, whose channels lie along an axis."""

    def __init__(self, channel_axis):
        super().__init__()
        self.quantizer_axes = {"output": {"channel_axis": channel_axis}}

    def call(self, x):
        return x


def test_a_layer_says_itself_which_axes_it_is_told():
    quantizer = TellsAxes()
    tqk.quantize_model(HasAxes(0), extrinsic=quantizer)(np.ones((2, 3), np.float32))
    assert quantizer.told == [((0,), None)]


def test_axes_that_a_tensor_has_not_are_an_error():
    layer = tqk.quantize_model(HasAxes(2), extrinsic=TellsAxes())
    with pytest.raises(tq.Error, match="a tensor of 2 axes has not the axes 2 to 2"):
        layer(np.ones((2, 3), np.float32))


def test_outside_a_model_nobody_says_axes():
    quantizer = TellsAxes()
    quantizer(keras.ops.ones((2, 3)))
    assert quantizer.told == [(None, None)]


def test_the_summary_shows_its_str():
    class Described(Quarters):
        def __str__(self):
            return "quarters of an inch"

    model = _line(L.Dense(2, name="a"), L.Dense(2, name="b"))
    tqk.quantize_model(model, weights={"a": Described(), "b": Quarters()})
    assert [row.weights for row in tqk.summary(model, None)] == ["quarters of an inch", "Quarters"]


def test_the_intrinsic_map_refuses_it():
    model = _line(L.Dense(2, name="fc"))
    for value in (Quarters(), {"accumulator": Quarters()}):
        with pytest.raises(tq.Error, match="^the intrinsic map cannot take Quarters, "):
            tqk.quantize_model(model, intrinsic={"fc": value})
    assert type(model.get_layer("fc")) is L.Dense


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (lambda x: None, "NoneType, which is no tensor"),
        (lambda x: x[:, :1], r"a tensor of float32 and shape \(2, 1\)"),
        (lambda x: keras.ops.cast(x, "int32"), r"a tensor of int32 and shape \(2, 4\)"),
    ],
)
def test_what_is_unlike_the_tensor_is_an_error(function, found):
    layer = tqk.quantize_model(L.Activation("linear", name="it"), extrinsic=Returns(function))
    with pytest.raises(
        tq.Error, match=f"layer 'it'.*Returns: quantize\\(\\) returned {found}, exp"
    ):
        layer(keras.ops.ones((2, 4)))


def test_without_quantize_it_says_so():
    with pytest.raises(NotImplementedError, match="TensorQuantizer has no method quantize"):
        TensorQuantizer()(keras.ops.ones(2))
    with pytest.raises(NotImplementedError, match="Quarters: the framework differentiates"):
        tq.Quantizer.gradient(Quarters(), *[np.ones(2, np.float32)] * 3)
    with pytest.raises(NotImplementedError, match=r"Quarters: its quantize\(\) takes tensors"):
        Quarters().report(np.ones(2, np.float32))


def test_models_are_saved_cloned_and_loaded_with_one_that_keras_can_save(tmp_path):
    x = cases.normal(5, 4)
    model = _line(L.Dense(3, name="fc"))
    tqk.quantize_model(model, weights=Multiples(0.25), extrinsic={"input": Multiples(0.5)})
    wanted = model.predict(x, verbose=0)
    model.save(tmp_path / "m.keras")
    assert cases.same_bits(
        keras.models.load_model(tmp_path / "m.keras").predict(x, verbose=0), wanted
    )
    kernel = model.get_layer("fc").get_config()["tensorquant"]["quantizers"]["weight"]
    assert kernel["config"] == {"step": 0.25}
    assert tqk.summary(keras.models.clone_model(model), None)[-1].weights == "Multiples"


def test_models_with_any_other_have_only_their_weights_saved(tmp_path):
    model = tqk.quantize_model(_line(L.Dense(3, name="fc")), weights=Quarters())
    with pytest.raises(
        tq.Error, match=r"layer 'fc' \(Dense\): the quantizer Quarters cannot be saved"
    ):
        model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    again = _line(L.Dense(3, name="fc"))
    again.load_weights(tmp_path / "m.weights.h5")
    assert all(map(cases.same_bits, again.get_weights(), model.get_weights()))


def test_it_is_a_value_by_identity():
    a, b = Multiples(0.25), Multiples(0.25)
    assert a != b and len({a, b, a}) == 2
    assert tq.quantizer_map({"": a}).find("x") is a
    for again in (copy.deepcopy(a), pickle.loads(pickle.dumps(a))):
        assert type(again) is Multiples and again.step == 0.25
    assert not a.is_random and not a.is_straight_through and a.facts is None
