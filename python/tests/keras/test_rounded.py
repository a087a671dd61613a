"""The intrinsic map: golden bits, and the bits of the core's functions in each layout."""

import by_hand
import cases
import golden
import keras
import numpy as np
import pytest
from keras import layers as L

import tensorquant as tq
import tensorquant.keras as tqk

FORMATS = {"product": "even,10,5", "accumulator": "down,12,4", "accumulate": "chunk:3"}
TWO_LEVELS = {
    **FORMATS,
    "accumulate": "align:2:6",
    "outer": {"accumulator": "even,12,3", "every": 3},
    "order": "tap",
}
RANDOM = {"product": "stochastic,10,5", "accumulator": "stochastic,12,4"}


def _rounded(layer, x, formats, seed=0):
    """A layer's output with rounded arithmetic, and its parameters, which lie on no grid."""
    layer.build(x.shape)
    numbers = cases.rng()
    values = [numbers.normal(size=v.shape).astype(v.dtype) for v in layer.weights]
    layer.set_weights(values)
    tqk.quantize_model(layer, intrinsic={"=it": formats}, seed=seed)
    return keras.ops.convert_to_numpy(layer(x)), values


def _context(formats, seed=0):
    streams = {f"{part}_stream": tq.stream_of("it", part) for part in ("product", "accumulator")}
    return {**formats, **streams, "seed": seed}


def _is_known(entry):
    # A layer's name gives the stream, and its variables have float32.
    return entry["type"] == "float32" and "stochastic" not in str(entry)


def test_dense_has_the_golden_bits():
    entries = [e for e in golden.arithmetic_vectors("matmul") if _is_known(e)]
    for entry in entries[::20]:
        m, k, n = (entry["shape"][axis] for axis in "mkn")
        if 0 in (m, k, n):
            continue
        a, b = (golden.from_hex(entry[x], "float32", s) for x, s in (("a", (m, k)), ("b", (k, n))))
        layer = L.Dense(n, use_bias=entry["bias"] is not None, name="it")
        layer.build((None, k))
        bias = [] if entry["bias"] is None else [golden.from_hex(entry["bias"], "float32", (n,))]
        layer.set_weights([b, *bias])
        formats = {part: entry[part] for part in ("product", "accumulator", "accumulate")}
        tqk.quantize_model(layer, intrinsic={"=it": formats})
        wanted = golden.from_hex(entry["y"], "float32", (m, n))
        assert cases.same_bits(keras.ops.convert_to_numpy(layer(a)), wanted), entry


@pytest.mark.parametrize(
    "formats", [FORMATS, TWO_LEVELS, RANDOM], ids=["rounded", "two levels", "random"]
)
def test_dense_has_the_bits_of_matmul(formats):
    x = cases.normal(2, 3, 5)
    found, (kernel, bias) = _rounded(L.Dense(4, name="it"), x, formats, seed=11)
    assert cases.same_bits(found, tq.matmul(x, kernel, bias, **_context(formats, seed=11)))


def test_alignment_knows_the_format_of_the_weights():
    """They are 2^-9, subnormal in E4M3: as such their exponent is -6, by their value -9."""
    for weights, wanted in ((None, 1.5 * 2.0**-9), ("e4m3fn", 0.0)):
        layer = L.Dense(1, use_bias=False, name="it")
        layer.build((None, 2))
        layer.set_weights([np.full((2, 1), 2.0**-9, np.float32)])
        tqk.quantize_model(layer, weights=weights, intrinsic={"": {"accumulate": "align:2:2"}})
        y = layer(np.array([[1.0, 0.5]], np.float32))
        assert keras.ops.convert_to_numpy(y).item() == wanted


def test_the_activation_comes_after_the_arithmetic():
    x = cases.normal(2, 5)
    found, (kernel, bias) = _rounded(L.Dense(4, activation="relu", name="it"), x, FORMATS)
    assert cases.same_bits(found, np.maximum(tq.matmul(x, kernel, bias, **FORMATS), 0))


