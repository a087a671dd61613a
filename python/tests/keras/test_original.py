"""The original's READMEs with `TensorQuant.Quantize` replaced by `tensorquant.original`."""

import copy
import functools
import json
import pickle
from fractions import Fraction

import cases
import keras
import numpy as np
import pytest
from own_quantizers import quarters

import tensorquant as tq
import tensorquant.keras as tqk
from tensorquant.original import (
    FixedPoint,
    QLayer,
    Quantizers,
    QuantKernelWrapper,
    override,
    utils,
)
from tensorquant.original.override_functions import generic_keras_override

pytestmark = pytest.mark.usefixtures("no_maps_left")


def _outputs(model):
    return {row.layer: row.output for row in tqk.summary(model, print_fn=None)}


def _model():
    Convolution2D = keras.layers.Convolution2D
    model = keras.models.Sequential()
    model.add(keras.Input((28, 28, 1)))
    model.add(Convolution2D(filters=20, kernel_size=(5, 5), padding="same", name="Conv1"))
    return model


def test_a_dictionary_of_quantizers_is_a_map():
    override.extr_q_map = {"Conv1": Quantizers.FixedPointQuantizer_nearest(16, 8)}
    assert _outputs(_model()) == {"Conv1": "nearest,16,8"}


def test_a_json_file_is_a_map(tmp_path):
    path = tmp_path / "map.json"
    path.write_text(json.dumps({"Conv": "nearest,16,8"}))
    override.extr_q_map = utils.quantizer_map(str(path))
    assert _outputs(_model()) == {"Conv1": "nearest,16,8"}


def test_without_a_map_layers_stay_float():
    override.extr_q_map = utils.quantizer_map("")
    assert override.extr_q_map is utils.quantizer_map(None) is None
    assert _outputs(_model()) == {"Conv1": ""}


def test_an_overridden_class_is_quantized(monkeypatch):
    keras_conv2d_override = generic_keras_override(keras.layers.Conv2D)
    monkeypatch.setattr(keras.layers, "Conv2D", keras_conv2d_override)
    monkeypatch.setattr(keras.layers, "Convolution2D", keras_conv2d_override)
    override.extr_q_map = {"": "ternary"}
    assert _outputs(_model()) == {"Conv1": "ternary"}


@pytest.mark.parametrize(
    ("quantizer", "string"),
    [
        (Quantizers.FixedPointQuantizer_zero(8, 4), "zero,8,4"),
        (Quantizers.FixedPointQuantizer_down(8, 4), "down,8,4"),
        (Quantizers.FixedPointQuantizer_stochastic(8, 4), "stochastic,8,4"),
        (Quantizers.LogarithmicQuantizer(), "logarithmic"),
        (Quantizers.SparseQuantizer(0.5), "sparse,0.5"),
        (Quantizers.HalffpQuantizer(), "fp16"),
        (Quantizers.BinaryQuantizer(1), "binary"),
        (Quantizers.BinaryQuantizer(0.5), "binary,0.5"),
        (Quantizers.TernaryQuantizer(1), "ternary"),
        (Quantizers.TernaryQuantizer(2, False), "ternary,2,0.5"),
        (Quantizers.NoQuantizer(), "none"),
        (utils.get_quantizer("binary,2"), "binary,2"),
        (utils.quantizer_selector("ternary", ["1", "0.25"]), "ternary,1,0.25"),
    ],
)
def test_each_quantizer_is_that_of_its_string(quantizer, string):
    assert isinstance(quantizer, tq.Quantizer)
    assert isinstance(quantizer, Quantizers.Quantizer_if)
    assert quantizer.spec == tq.Quantizer(string).spec
    assert quantizer == tq.Quantizer(string)
    assert str(quantizer) == type(quantizer).__name__


def test_a_quantizer_is_called_on_tensors():
    quantizer = Quantizers.FixedPointQuantizer_nearest(8, 4)
    y = quantizer(keras.ops.convert_to_tensor(np.float32([0.3, -9.0])))
    assert keras.ops.convert_to_numpy(y).tolist() == [0.3125, -8.0]


def test_a_wrong_argument_or_a_missing_file_is_an_error():
    with pytest.raises(tq.Error, match="nearest"):
        Quantizers.FixedPointQuantizer_nearest(8, "x")
    with pytest.raises(tq.Error, match="no such file"):
        utils.quantizer_map("missing.json")


