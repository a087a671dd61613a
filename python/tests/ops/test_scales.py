"""arithmetic() on elements and scales, as scales() finds them: against sums of exact fractions."""

import itertools
import re
from fractions import Fraction

import numpy as np
import pytest
from frameworks import assert_same_bits

import tensorquant as tq
from tensorquant import ops

HARDWARE = {one.name: one.arithmetic for one in tq.list_hardware()}
INT8, MX = (
    {"product": "none", "accumulator": "none", **HARDWARE[name]} for name in ("int8_int32", "mx")
)
CHANNELS = {"channel_axis": 0, "reduction_axis": 1}  # of weights
OUTPUTS = {"channel_axis": 1, "reduction_axis": 1}


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def rounded(exact):
    """The float32 nearest to a fraction, ties to even."""
    near = np.float32(float(exact))
    around = [np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))]
    return min(around, key=lambda x: (abs(Fraction(float(x)) - exact), x.view(np.uint32) % 2))


class Operand:
    """A quantized tensor and its scales, and both once more number by number."""

    def __init__(self, framework, x, spec, **axes):
        tensor = framework.tensor(x)
        self.tensor = framework.ops.quantize(tensor, spec, **axes)
        self.scales = framework.ops.scales(tensor, spec, **axes)
        values, scales = framework.array(self.tensor), framework.array(self.scales)
        index = np.arange(scales.size).reshape(scales.shape)
        for d, size in enumerate(values.shape):
            block = -(-size // scales.shape[d])
            if scales.shape[d] not in (1, size):
                block = int(spec.partition("block=")[2].partition(",")[0])
            index = np.repeat(index, block, d).take(range(size), d)
        self.group = index
        self.scale = scales.reshape(-1)[index]
        self.q = np.rint(values / self.scale)  # integers
        np.testing.assert_array_equal((self.q * self.scale).astype(np.float32), values)


def sum_of(taps):
    """Of taps (q, group, scale of x; the same of w): one exact sum for each segment, added in float32.

    A padded tap has None for x, and ends no segment.
    """
    segments = []
    last = None
    for (x, x_group, x_scale), (w, w_group, w_scale) in taps:
        x_group = last[0] if x_group is None and last is not None else x_group
        if last is None or (x_group, w_group) != last:
            segments.append([0, None])
        last = (x_group, w_group)
        if x_scale is not None:
            segments[-1][1] = Fraction(float(x_scale)) * Fraction(float(w_scale))
        segments[-1][0] += int(x) * int(w)
    t = np.float32(0)
    for exact, factor in segments:
        if factor is not None:
            t = rounded(Fraction(float(t)) + exact * factor)
    return t


def at(operand, place):
    return operand.q[place], operand.group[place], operand.scale[place]


@pytest.mark.parametrize(
    ("x_format", "w_format"),
    [
        ("int,8,scale=max", "int,8,per=channel,scale=max"),
        ("int,8,unsigned,scale=range", "int,8,per=channel,scale=max"),
        ("int,8,unsigned,per=row,scale=range", "int,6,per=row,scale=range"),
        ("mxfp8_e4m3", "mxint8"),
        ("mxfp4", "int,4,block=7,scale=max"),
        ("nvfp4", "nvfp4"),
    ],
)
@pytest.mark.parametrize("hardware", ["int8_int32", "mx", "hopper_fp8", "deepseek_fp8"])
def test_a_linear_layer_is_the_matrix_product_of_its_formats(
    framework, x_format, w_format, hardware
):
    a, b = numbers(5, 70), numbers(70, 4, seed=1)
    x, w = framework.tensor(a), framework.tensor(np.ascontiguousarray(b.T))
    its = HARDWARE[hardware]
    wanted = tq.matmul(a, b, a_format=x_format, b_format=w_format, **its)
    operation = ops.linear(
        **{"product": "none", "accumulator": "none", **its}, x_format=x_format, w_format=w_format
    )
    axes = {"reduction_axis": -1}
    found = framework.ops.arithmetic(
        operation,
        framework.ops.quantize(x, x_format, **axes),
        framework.ops.quantize(w, w_format, **CHANNELS),
        scales=(
            framework.ops.scales(x, x_format, **axes),
            framework.ops.scales(w, w_format, **CHANNELS),
        ),
    )
    assert_same_bits(framework.array(found), wanted)


@pytest.mark.parametrize(
    ("a_format", "b_format", "sums"),
    [
        ("int,8,scale=max", "int,8,scale=max", INT8),
        ("int,8,per=row,scale=max", "int,8,per=row,scale=max", INT8),
        ("int,8,unsigned,scale=range", "int,8,block=4,scale=max", INT8),
        ("int,8,block=4,scale=floor", "int,8,block=4,scale=floor", MX),
        ("int,8,per=channel,scale=max", "int,8,scale=max", INT8),
    ],
)
def test_products_of_several_matrices_add_up_exact_sums_of_segments(
    framework, a_format, b_format, sums
):
    batch, rows, taps, columns = 3, 2, 10, 4
    a = Operand(framework, numbers(batch, rows, taps), a_format, channel_axis=0, reduction_axis=2)
    b = Operand(
        framework, numbers(batch, taps, columns), b_format, channel_axis=0, reduction_axis=1
    )
    operation = ops.matmul(**sums, x_format=a_format, w_format=b_format)
    found = framework.array(
        framework.ops.arithmetic(operation, a.tensor, b.tensor, scales=(a.scales, b.scales))
    )
    wanted = [
        sum_of([(at(a, (n, i, k)), at(b, (n, k, j))) for k in range(taps)])
        for n, i, j in itertools.product(range(batch), range(rows), range(columns))
    ]
    assert_same_bits(found, np.array(wanted, np.float32).reshape(found.shape))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    ("x_format", "w_format", "sums"),
    [
        ("int,8,scale=max", "int,8,per=channel,scale=max", INT8),
        ("int,8,per=channel,scale=max", "int,8,unsigned,scale=range", INT8),
        ("int,8,block=4,scale=max", "int,8,per=channel,scale=max", {**INT8, "order": "tap"}),
        ("int,8,block=4,scale=max", "int,8,block=5,scale=floor", {**MX, "order": "tap"}),
        ("int,8,per=row,scale=max", "int,8,block=5,scale=floor", {**MX, "order": "tap"}),
    ],
)
def test_a_convolution_adds_up_exact_sums_of_segments(framework, groups, x_format, w_format, sums):
    channels, outputs, size, kernel = 12, 4, 4, 3
    x = Operand(framework, numbers(2, channels, size), x_format, **OUTPUTS)
    w = Operand(framework, numbers(outputs, channels // groups, kernel), w_format, **CHANNELS)
    operation = ops.convolution(
        **sums,
        x_format=x_format,
        w_format=w_format,
        stride=(1,),
        padding_begin=(1,),
        padding_end=(1,),
        groups=groups,
    )
    found = framework.array(
        framework.ops.arithmetic(operation, x.tensor, w.tensor, scales=(x.scales, w.scales))
    )
    each = channels // groups

    def taps(n, o, position):
        first = o // (outputs // groups) * each
        by_tap = itertools.product(range(kernel), range(each))
        by_channel = ((k, c) for c, k in itertools.product(range(each), range(kernel)))
        for k, c in by_tap if sums.get("order") == "tap" else by_channel:
            place = position + k - 1
            inside = 0 <= place < size
            yield (
                at(x, (n, first + c, place)) if inside else (0, None, None),
                at(w, (o, c, k)),
            )

    wanted = [
        [[sum_of(taps(n, o, p)) for p in range(size)] for o in range(outputs)] for n in range(2)
    ]
    np.testing.assert_array_equal(found, np.array(wanted, np.float32))


def test_a_transposed_convolution_adds_up_exact_sums(framework):
    """Of stride 1 without padding: y[o, p] = sum over c, k of x[c, p - k] w[c, o, k]."""
    x_format, w_format = "int,8,scale=max", "int,8,per=channel,scale=max"
    x = Operand(framework, numbers(1, 3, 4), x_format, **OUTPUTS)
    w = Operand(framework, numbers(3, 2, 3), w_format, channel_axis=1, reduction_axis=0)
    operation = ops.convolution(
        **INT8, x_format=x_format, w_format=w_format, stride=(1,), transposed=True
    )
    found = framework.ops.arithmetic(operation, x.tensor, w.tensor, scales=(x.scales, w.scales))
    wanted = np.empty((1, 2, 6), np.float32)
    for o, p in itertools.product(range(2), range(6)):
        places = [(c, k) for c in range(3) for k in range(3) if 0 <= p - k < 4]
        wanted[0, o, p] = sum_of((at(x, (0, c, p - k)), at(w, (c, o, k))) for c, k in places)
    np.testing.assert_array_equal(framework.array(found), wanted)


def test_an_average_pool_adds_up_elements(framework):
    x_format = "int,8,per=channel,scale=max"
    x = Operand(framework, numbers(2, 3, 6), x_format, **OUTPUTS)
    operation = ops.average_pool(**INT8, x_format=x_format, kernel=(3,))
    found = framework.array(framework.ops.arithmetic(operation, x.tensor, scales=(x.scales,)))
    for n, c, p in itertools.product(range(2), range(3), range(2)):
        exact = sum(int(q) for q in x.q[n, c, 3 * p : 3 * p + 3])
        s = rounded(exact * Fraction(float(x.scale[n, c, 0])))
        assert found[n, c, p] == rounded(Fraction(float(s)) / 3)


@pytest.mark.parametrize(
    ("spec", "axes", "shape"),
    [
        ("int,8,scale=max", {}, (1, 1, 1)),
        ("int,8,per=channel,scale=max", {"channel_axis": 1}, (1, 6, 1)),
        ("int,8,per=row,scale=max", {"reduction_axis": -2}, (2, 1, 5)),
        ("int,8,per=row,scale=max", {}, (1, 1, 1)),
        ("int,8,block=4,scale=max", {"reduction_axis": 1}, (2, 2, 5)),
        ("mxfp4", {"reduction_axis": 2}, (2, 6, 1)),
    ],
)
def test_scales_have_the_tensors_axes(framework, spec, axes, shape):
    x = framework.tensor(numbers(2, 6, 5))
    assert tuple(framework.ops.scales(x, spec, **axes).shape) == shape
    function = framework.compiled(lambda x: framework.ops.scales(x, spec, **axes))
    assert_same_bits(
        framework.array(function(x)), framework.array(framework.ops.scales(x, spec, **axes))
    )


def test_gradients_are_those_of_the_float_function(framework):
    x_format, w_format = "int,8,scale=max", "int,8,per=channel,scale=max"
    operation = ops.linear(**INT8, x_format=x_format, w_format=w_format)
    a, b, dy = numbers(2, 3), numbers(4, 3, seed=1), numbers(2, 4, seed=2)

    def layer(x, w, with_scales=True):
        qx = framework.ops.quantize(x, x_format)
        qw = framework.ops.quantize(w, w_format, **CHANNELS)
        scales = (
            framework.ops.scales(x, x_format),
            framework.ops.scales(w, w_format, **CHANNELS),
        )
        return framework.ops.arithmetic(
            operation,
            qx,
            qw,
            scales=scales if with_scales else (),
            float_function=lambda x, w: x @ framework.transposed(w),
        )

    y, gradients = framework.vjp(layer, [a, b], dy)
    _, wanted = framework.vjp(lambda x, w: layer(x, w, False), [a, b], dy)
    for found, one in zip(gradients, wanted, strict=True):
        assert_same_bits(found, one)
    y_compiled = framework.compiled(layer)(framework.tensor(a), framework.tensor(b))
    assert_same_bits(framework.array(y_compiled), y)


def refused(framework, operation, inputs, scales, text):
    with pytest.raises(Exception, match=re.escape(text)):  # each framework has its own classes
        framework.array(framework.ops.arithmetic(operation, *inputs, scales=scales))


def test_values_that_are_no_elements_times_these_scales_are_refused(framework):
    x = Operand(framework, numbers(2, 8), "int,8,scale=max")
    w = framework.tensor(np.ones((1, 8), np.float32))
    operation = ops.linear(**INT8, x_format="int,8,scale=max")
    text = "the input's numbers are not elements"
    refused(framework, operation, (x.tensor * 1.5, w), (x.scales,), text)
    refused(framework, operation, (x.tensor + 1e-3, w), (x.scales,), text)
    refused(framework, operation, (x.tensor, w), (x.scales * 3,), text)


def test_scales_that_do_not_fit_are_refused(framework):
    x = framework.tensor(np.ones((2, 8), np.float32))
    w = framework.tensor(np.ones((1, 8), np.float32))
    scales = framework.tensor(np.ones((2, 3), np.float32))
    operation = ops.linear(**INT8, x_format="int,8,block=4,scale=max")
    refused(framework, operation, (x, w), (scales,), "scales of (2 x 3) do not fit")
    refused(framework, ops.linear(**INT8), (x, w), (scales,), "scales of x need its format")
    plain = ops.linear(**INT8, x_format="fp16")
    refused(framework, plain, (x, w), (scales,), "'fp16' has no scales")
    refused(framework, operation, (x, w), (scales,) * 3, "scales")


def test_blocks_along_the_channels_need_the_order_tap(framework):
    x = Operand(framework, numbers(1, 8, 4), "int,8,block=4,scale=max", **OUTPUTS)
    w = framework.tensor(np.ones((1, 8, 2), np.float32))
    operation = ops.convolution(**INT8, x_format="int,8,block=4,scale=max", stride=(1,))
    refused(framework, operation, (x.tensor, w), (x.scales,), 'need the order "tap"')


def test_what_has_no_scales_is_refused(framework):
    x = framework.tensor(np.ones((2, 3), np.float16))
    with pytest.raises(TypeError, match="float32 or float64"):
        framework.ops.scales(x, "int,8,scale=max")
    x = framework.tensor(np.ones((2, 3), np.float32))
    with pytest.raises(tq.Error, match="'fp16' has no scales"):
        framework.ops.scales(x, "fp16")
    with pytest.raises(Exception, match="along several axes"):
        framework.array(framework.ops.scales(x, "mxfp4"))


def test_operations_that_see_values_alone_refuse_scales(framework):
    x = framework.tensor(np.ones((2, 3, 3), np.float32))
    scales = framework.tensor(np.ones((1, 1, 1), np.float32))
    operation = ops.softmax("none", "none")
    refused(framework, operation, (x,), (scales,), "need its format, x_format")