@pytest.mark.parametrize(
    "equation, shape, bias_axes, axes",
    [
        # axes: how (kept, made) becomes the output
        ("abc,cde->abde", (3, 4, 5), "de", (0, 1, 2, 3)),
        ("abc,cde->abde", (3, 4, 5), "e", (0, 1, 2, 3)),
        ("abc,cde->aebd", (5, 3, 4), None, (0, 3, 1, 2)),
        ("...c,cde->...de", (4, 5), "d", (0, 1, 2, 3)),
    ],
)
def test_einsum_dense_has_the_bits_of_matmul(equation, shape, bias_axes, axes):
    x = cases.normal(2, 3, 6)
    layer = L.EinsumDense(equation, shape, bias_axes=bias_axes, name="it")
    found, (kernel, *bias) = _rounded(layer, x, FORMATS)
    if bias:
        bias = np.broadcast_to(bias[0], kernel.shape[1:]).reshape(-1)
    else:
        bias = None
    y = tq.matmul(x, kernel.reshape(6, -1), bias, **FORMATS)
    wanted = y.reshape(2, 3, *kernel.shape[1:]).transpose(axes)
    assert cases.same_bits(found, np.ascontiguousarray(wanted))


def test_einsum_dense_with_several_sums_has_the_bits_of_matmul():
    x = cases.normal(2, 3, 4, 5)
    found, (kernel,) = _rounded(L.EinsumDense("abcd,dce->abe", (3, 2), name="it"), x, FORMATS)
    w = kernel.transpose(1, 0, 2).reshape(20, 2)  # in the order of the inputs' axes
    assert cases.same_bits(found, tq.matmul(x.reshape(2, 3, 20), w, **FORMATS))


def test_einsum_dense_that_is_no_matrix_product_is_refused():
    layer = L.EinsumDense("abc,bce->abe", (3, 2), name="it")
    layer.build((None, 3, 4))
    with pytest.raises(tq.Error, match=r"cannot be rounded: 'it' \(EinsumDense\)"):
        tqk.quantize_model(layer, intrinsic="nearest,8,4")


CONVOLUTIONS = [
    (L.Conv1D(4, 3, padding="causal", dilation_rate=2, name="it"), (2, 9, 3), [(4, 0)]),
    (L.Conv1D(4, 3, padding="same", strides=2, name="it"), (2, 8, 3), [(0, 1)]),
    (L.Conv2D(4, (3, 2), name="it"), (2, 5, 4, 3), [(0, 0), (0, 0)]),
    (L.Conv2D(4, 3, padding="same", strides=2, name="it"), (2, 6, 5, 2), [(0, 1), (1, 1)]),
    (L.Conv2D(4, 3, padding="same", dilation_rate=2, name="it"), (2, 5, 6, 2), [(2, 2), (2, 2)]),
    (L.Conv2D(4, 2, groups=2, use_bias=False, name="it"), (2, 4, 4, 6), [(0, 0), (0, 0)]),
    (L.Conv3D(3, 2, padding="same", name="it"), (1, 3, 4, 3, 2), [(0, 1)] * 3),
    (L.DepthwiseConv1D(3, depth_multiplier=2, name="it"), (2, 6, 3), [(0, 0)]),
    (
        L.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="it"),
        (2, 4, 5, 3),
        [(1, 1)] * 2,
    ),
]


