"""Blocks, rows and channels run along the axes that each layer gives its weights and outputs."""

import cases
import keras
import numpy as np
import pytest
from keras import layers as L

import tensorquant as tq
import tensorquant.keras as tqk

SPECS = [
    "int,4,scale=max",
    "int,4,per=channel,scale=max",
    "int,4,per=row,scale=max",
    "int,4,block=3,scale=max",
    "nvfp4,block=2",
]


def along(reduction, channel, shape=None):
    """An array quantized by NumPy's front-end along axes of its own or of another shape."""

    def quantized(spec, x):
        reshaped = x.reshape(shape or x.shape)
        y = tq.Quantizer(spec)(reshaped, reduction_axis=reduction, channel_axis=channel)
        return y.reshape(x.shape)

    return quantized


def each_alone(channel, shape):
    """Along an axis of length 1 behind the others."""
    return along(len(shape), channel, (*shape, 1))


VECTOR, OUTPUTS_LAST = along(0, 0), along(-2, -1)
DENSE = {"kernel": OUTPUTS_LAST, "bias": VECTOR}
RECURRENT = {**DENSE, "recurrent_kernel": OUTPUTS_LAST}
NORMALIZATION = {"gamma": VECTOR, "beta": VECTOR}


def case(make, shape, parameters, dtype="float32"):
    return make, shape, parameters, dtype


CASES = {
    "dense": case(lambda: L.Dense(5), (4, 7), DENSE),
    "conv1d": case(lambda: L.Conv1D(4, 3), (7, 5), DENSE),
    "conv2d": case(lambda: L.Conv2D(4, 3), (5, 6, 5), DENSE),
    "conv3d": case(lambda: L.Conv3D(4, 2), (3, 3, 4, 5), DENSE),
    "grouped": case(lambda: L.Conv2D(6, 2, groups=2), (4, 4, 8), DENSE),
    "transpose1d": case(
        lambda: L.Conv1DTranspose(4, 3), (5, 7), {"kernel": along(-1, -2), "bias": VECTOR}
    ),
    "transpose2d": case(
        lambda: L.Conv2DTranspose(4, 3), (3, 4, 5), {"kernel": along(3, 2), "bias": VECTOR}
    ),
    "transpose3d": case(
        lambda: L.Conv3DTranspose(4, 2), (2, 3, 2, 5), {"kernel": along(4, 3), "bias": VECTOR}
    ),
    "depthwise1d": case(
        lambda: L.DepthwiseConv1D(3, depth_multiplier=2),
        (6, 4),
        {"kernel": each_alone(1, (3, 8)), "bias": VECTOR},
    ),
    "depthwise2d": case(
        lambda: L.DepthwiseConv2D(3, depth_multiplier=2),
        (5, 4, 3),
        {"kernel": each_alone(2, (3, 3, 6)), "bias": VECTOR},
    ),
    "separable1d": case(
        lambda: L.SeparableConv1D(4, 3),
        (6, 5),
        {
            "depthwise_kernel": each_alone(1, (3, 5)),
            "pointwise_kernel": OUTPUTS_LAST,
            "bias": VECTOR,
        },
    ),
    "separable2d": case(
        lambda: L.SeparableConv2D(4, 3, depth_multiplier=2),
        (5, 4, 3),
        {
            "depthwise_kernel": each_alone(2, (3, 3, 6)),
            "pointwise_kernel": OUTPUTS_LAST,
            "bias": VECTOR,
        },
    ),
    "einsum": case(
        lambda: L.EinsumDense("abc,cde->abde", (None, 3, 5), bias_axes="de"),
        (4, 7),
        {"kernel": along(0, 1, (7, 15)), "bias": along(0, 0, (15,))},
    ),
    "einsum_two": case(
        lambda: L.EinsumDense("abcd,ecd->abe", (None, 5)),
        (2, 3, 4),
        {"kernel": along(1, 0, (5, 12))},
    ),
    "attention": case(
        lambda: L.MultiHeadAttention(2, 4),
        (5, 6),
        {
            **{f"{name}/kernel": along(0, 1, (6, 8)) for name in ("query", "key", "value")},
            **{f"{name}/bias": along(0, 0, (8,)) for name in ("query", "key", "value")},
            "attention_output/kernel": along(0, 1, (8, 6)),
            "attention_output/bias": VECTOR,
        },
    ),
    "grouped_attention": case(
        lambda: L.GroupQueryAttention(3, 4, 2, use_bias=False),
        (5, 7),
        {
            "query/kernel": along(0, 1, (7, 12)),
            "key/kernel": along(0, 1, (7, 6)),
            "value/kernel": along(0, 1, (7, 6)),
            "attention_output/kernel": along(0, 1, (12, 7)),
        },
    ),
    "embedding": case(lambda: L.Embedding(9, 7), (5,), {"embeddings": along(1, 0)}, "int32"),
    "simple_rnn": case(lambda: L.SimpleRNN(5), (4, 7), RECURRENT),
    "lstm": case(lambda: L.LSTM(5), (4, 7), RECURRENT),
    "gru": case(lambda: L.GRU(5), (4, 7), {**RECURRENT, "bias": along(1, 1)}),
    "bidirectional": case(lambda: L.Bidirectional(L.LSTM(3)), (4, 7), RECURRENT),
    "time_distributed": case(lambda: L.TimeDistributed(L.Dense(5)), (4, 7), DENSE),
    "batch_norm": case(lambda: L.BatchNormalization(), (4, 7), NORMALIZATION),
    "layer_norm": case(
        lambda: L.LayerNormalization(axis=(1, 2)), (4, 7), dict.fromkeys(NORMALIZATION, along(1, 1))
    ),
    "prelu": case(lambda: L.PReLU(), (4, 7), {"alpha": along(1, 1)}),
    "own": case(lambda: cases.Scale(), (7,), {"factor": VECTOR, "bias": VECTOR, "gain": None}),
}


