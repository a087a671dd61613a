"""Layers with an intrinsic map see the elements and the scales of what they read apart."""

import itertools
from fractions import Fraction

import cases
import keras
import numpy as np
import pytest
from keras import layers as L

import tensorquant as tq
import tensorquant.keras as tqk
from tensorquant.keras.marks import scales_of

INT8 = "int,8,scale=max"
INT8_CHANNELS = "int,8,per=channel,scale=max"


def rounded(exact):
    """The float32 nearest to a fraction, ties to even."""
    near = np.float32(float(exact))
    around = [np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))]
    return min(around, key=lambda x: (abs(Fraction(float(x)) - exact), x.view(np.uint32) % 2))


def split(x, axis=None):
    """The elements of int8 as integers, and the scale: of each index of an axis, or of all."""
    axes = None if axis is None else tuple(d for d in range(x.ndim) if d != axis % x.ndim)
    scale = np.abs(x).max(axes) / np.float32(127)
    shape = [1] * x.ndim
    if axis is not None:
        shape[axis] = -1
    q = x / scale.reshape(shape)
    return (np.sign(q) * np.floor(np.abs(q) + np.float32(0.5))).astype(int), scale


def product(*factors):
    result = Fraction(1)
    for factor in factors:
        result *= Fraction(float(factor))
    return result


def quantized(layers, x, hardware="int8_int32", weights=INT8_CHANNELS, extrinsic=INT8, **rules):
    """A model's output in which the input alone has scales, and its layers."""
    model = keras.Sequential([keras.Input(x.shape[1:]), *layers])
    numbers = cases.rng()
    model.set_weights([numbers.normal(size=v.shape).astype(v.dtype) for v in model.weights])
    maps = {"weights": weights, "extrinsic": {"input": extrinsic, **rules}, "intrinsic": hardware}
    tqk.quantize_model(model, **maps)
    y = keras.ops.convert_to_numpy(model(x))
    compiled = model.predict(x, verbose=0)
    np.testing.assert_array_equal(compiled, y)
    return y, model


@pytest.mark.parametrize("hardware", ["int8_int32", "mx", "hopper_fp8", "deepseek_fp8"])
@pytest.mark.parametrize(
    ("x_format", "w_format"),
    [
        (INT8, INT8_CHANNELS),
        ("int,8,unsigned,scale=range", INT8),
        ("int,8,per=row,scale=max", "int,4,block=7,scale=range"),
        ("mxfp8_e4m3", "mxint8"),
        ("nvfp4", "nvfp4"),
    ],
)
def test_dense_has_the_bits_of_the_matrix_product_of_its_formats(hardware, x_format, w_format):
    x = cases.normal(3, 70)
    found, model = quantized([L.Dense(5)], x, hardware, w_format, x_format)
    kernel, bias = map(keras.ops.convert_to_numpy, model.layers[0].weights)
    bias = tq.Quantizer(w_format)(bias, reduction_axis=0, channel_axis=0)
    arithmetic = {one.name: one.arithmetic for one in tq.list_hardware()}[hardware]
    wanted = tq.matmul(x, kernel, bias, a_format=x_format, b_format=w_format, **arithmetic)
    assert cases.same_bits(found, wanted)


@pytest.mark.parametrize("equation", ["abc,cd->abd", "abc,dc->abd", "abc,cde->abde"])
def test_einsum_dense_sees_elements(equation):
    x = cases.normal(2, 3, 6)
    sizes = {"d": 4, "e": 2}
    output = tuple(sizes.get(letter) for letter in equation.split("->")[1][1:])
    weights = INT8_CHANNELS if "dc" not in equation else INT8
    layer = L.EinsumDense(equation, output)
    found, model = quantized([layer], x, weights=weights, extrinsic=INT8)
    (kernel,) = map(keras.ops.convert_to_numpy, model.layers[0].weights)
    q, scale = split(x)
    if equation == "abc,dc->abd":
        w, w_scale = split(kernel)
        sums, scales = q @ w.T, np.full(4, w_scale)
    else:
        flat = kernel.reshape(6, -1)
        w, scales = split(flat, -1)
        sums = q @ w
    wanted = [
        rounded(int(s) * product(scale, f))
        for s, f in zip(sums.reshape(-1), itertools.cycle(scales))
    ]
    np.testing.assert_array_equal(found.reshape(-1), np.array(wanted, np.float32))