def test_a_convolution_adds_up_by_tap_in_two_levels():
    x = cases.normal(2, 5, 4, 3)
    found, (kernel, bias) = _rounded(L.Conv2D(4, (3, 2), name="it"), x, TWO_LEVELS)
    x, w = np.moveaxis(x, -1, 1), np.transpose(kernel, (3, 2, 0, 1))
    wanted = [
        tq.convolve(x, w, bias, **_context({**TWO_LEVELS, "order": order}))
        for order in ("tap", "channel")
    ]
    assert cases.same_bits(np.moveaxis(found, -1, 1), wanted[0])
    assert not cases.same_bits(wanted[0], wanted[1])


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("case", range(len(CONVOLUTIONS)))
def test_convolutions_have_the_bits_of_convolve(case, data_format):
    layer, shape, padding = CONVOLUTIONS[case]
    config = {**layer.get_config(), "data_format": data_format}
    if data_format == "channels_first":
        if config["padding"] == "causal":
            pytest.skip("Keras has no such layer")
        shape = (shape[0], shape[-1], *shape[1:-1])
    layer = type(layer).from_config(config)
    x = cases.normal(*shape)
    found, (kernel, *bias) = _rounded(layer, x, RANDOM, seed=4)
    rank = len(shape) - 2
    groups = getattr(layer, "groups", 1)
    if isinstance(layer, (L.DepthwiseConv1D, L.DepthwiseConv2D)):
        groups = kernel.shape[-2]
        kernel = kernel.reshape(*kernel.shape[:-2], 1, -1)
    if data_format == "channels_last":
        x = np.moveaxis(x, -1, 1)
        found = np.moveaxis(found, -1, 1)
    wanted = tq.convolve(
        np.ascontiguousarray(x),
        np.ascontiguousarray(np.moveaxis(kernel, (-1, -2), (0, 1))),
        bias[0] if bias else None,
        stride=layer.strides,
        dilation=layer.dilation_rate,
        padding=padding,
        groups=groups,
        **_context(RANDOM, seed=4),
    )
    assert len(padding) == rank
    assert cases.same_bits(np.ascontiguousarray(found), wanted)


TRANSPOSED = [
    (lambda **o: L.Conv1DTranspose(3, 3, strides=2, **o), (2, 4, 2)),
    (lambda **o: L.Conv1DTranspose(3, 2, strides=3, padding="valid", **o), (2, 4, 2)),
    (lambda **o: L.Conv1DTranspose(3, 4, strides=2, padding="same", **o), (2, 4, 2)),
    (lambda **o: L.Conv1DTranspose(3, 1, strides=2, padding="same", **o), (2, 4, 2)),
    (lambda **o: L.Conv1DTranspose(2, 3, dilation_rate=2, padding="same", **o), (2, 5, 2)),
    (lambda **o: L.Conv2DTranspose(3, (3, 2), strides=(1, 2), padding="same", **o), (2, 3, 4, 2)),
    (lambda **o: L.Conv2DTranspose(3, 3, strides=2, output_padding=1, **o), (1, 3, 2, 2)),
    (lambda **o: L.Conv3DTranspose(2, 2, strides=2, **o), (1, 2, 3, 2, 2)),
]


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("case", range(len(TRANSPOSED)))
def test_exact_transposed_convolutions_are_the_float_layers(case, data_format):
    """Of small integers, which float32 adds up exactly."""
    if data_format == "channels_first" and keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow has no such convolution on the CPU")
    make, shape = TRANSPOSED[case]
    layer = make(data_format=data_format, name="it")
    if data_format == "channels_first":
        shape = (shape[0], shape[-1], *shape[1:-1])
    layer.build(shape)
    numbers = cases.rng()
    layer.set_weights([numbers.integers(-9, 10, v.shape).astype(v.dtype) for v in layer.weights])
    x = numbers.integers(-9, 10, shape).astype(np.float32)
    wanted = keras.ops.convert_to_numpy(layer(x))
    tqk.quantize_model(layer, intrinsic={"": {"product": "none", "accumulator": "none"}})
    assert cases.same_bits(keras.ops.convert_to_numpy(layer(x)), wanted)