def make(name):
    """A model of one layer with parameters on no grid, an input, and who quantizes by hand."""
    make_layer, shape, by_hand, dtype = CASES[name]
    x = keras.Input(shape, dtype=dtype)
    layer = make_layer()
    model = keras.Model(x, layer(x, x) if name.endswith("attention") else layer(x))
    numbers = cases.rng()
    for variable in model.trainable_variables:
        variable.assign(numbers.normal(size=variable.shape))
    x = (
        numbers.integers(0, 9, (3, *shape))
        if dtype == "int32"
        else numbers.normal(size=(3, *shape))
    )
    return model, x.astype(dtype), by_hand


def assign_by_hand(model, by_hand, spec):
    """The float parameters, quantized by NumPy's front-end. Returns what of the names is used."""
    used = set()
    for variable in model.trainable_variables:
        names = variable.path.split("/")
        name = next(n for n in ("/".join(names[-2:]), names[-1]) if n in by_hand)
        used.add(name)
        x = keras.ops.convert_to_numpy(variable)
        quantized = by_hand[name] or along(0, 0, (1,))
        variable.assign(quantized(spec, x))
    return used


@pytest.mark.parametrize("name", CASES)
def test_weights_are_what_numpy_gives_along_axes_by_hand(name):
    model, x, by_hand = make(name)
    floats = model.get_weights()
    for spec in SPECS:
        tqk.quantize_model(model, weights=spec)
        found = cases.outputs(model, x)
        tqk.strip(model)
        assert assign_by_hand(model, by_hand, spec) == set(by_hand)
        wanted = cases.outputs(model, x)
        model.set_weights(floats)
        assert all(map(cases.same_bits, found, wanted)), spec
        assert not all(map(cases.same_bits, found, cases.outputs(model, x))), spec


@pytest.mark.parametrize("spec", SPECS[1:])
def test_compiled_saved_and_loaded_it_is_the_same(spec, tmp_path):
    model, x, _ = make("conv2d")
    tqk.quantize_model(model, weights=spec, extrinsic=spec)
    (wanted,) = cases.outputs(model, x)
    assert cases.same_bits(model.predict(x, verbose=0), wanted)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert cases.same_bits(cases.outputs(loaded, x)[0], wanted)