@pytest.mark.parametrize(("groups", "data_format"), [(1, "channels_last"), (2, "channels_last")])
def test_a_convolution_sees_elements(groups, data_format):
    x = cases.normal(1, 5, 4)
    layer = L.Conv1D(6, 3, groups=groups, padding="same", use_bias=False, data_format=data_format)
    found, model = quantized([layer], x)
    (kernel,) = map(keras.ops.convert_to_numpy, model.layers[0].weights)
    (q, scale), (w, scales) = split(x), split(kernel, -1)
    padded = np.pad(q, ((0, 0), (1, 1), (0, 0)))
    each = 4 // groups
    for p, o in itertools.product(range(5), range(6)):
        first = o // (6 // groups) * each
        exact = int((padded[0, p : p + 3, first : first + each] * w[..., o]).sum())
        assert found[0, p, o] == rounded(exact * product(scale, scales[o]))


def test_a_depthwise_convolution_sees_elements():
    x = cases.normal(1, 5, 3)
    layer = L.DepthwiseConv1D(2, depth_multiplier=2, use_bias=False)
    found, model = quantized([layer], x)
    (kernel,) = map(keras.ops.convert_to_numpy, model.layers[0].weights)
    flat = kernel.reshape(2, 6)
    (q, scale), (w, scales) = split(x), split(flat, -1)
    for p, o in itertools.product(range(4), range(6)):
        exact = int((q[0, p : p + 2, o // 2] * w[:, o]).sum())
        assert found[0, p, o] == rounded(exact * product(scale, scales[o]))


@pytest.mark.parametrize("layer", [L.AveragePooling1D, L.GlobalAveragePooling1D])
def test_an_average_sees_elements(layer):
    x = cases.normal(1, 6, 2)
    found, _ = quantized([layer(3) if layer is L.AveragePooling1D else layer()], x)
    q, scale = split(x)
    width = 3 if layer is L.AveragePooling1D else 6
    found = found.reshape(6 // width, 2)
    for p, c in itertools.product(range(6 // width), range(2)):
        s = rounded(int(q[0, p * width : (p + 1) * width, c].sum()) * product(scale))
        assert found[p, c] == rounded(Fraction(float(s)) / width)


MOVING = {
    "relu": ([lambda: L.ReLU()], lambda q: np.maximum(q, 0)),
    "activation": ([lambda: L.Activation("relu")], lambda q: np.maximum(q, 0)),
    "dropout": ([lambda: L.Dropout(0.5)], lambda q: q),
    "padding": ([lambda: L.ZeroPadding1D(1)], lambda q: np.pad(q, ((0, 0), (1, 1), (0, 0)))),
    "max pool": ([lambda: L.MaxPooling1D(2)], lambda q: q.reshape(2, 3, 2, 4).max(2)),
    "cropping": ([lambda: L.Cropping1D(1)], lambda q: q[:, 1:-1]),
    "permute": ([lambda: L.Permute((2, 1))], lambda q: q.transpose(0, 2, 1)),
    "reshape": ([lambda: L.Reshape((3, 8))], lambda q: q.reshape(2, 3, 8)),
    "global max": ([lambda: L.GlobalMaxPooling1D()], lambda q: q.max(1)),
    "several": (
        [lambda: L.ReLU(), lambda: L.MaxPooling1D(2), lambda: L.Flatten()],
        lambda q: np.maximum(q, 0).reshape(2, 3, 2, 4).max(2).reshape(2, 12),
    ),
}


@pytest.mark.parametrize("name", MOVING)
def test_layers_that_move_values_pass_on_scales(name):
    """No rule hits them."""
    layers, on_elements = MOVING[name]
    x = cases.normal(2, 6, 4)
    found, model = quantized([*(make() for make in layers), L.Dense(3, use_bias=False)], x)
    (kernel,) = map(keras.ops.convert_to_numpy, model.layers[-1].weights)
    (q, scale), (w, scales) = split(x), split(kernel, -1)
    sums = on_elements(q) @ w
    wanted = [
        rounded(int(s) * product(scale, f))
        for s, f in zip(sums.reshape(-1), itertools.cycle(scales))
    ]
    np.testing.assert_array_equal(found.reshape(-1), np.array(wanted, np.float32))


@pytest.mark.parametrize("layer", [L.ReLU(6.0), L.Activation("relu6")], ids=["relu", "activation"])
def test_numbers_that_are_no_elements_are_told_of(layer):
    with pytest.raises(tq.Error, match="made of a tensor with scales"):
        quantized([layer, L.Dense(3)], cases.normal(2, 4))


def test_what_dropout_leaves_in_training_has_no_scales():
    x = cases.normal(2, 4)
    _, model = quantized([L.Dropout(0.5), L.Dense(3)], x)
    assert model(x, training=True).shape == (2, 3)


def test_scales_of_channels_are_passed_on_to_a_convolution():
    x = cases.normal(1, 6, 4)
    layers = [L.MaxPooling1D(2), L.ZeroPadding1D(1), L.Conv1D(2, 3, use_bias=False)]
    found, model = quantized(layers, x, "mx", INT8, INT8_CHANNELS)
    (kernel,) = map(keras.ops.convert_to_numpy, model.layers[-1].weights)
    (q, scales), (w, scale) = split(x, -1), split(kernel)
    q = np.pad(q.reshape(1, 3, 2, 4).max(2), ((0, 0), (1, 1), (0, 0)))
    for p, o in itertools.product(range(3), range(2)):
        t = np.float32(0)
        for k, c in itertools.product(range(3), range(4)):  # each channel is a segment
            exact = int(q[0, p + k, c]) * int(w[k, c, o]) * product(scale, scales[c])
            t = rounded(Fraction(float(t)) + exact)
        assert found[0, p, o] == t


def test_the_scales_of_a_hidden_layer_are_seen():
    x = cases.normal(3, 8)
    layers = [L.Dense(6, use_bias=False, name="a"), L.ReLU(), L.Dense(4, use_bias=False, name="b")]
    found, model = quantized(layers, x, **{"=a": INT8})
    first, second = (
        keras.ops.convert_to_numpy(layer.kernel) for layer in model.layers if layer.weights
    )
    arithmetic = {one.name: one.arithmetic for one in tq.list_hardware()}["int8_int32"]
    hidden = tq.matmul(x, first, a_format=INT8, b_format=INT8_CHANNELS, **arithmetic)
    (q, scale), (w, scales) = split(hidden), split(second, -1)
    sums = np.maximum(q, 0) @ w
    wanted = [
        [rounded(int(sums[i, o]) * product(scale, scales[o])) for o in range(4)] for i in range(3)
    ]
    np.testing.assert_array_equal(found, np.array(wanted, np.float32))


def test_blocks_without_the_order_tap_are_refused_when_maps_are_applied():
    model = keras.Sequential([keras.Input((6, 4)), L.Conv1D(2, 3, name="conv")])
    with pytest.raises(tq.Error, match=r"'conv' \(Conv1D\).*the order \"tap\""):
        tqk.quantize_model(model, weights="mxfp8_e4m3", intrinsic="int8_int32")
    tqk.quantize_model(model, weights="mxfp8_e4m3", intrinsic="mx")


def test_groups_that_a_pool_mixed_are_refused():
    x = cases.normal(1, 8, 4)
    layers = [L.MaxPooling1D(2, name="pool"), L.Dense(2, name="fc")]
    with pytest.raises(
        tq.Error, match=r"'fc'.*'pool' \(MaxPooling1D\) made of a tensor with scales"
    ):
        quantized(layers, x, "mx", "mxint8", "mxint8")


def test_gradients_are_those_of_values():
    if keras.backend.backend() != "torch":
        pytest.skip("the ops' own tests have the other frameworks")
    x = keras.ops.convert_to_tensor(cases.normal(2, 6))
    gradients = []
    for intrinsic in ("int8_int32", None):
        model = keras.Sequential([keras.Input((6,)), L.Dense(3, name="fc")])
        model.set_weights([cases.normal(6, 3), np.zeros(3, np.float32)])
        tqk.quantize_model(model, weights=INT8, extrinsic={"input": INT8}, intrinsic=intrinsic)
        model(x).sum().backward()
        gradients.append([v.value.grad.numpy() for v in model.trainable_variables])
    for with_scales, of_values in zip(*gradients, strict=True):
        assert cases.same_bits(with_scales, of_values)


def test_models_with_scales_train():
    x, y = cases.normal(8, 6, 4), cases.normal(8, 2)
    model = keras.Sequential(
        [keras.Input((6, 4)), L.Conv1D(4, 3), L.ReLU(), L.Flatten(), L.Dense(2)]
    )
    tqk.quantize_model(model, weights=INT8_CHANNELS, extrinsic=INT8, intrinsic="int8_int32")
    model.compile("sgd", "mse")
    before = model.evaluate(x, y, verbose=0)
    model.fit(x, y, epochs=3, verbose=0)
    assert model.evaluate(x, y, verbose=0) < before


def test_saved_models_keep_seeing_elements(tmp_path):
    x = cases.normal(3, 6, 4)
    found, model = quantized([L.ReLU(), L.Flatten(), L.Dense(2)], x)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(loaded(x)), found)


def test_nothing_is_kept_without_an_intrinsic_map():
    model = keras.Sequential([keras.Input((4,)), L.ReLU(name="relu"), L.Dense(2, name="fc")])
    tqk.quantize_model(model, weights={"fc": INT8}, extrinsic={"input": INT8})
    relu = model.layers[0]
    assert type(relu) is L.ReLU
    seen = []
    relu.call = lambda x: seen.append(scales_of(x)) or x
    model(cases.normal(1, 4))
    assert seen
    assert not any(seen)