def test_a_transposed_convolution_adds_up_step_by_step():
    """Over all taps of each channel: those that meet no input are zeros."""
    x = cases.normal(2, 4, 3)
    layer = L.Conv1DTranspose(2, 3, strides=2, padding="same", use_bias=False, name="it")
    found, (kernel,) = _rounded(layer, x, by_hand.VALUE)
    wanted = np.zeros((2, 8, 2))
    for n, place, output in np.ndindex(wanted.shape):
        total = 0.0
        for channel in range(3):
            for tap in range(3):
                row, rest = divmod(place - tap, 2)  # of (4 - 1) * 2 + 3 places the last is cut off
                if rest == 0 and 0 <= row < 4:
                    product = np.float64(x[n, row, channel]) * kernel[tap, output, channel]
                    total = by_hand.accumulated(total + by_hand.product(product))
        wanted[n, place, output] = total
    assert cases.same_bits(found, wanted.astype(np.float32))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
    "make, shape, padding",
    [
        (lambda **o: L.SeparableConv1D(4, 3, depth_multiplier=2, **o), (2, 6, 3), [(0, 0)]),
        (lambda **o: L.SeparableConv2D(4, 3, padding="same", **o), (2, 4, 5, 3), [(1, 1)] * 2),
    ],
)
def test_a_separable_convolution_is_two_convolutions(make, shape, padding, data_format):
    layer = make(data_format=data_format, name="it")
    if data_format == "channels_first":
        shape = (shape[0], shape[-1], *shape[1:-1])
    x = cases.normal(*shape)
    found, (depthwise, pointwise, bias) = _rounded(layer, x, FORMATS)
    if data_format == "channels_last":
        x, found = np.moveaxis(x, -1, 1), np.moveaxis(found, -1, 1)
    channels = depthwise.shape[-2]
    kernels = depthwise.reshape(*depthwise.shape[:-2], 1, -1), pointwise
    first, second = (np.ascontiguousarray(np.moveaxis(k, (-1, -2), (0, 1))) for k in kernels)
    x = np.ascontiguousarray(x)
    x = tq.convolve(x, first, None, padding=padding, groups=channels, **FORMATS)
    wanted = tq.convolve(x, second, bias, **FORMATS)
    assert cases.same_bits(np.ascontiguousarray(found), wanted)


def test_both_sums_of_a_separable_convolution_have_random_numbers_of_their_own():
    x = cases.normal(2, 6, 3)
    found, (depthwise, pointwise, bias) = _rounded(
        L.SeparableConv1D(4, 3, name="it"), x, RANDOM, seed=4
    )
    x = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    first = np.ascontiguousarray(np.moveaxis(depthwise, (-1, -2), (1, 0)))
    streams = {
        f"{part}_stream": tq.stream_of("it.depthwise", part) for part in ("product", "accumulator")
    }
    x = tq.convolve(x, first, None, groups=3, seed=4, **{**RANDOM, **streams})
    second = np.ascontiguousarray(np.moveaxis(pointwise, (-1, -2), (0, 1)))
    wanted = tq.convolve(x, second, bias, **_context(RANDOM, seed=4))
    assert cases.same_bits(np.ascontiguousarray(np.moveaxis(found, -1, 1)), wanted)