def test_gradients_are_clipped_along_the_layer_s_axes():
    """Of the float layer at the quantized values, where the kernel lies within its own row's."""
    spec = "int,4,grad=clipped,per=row,scale=floor"
    model, x, by_hand = make("conv2d")
    tqk.quantize_model(model, weights=spec)
    found = cases.gradients(model, x)
    tqk.strip(model)
    passes = []
    for variable in model.trainable_variables:
        w = keras.ops.convert_to_numpy(variable)
        amax = np.abs(w).max(-2 if w.ndim > 1 else 0, keepdims=True)
        power = np.exp2(np.floor(np.log2(amax)))
        passes.append((-2 * power <= w) & (w <= 1.75 * power))
    assert not np.all(passes[0])
    assign_by_hand(model, by_hand, spec)
    wanted = [np.where(p, g, np.float32(0)) for p, g in zip(passes, cases.gradients(model, x))]
    assert all(map(cases.same_bits, found, wanted))


class Mean(L.Layer):
    """Returns a number, as layers of losses do."""

    def call(self, x):
        return keras.ops.mean(x)


OUTPUTS = {
    "dense": (lambda: L.Dense(5), (4, 7), -1),
    "channels_last": (lambda: L.ZeroPadding2D(1), (3, 4, 5), 3),
    "channels_first": (lambda: L.ZeroPadding2D(1, data_format="channels_first"), (5, 3, 4), 1),
    "pool_first": (lambda: L.GlobalMaxPooling2D(data_format="channels_first"), (5, 3, 4), 1),
    "norm_first": (lambda: L.BatchNormalization(axis=1), (5, 3, 4), 1),
    "time_distributed": (
        lambda: L.TimeDistributed(L.ZeroPadding2D(1, data_format="channels_first")),
        (2, 5, 3, 4),
        2,
    ),
    "lstm": (lambda: L.LSTM(5, return_sequences=True), (4, 7), 2),
    "conv_lstm": (lambda: L.ConvLSTM1D(5, 2, return_sequences=True), (3, 4, 7), 3),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_are_what_numpy_gives_along_their_channels(name):
    make_layer, shape, axis = OUTPUTS[name]
    inputs = keras.Input(shape)
    model = keras.Model(inputs, make_layer()(inputs))
    x = cases.normal(3, *shape)
    (y,) = cases.outputs(model, x)
    for spec in SPECS:
        tqk.quantize_model(model, extrinsic={"input": None, "": spec})
        (found,) = cases.outputs(model, x)
        assert cases.same_bits(found, along(axis, axis)(spec, y)), spec
    assert not cases.same_bits(along(axis, axis)(SPECS[3], y), along(0, 0)(SPECS[3], y))


def test_convolutions_with_channels_first_have_them_on_axis_1():
    if keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow has no such convolution on the CPU")
    x = cases.normal(2, 5, 4, 4)
    layer = L.Conv2D(6, 2, data_format="channels_first", name="it")
    y = keras.ops.convert_to_numpy(layer(x))
    for spec in SPECS:
        tqk.quantize_model(layer, extrinsic=spec)
        found = keras.ops.convert_to_numpy(layer(x))
        assert cases.same_bits(found, along(1, 1)(spec, y)), spec


def test_the_model_s_input_has_its_channels_last():
    x = cases.normal(3, 4, 7)
    inputs = keras.Input((4, 7))
    model = keras.Model(inputs, L.Activation("linear", name="it")(inputs))
    for spec in SPECS:
        tqk.quantize_model(model, extrinsic={"input": spec})
        assert cases.same_bits(cases.outputs(model, x)[0], along(2, 2)(spec, x)), spec


def test_a_number_is_a_group_of_its_own():
    x = cases.normal(3, 4)
    layer = Mean(name="it")
    y = keras.ops.convert_to_numpy(layer(x))
    for spec in SPECS:
        tqk.quantize_model(layer, extrinsic=spec)
        found = keras.ops.convert_to_numpy(layer(x))
        assert cases.same_bits(found, along(0, 0, (1,))(spec, y)), spec


@pytest.mark.parametrize("is_built", [False, True])
def test_an_einsum_whose_axes_are_scattered_is_refused_when_the_maps_are_applied(is_built):
    layer = L.EinsumDense("ab,cbd->acd", (3, 5), name="it")
    if is_built:
        layer.build((None, 7))
    message = r"'it' \(EinsumDense\): the axes of the outputs in the kernel of 'ab,cbd->acd' are no"
    for spec in ("mxfp4", "int,8,per=channel,scale=max"):
        with pytest.raises(tq.Error, match=message):
            tqk.quantize_model(layer, weights=spec)
        assert type(layer) is L.EinsumDense
        inside = L.TimeDistributed(layer, name="outer")
        with pytest.raises(tq.Error, match="are no neighbours; a format with blocks, rows or chan"):
            tqk.quantize_model(inside, weights=spec)
    tqk.quantize_model(layer, weights="int,8,scale=max", extrinsic="mxfp4")  # need none
    layer(cases.normal(2, 7))


def test_a_layer_may_say_itself_what_its_axes_mean():
    layer = L.EinsumDense("ab,cbd->acd", (3, 5), name="it")
    layer.quantizer_axes = {
        "kernel": {"reduction_axis": 1, "channel_axis": 0},
        "output": {"reduction_axis": 1, "channel_axis": 2},
    }
    x = cases.normal(4, 7)
    y = keras.ops.convert_to_numpy(layer(x))
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    for spec in SPECS:
        tqk.quantize_model(layer, extrinsic=spec)
        assert cases.same_bits(keras.ops.convert_to_numpy(layer(x)), along(1, 2)(spec, y)), spec
        tqk.quantize_model(layer, weights=spec)
        found = keras.ops.convert_to_numpy(layer(x))
        tqk.strip(layer)
        layer.kernel.assign(along(1, 0)(spec, kernel))
        assert cases.same_bits(found, keras.ops.convert_to_numpy(layer(x))), spec
        layer.kernel.assign(kernel)


@pytest.mark.parametrize(
    "axes, message",
    [
        ({"reduction_axis": 2, "channel_axis": 0}, "reduction_axis: x has no axis 2, it has 2"),
        ({"reduction_axis": 0}, "say by channel_axis= which axis"),
        ({"axis": 0}, "its quantizer_axes have 'axis' for 'kernel', expected reduction_axis and"),
        ({"channel_axis": "c"}, "channel_axis of its quantizer_axes for 'kernel': expected an int"),
    ],
)
def test_what_a_layer_says_wrongly_is_refused_when_the_maps_are_applied(axes, message):
    layer = L.Dense(3, name="it")
    layer.build((None, 4))
    layer.quantizer_axes = {"kernel": axes}
    with pytest.raises((tq.Error, TypeError), match=message):
        tqk.quantize_model(layer, weights="int,8,per=channel,scale=max")
    assert type(layer) is L.Dense


def test_weights_in_pytorch_s_layout_along_pytorch_s_axes_are_the_same():
    """Inputs of one number 1 each, so that every output is one weight."""
    if keras.backend.backend() != "torch":
        pytest.skip("one backend is enough")
    import torch
    from torch.nn import functional

    def ones(*shape):
        return np.eye(np.prod(shape), dtype=np.float32).reshape(-1, *shape)

    def last(y):
        return y if y.ndim < 4 else y.permute(0, 2, 3, 1)

    for layer, inputs, order, channel, apply in (
        (L.Dense(5), (7,), (1, 0), 0, functional.linear),
        (L.Conv2D(4, (2, 3)), (2, 3, 5), (3, 2, 0, 1), 0, functional.conv2d),
        (L.Conv2DTranspose(4, (2, 3)), (1, 1, 5), (3, 2, 0, 1), 1, functional.conv_transpose2d),
    ):
        layer.use_bias = False
        layer.build((None, *inputs))
        x = ones(*inputs)
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        for spec in SPECS:
            tqk.quantize_model(layer, weights=spec)
            found = keras.ops.convert_to_numpy(layer(x))
            tqk.strip(layer)
            theirs = np.ascontiguousarray(kernel.transpose(order))
            w = tq.Quantizer(spec)(theirs, channel_axis=channel, reduction_axis=1 - channel)
            t = torch.from_numpy(x if x.ndim == 2 else x.transpose(0, 3, 1, 2).copy())
            wanted = last(apply(t, torch.from_numpy(w))).contiguous().numpy()
            np.testing.assert_array_equal(found, wanted)
            assert np.count_nonzero(found) > kernel.size / 2