class Own(Quantizers.Quantizer_if):
    """Multiples of 1/4, with a gradient of its own: `def grad(dy): return dy / 2`."""

    def quantize(self, tensor):
        return quarters(tensor)


def _numbers(tensor):
    return keras.ops.convert_to_numpy(tensor)


def test_a_quantizer_of_the_user_is_called_and_named_by_its_class():
    x = np.float32([0.3, -0.8])
    tensor = keras.ops.convert_to_tensor(x)
    assert _numbers(Own()(tensor)).tolist() == _numbers(Own().quantize(tensor)).tolist()
    assert _numbers(Own()(tensor)).tolist() == [0.25, -0.75]
    assert str(Own()) == "Own"
    with pytest.raises(NotImplementedError):
        Quantizers.Quantizer_if()(tensor)


def test_a_quantizer_of_the_user_stands_in_the_maps_and_is_trained_through():
    override.extr_q_map = utils.quantizer_map({"Dense": Own()})
    override.weight_q_map = {"Dense": Own()}
    Dense = keras.layers.Dense
    model = keras.models.Sequential([keras.Input((1,)), Dense(1, use_bias=False, name="Dense3")])
    override.extr_q_map = override.weight_q_map = None
    model.set_weights([np.float32([[0.3]])])
    assert model.predict(np.float32([[1.6]]), verbose=0).tolist() == [[0.5]]  # of 1.6 * 0.25
    model.compile(keras.optimizers.SGD(0.5), "mse")
    model.fit(np.float32([[1]]), np.float32([[0]]), verbose=0)
    # The loss y^2 has the gradient 0.5 at y = 0.25, and two quantizers halve it.
    (kernel,) = model.get_weights()
    assert cases.same_bits(kernel, np.float32([[0.3]]) - np.float32(0.5 * 0.125))


def test_a_ready_quantizer_with_another_quantize_is_what_that_says():
    class Mine(Quantizers.FixedPointQuantizer_nearest):
        def quantize(self, tensor):
            return super().quantize(tensor) + self.fixed_prec

    override.extr_q_map = {"": Mine(8, 4)}
    layer = keras.layers.Activation("linear")
    found = layer(keras.ops.convert_to_tensor(np.float32([0.3, -9.0])))
    assert _numbers(found).tolist() == [4.3125, -4.0]


def test_ready_quantizers_have_the_original_s_attributes():
    q = Quantizers.FixedPointQuantizer_nearest(8, 4)
    assert isinstance(q, Quantizers.FixedPointQuantizer_nearest)
    assert (q.fixed_size, q.fixed_prec) == (8, 4)
    assert (q.fixed_min_signed, q.fixed_max_signed) == (-8.0, 127 / 16)
    assert Quantizers.SparseQuantizer(0.5).threshold == 0.5
    assert Quantizers.BinaryQuantizer(2).marginal == 2
    t = Quantizers.TernaryQuantizer(2, auto_threshold=False, threshold=0.25)
    assert (t.marginal, t.auto_threshold, t.threshold) == (2, False, 0.25)
    with pytest.raises(AttributeError, match="fixed_prec of a FixedPointQuantizer_nearest never"):
        q.fixed_prec = 3


def test_ready_quantizers_are_copied_and_pickled():
    q = Quantizers.TernaryQuantizer(2, False, 0.25)
    for again in (copy.deepcopy(q), pickle.loads(pickle.dumps(q))):
        assert type(again) is Quantizers.TernaryQuantizer
        assert again == q and again.threshold == 0.25


@pytest.mark.parametrize(
    ("string", "kind", "arguments"),
    [
        ("none", Quantizers.NoQuantizer, {}),
        ("zero,8,4", Quantizers.FixedPointQuantizer_zero, {"fixed_size": 8, "fixed_prec": 4}),
        ("down,8,4", Quantizers.FixedPointQuantizer_down, {"fixed_size": 8, "fixed_prec": 4}),
        ("nearest,8,4", Quantizers.FixedPointQuantizer_nearest, {"fixed_size": 8, "fixed_prec": 4}),
        (
            "stochastic,8,4",
            Quantizers.FixedPointQuantizer_stochastic,
            {"fixed_size": 8, "fixed_prec": 4},
        ),
        ("sparse,0.5", Quantizers.SparseQuantizer, {"threshold": 0.5}),
        ("logarithmic", Quantizers.LogarithmicQuantizer, {}),
        ("fp16", Quantizers.HalffpQuantizer, {}),
        ("binary", Quantizers.BinaryQuantizer, {"marginal": 1}),
        ("binary,0.5", Quantizers.BinaryQuantizer, {"marginal": 0.5}),
        ("ternary", Quantizers.TernaryQuantizer, {"marginal": 1, "auto_threshold": True}),
        ("ternary,2", Quantizers.TernaryQuantizer, {"marginal": 2, "auto_threshold": True}),
        (
            "ternary,2,0.25",
            Quantizers.TernaryQuantizer,
            {"marginal": 2, "auto_threshold": False, "threshold": 0.25},
        ),
    ],
)
def test_strings_give_the_original_s_classes(string, kind, arguments):
    name, parts = utils.split_quantizer_str(string)
    for q in (
        utils.get_quantizer(string),
        utils.quantizer_selector(name, parts),
        utils.quantizer_map({"Conv1": string})["Conv1"],
    ):
        assert type(q) is kind
        assert {key: getattr(q, key) for key in arguments} == arguments
        assert q == tq.Quantizer(string)