@pytest.mark.parametrize(
    "layer, shape, kernel, stride, padding",
    [
        (L.AveragePooling1D(3, 2, name="it"), (2, 8, 3), 3, 2, 0),
        (L.AveragePooling2D((3, 2), name="it"), (2, 7, 4, 3), (3, 2), (3, 2), 0),
        (L.AveragePooling2D(3, 2, "same", name="it"), (2, 6, 5, 3), 3, 2, [(0, 1), (1, 1)]),
        (L.AveragePooling3D(2, name="it"), (1, 4, 4, 5, 2), 2, 2, 0),
        (L.GlobalAveragePooling1D(name="it"), (2, 7, 3), 7, None, 0),
        (L.GlobalAveragePooling2D(keepdims=True, name="it"), (2, 3, 4, 5), (3, 4), None, 0),
        (L.GlobalAveragePooling3D(name="it"), (2, 3, 4, 2, 5), (3, 4, 2), None, 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, L.Layer) else "",
)
def test_average_pools_have_the_bits_of_average_pool(layer, shape, kernel, stride, padding):
    x = cases.normal(*shape)
    found, _ = _rounded(type(layer).from_config(layer.get_config()), x, FORMATS)
    wanted = tq.average_pool(
        np.ascontiguousarray(np.moveaxis(x, -1, 1)),
        kernel,
        stride=stride,
        padding=padding,
        count_include_pad=False,
        **FORMATS,
    )
    wanted = np.ascontiguousarray(np.moveaxis(wanted, 1, -1))
    assert cases.same_bits(found, wanted.reshape(found.shape))


@pytest.mark.parametrize(
    "case",
    [
        *("dense", "conv1d", "conv2d", "conv3d", "depthwise", "average_pool"),
        *("separable", "transpose"),
    ],
)
def test_gradients_are_those_of_the_float_layer(case):
    model, x = cases.make(case)
    if not model.trainable_variables:
        model = keras.Sequential(
            [keras.Input(x.shape[1:]), L.Dense(2, name="in"), *model.layers[1:]]
        )
    # Small integers: all sums are exact, in whatever order.
    x = np.round(x * 3)
    for variable in model.trainable_variables:
        variable.assign(np.round(keras.ops.convert_to_numpy(variable) * 3))
    wanted = cases.gradients(model, x)
    tqk.quantize_model(model, intrinsic={"it": "nearest,12,2"})
    assert all(map(cases.same_bits, cases.gradients(model, x), wanted))


def test_layers_that_only_move_values_are_shown_so():
    x = keras.Input((6, 6, 2))
    y = L.MaxPooling2D(name="pool")(L.ReLU(name="relu")(x))
    y = L.Activation("relu", name="act")(L.Dropout(0.1, name="drop")(y))
    model = keras.Model(x, L.Flatten(name="flat")(y))
    tqk.quantize_model(model, intrinsic="nearest,8,4")
    assert {row.intrinsic for row in tqk.summary(model, print_fn=None)} == {"nothing to round"}


@pytest.mark.parametrize(
    "layer",
    [
        L.ReLU(negative_slope=0.25, max_value=1.0, name="it"),
        L.Activation("squareplus", name="it"),
        L.Activation(lambda x: 2 * x, name="it"),
        L.UpSampling2D(interpolation="bilinear", name="it"),
    ],
    ids=["leaky", "squareplus", "function", "bilinear"],
)
def test_layers_that_compute_are_not_taken_for_such(layer):
    with pytest.raises(tq.Error, match=r"cannot be rounded: 'it'"):
        tqk.quantize_model(layer, intrinsic="nearest,8,4")


def test_formats_that_cannot_round_arithmetic_are_refused():
    model, _ = cases.make("dense")
    with pytest.raises(
        tq.Error,
        match=r"^'ternary' cannot be the format of a product, .* hit by the intrinsic map: 'it' \(Dense\)",
    ):
        tqk.quantize_model(model, intrinsic={"it": "ternary"})


def test_a_class_of_one_s_own_is_not_taken_for_its_base():
    class Mine(L.Dense):
        def call(self, x):
            return super().call(x) * 2

    with pytest.raises(tq.Error, match=r"cannot be rounded: 'mine' \(Mine\)"):
        tqk.quantize_model(Mine(2, name="mine"), intrinsic="nearest,8,4")


def _behind_a_mask(kind):
    x = keras.Input((4, 3))
    masked = L.Masking()(x)
    if kind == "functional":
        return keras.Model(x, L.GlobalAveragePooling1D(name="it")(masked))
    if kind == "later":
        return keras.Model(x, L.GlobalAveragePooling1D(name="it")(L.Dropout(0.1)(masked)))
    return keras.Sequential([x, L.Masking(), L.GlobalAveragePooling1D(name="it")])


@pytest.mark.parametrize("kind", ["functional", "later", "sequential"])
def test_a_global_average_over_a_mask_is_refused_at_once(kind):
    model = _behind_a_mask(kind)
    x = cases.normal(2, 4, 3)
    x[:, 2:] = 0
    wanted = cases.outputs(model, x)[0]
    with pytest.raises(tq.Error, match="layer 'it' .* over a mask cannot be rounded"):
        tqk.quantize_model(model, intrinsic={"it": FORMATS}, extrinsic="nearest,8,1")
    assert cases.same_bits(cases.outputs(model, x)[0], wanted)