@pytest.mark.parametrize("string", ["even,8,4", "nearest,8,4,grad=clipped", "logarithmic,down"])
def test_strings_that_the_original_had_not_give_quantizers_too(string):
    q = utils.get_quantizer(string)
    assert isinstance(q, Quantizers.Quantizer_if) and q.spec == string
    x = np.float32([0.3, -9.0])
    assert cases.same_bits(_numbers(q.quantize(x)), tq.Quantizer(string)(x))


def test_a_map_is_a_dictionary_and_the_given_one_stays():
    given = {"Conv1": "nearest,16,8", "Dense": None, "Conv2": Own()}
    made = utils.quantizer_map(given)
    assert given["Conv1"] == "nearest,16,8"
    assert isinstance(made["Conv1"], Quantizers.FixedPointQuantizer_nearest)
    assert made["Dense"] is None and made["Conv2"] is given["Conv2"]


def test_a_quantizer_of_each_layer_is_that_of_a_file(tmp_path):
    path = tmp_path / "map.json"
    path.write_text('{"Conv1": "ternary,2", "Dense": null, "": {"weight": "binary"}}')
    made = utils.quantizer_map(str(path))
    assert utils.quantizer_map("ternary,2") == {"": made["Conv1"]}
    assert list(made) == ["Conv1", "Dense", ""]
    assert isinstance(made["Conv1"], Quantizers.TernaryQuantizer) and made["Dense"] is None
    override.weight_q_map = made
    assert tqk.summary(keras.layers.Dense(2, name="x"), None)[0].weights == "binary"


X = np.float32([[0.3, -0.7], [9.0, -100.0], [0.04, -0.03]])


@pytest.mark.parametrize(
    ("function", "arguments", "string"),
    [
        (FixedPoint.round_zero, (8, 4), "zero,8,4"),
        (FixedPoint.round_down, (8, 4), "down,8,4"),
        (FixedPoint.round_nearest, (8, 4), "nearest,8,4"),
        (FixedPoint.round_stochastic, (8, 4), "stochastic,8,4"),
        (FixedPoint.FixedPointOp, (8, 4), "down,8,4"),
        (QuantKernelWrapper.quant_log, (), "logarithmic"),
        (QuantKernelWrapper.quant_sparse, (0.5,), "sparse,0.5"),
        (QuantKernelWrapper.quant_halffp, (), "fp16"),
        (QuantKernelWrapper.quant_binary, (0.5,), "binary,0.5"),
        (QuantKernelWrapper.quant_ternary, (2,), "ternary,2"),
        (QuantKernelWrapper.quant_ternary, (2, False), "ternary,2,0.5"),
        (QuantKernelWrapper.quant_ternary, (2, False, 0.25), "ternary,2,0.25"),
    ],
)
def test_a_function_is_the_core_s_quantizer_straight_through(function, arguments, string):
    class Layer(keras.layers.Layer):
        def build(self, shape):
            self.factor = self.add_weight(shape=shape[1:], initializer="zeros", name="factor")

        def call(self, x):
            return function(x + self.factor, *arguments)

    x = keras.Input((3, 2))
    model = keras.Model(x, Layer()(x))
    assert cases.same_bits(model.predict(X[None], verbose=0)[0], tq.Quantizer(string)(X))
    assert cases.same_bits(_numbers(function(X, *arguments)), tq.Quantizer(string)(X))
    before = model.get_weights()[0]
    model.compile(keras.optimizers.SGD(1.0), lambda _, y: keras.ops.sum(y * 2))
    model.fit(X[None], X[None], verbose=0)
    assert cases.same_bits(model.get_weights()[0], before - np.float32(2))


def test_both_ways_of_a_ready_quantizer_are_one():
    for q in (
        Quantizers.FixedPointQuantizer_zero(8, 4),
        Quantizers.SparseQuantizer(0.5),
        Quantizers.BinaryQuantizer(2),
        Quantizers.TernaryQuantizer(2),
        Quantizers.HalffpQuantizer(),
    ):
        assert cases.same_bits(_numbers(q.C_quantize(X)), _numbers(q.quantize(X)))
    q = Quantizers.LogarithmicQuantizer()
    assert cases.same_bits(_numbers(q.P_quantize(X)), _numbers(q(X)))


def test_to_fixed_takes_arrays_and_numbers():
    assert FixedPoint.toFixed(np.array([0.3, -0.3, 9.0]), 8, 4).tolist() == [0.25, -0.25, 127 / 16]
    assert FixedPoint.toFixed(np.float32([-9]), 8, 4).dtype == np.float32
    assert FixedPoint.toFixed(100, 8, 4) == 127 / 16
    assert FixedPoint.toFixed([1, -1], 8, 4).tolist() == [1.0, -1.0]


def test_zero_round_chooses_the_rounding_of_fixed_point_op(monkeypatch):
    monkeypatch.setattr(FixedPoint, "ZERO_ROUND", True)
    assert _numbers(FixedPoint.FixedPointOp(np.float32([-0.3]), 8, 4)).tolist() == [-0.25]


def test_a_layer_made_quantized_is_a_new_one():
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name="fc")
    q_layer = QLayer.create_qLayer(
        layer, extr_quantizer=Own(), weight_quantizer=Quantizers.BinaryQuantizer(0.5)
    )
    assert (q_layer.name, isinstance(q_layer, keras.layers.Dense)) == ("fc", True)
    assert _numbers(q_layer(np.float32([[0.7]]))).tolist() == [[0.25]]  # of 0.35
    assert _numbers(layer(np.float32([[0.7]]))).tolist() == [[np.float32(0.7)]]


def test_intrinsic_quantization_is_the_first_version_s():
    q = Quantizers.FixedPointQuantizer_nearest(8, 4)
    override.intr_q_map = {"Conv1": {"product": q, "accumulator": q, "accumulate": "once"}}
    layer = keras.layers.Conv2D(2, (3, 2), bias_initializer="normal", name="Conv1")
    x = 12 * cases.normal(1, 5, 4, 3)
    found = _numbers(layer(x))
    kernel, bias = map(_numbers, layer.weights)

    def rounded(number):  # to sixteenths, ties away from zero, 8 bits
        k = int(abs(number) * 16 + Fraction(1, 2)) * (1 if number > 0 else -1)
        return Fraction(max(-128, min(127, k)), 16)

    sums_in_steps = 0
    for row, column, output in np.ndindex(3, 3, 2):
        patch = x[0, row : row + 3, column : column + 2]
        taps = zip(patch.ravel().tolist(), kernel[..., output].ravel().tolist())
        products = [rounded(Fraction(a) * Fraction(b)) for a, b in taps]
        y = rounded(rounded(sum(products)) + Fraction(float(bias[output])))
        assert found[0, row, column, output] == float(y)
        in_steps = functools.reduce(lambda s, product: rounded(s + product), products)
        sums_in_steps += rounded(sum(products)) == in_steps
    assert sums_in_steps < 18  # the ways to add up differ here


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's own functions")
def test_a_custom_gradient_inside_quantize_is_used_in_tensorflow_s_functions(tmp_path):
    import tensorflow as tf

    class Halves(Quantizers.Quantizer_if):
        def quantize(self, tensor):
            @tf.custom_gradient
            def op(tensor):
                def grad(dy):
                    return dy * 3

                out = tf.math.floor(tensor * 2) / 2
                return tf.identity(out, name=str(self) + "_output"), grad

            return op(tensor)

    override.extr_q_map = {"Dense": Halves()}
    model = keras.models.Sequential(
        [keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones", name="Dense")]
    )
    x = tf.constant([[0.75]])

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = model(x)
        return y, tape.gradient(y, x)

    for function in (gradient, tf.function(gradient)):
        y, dx = function(x)
        assert (y.numpy().tolist(), dx.numpy().tolist()) == ([[0.5]], [[3.0]])
    model.export(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "model")
    assert loaded.serve(x).numpy().tolist() == [[0.5]]
