"""Which axes of an array quantizers run along."""

import numpy as np
import pytest
from conftest import assert_same_bits, dtype_of

import tensorquant as tq

X = np.random.default_rng(3).normal(size=(3, 4, 5, 2)).astype(np.float32)
AXES = range(4)


def largest(x):
    """int,8,scale=max of one group, in NumPy: amax / 127, a division, ties to even, a product; no -0."""
    s = np.abs(x).max() / x.dtype.type(127)
    return (np.clip(np.round(x / s), -128, 127) + 0) * s


def over_lines(function, x, axis):
    return np.apply_along_axis(function, axis, x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", AXES)
def test_rows_blocks_and_channels_are_those_of_numpy(axis, dtype):
    x = X.astype(dtype)

    def blocks(line):
        return np.concatenate([largest(line[i : i + 3]) for i in range(0, len(line), 3)])

    row = tq.Quantizer("int,8,per=row,scale=max")(x, reduction_axis=axis)
    assert_same_bits(row, over_lines(largest, x, axis))
    block = tq.Quantizer("int,8,block=3,scale=max")(x, reduction_axis=axis)
    assert_same_bits(block, over_lines(blocks, x, axis))
    channel = tq.Quantizer("int,8,per=channel,scale=max")(x, channel_axis=axis)
    parts = [largest(part) for part in np.moveaxis(x, axis, 0)]
    assert_same_bits(channel, np.moveaxis(np.stack(parts), 0, axis))
    both = {"reduction_axis": (axis + 1) % 4, "channel_axis": axis}
    assert_same_bits(tq.Quantizer("int,8,per=channel,scale=max")(x, **both), channel)


def test_without_axes_rows_and_blocks_run_along_the_whole_array():
    line = X.reshape(-1)
    for spec in ("int,8,per=row,scale=max", "int,8,block=7,scale=max", "nvfp4"):
        wanted = tq.Quantizer(spec)(line, reduction_axis=0).reshape(X.shape)
        assert_same_bits(tq.Quantizer(spec)(X), wanted)
        assert_same_bits(tq.Quantizer(spec)(X, channel_axis=1), wanted)


def test_arrays_in_another_order_have_the_axes_that_they_show():
    q = tq.Quantizer("int,8,block=3,scale=max")
    x = np.asfortranarray(X)
    assert_same_bits(q(x, reduction_axis=1), q(X, reduction_axis=1))
    x = np.moveaxis(X, 1, -1)
    assert_same_bits(np.moveaxis(q(x, reduction_axis=-1), -1, 1), q(X, reduction_axis=1))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types_have_axes(dtype):
    x = X.astype(dtype_of(dtype))
    q = tq.Quantizer("int,4,block=2,scale=max")
    wanted = q(x.astype(np.float32), reduction_axis=1).astype(x.dtype)
    with pytest.warns(UserWarning, match="results are rounded"):
        assert_same_bits(q(x, reduction_axis=1), wanted)


@pytest.mark.parametrize("axis", AXES)
def test_gradients_are_clipped_by_each_groups_own_extremes(axis):
    """floor: 2^floor(log2 amax) / 4, so that up to 1.75 times 2^floor(log2 amax) passes."""
    q = tq.Quantizer("int,4,grad=clipped,per=row,scale=floor")
    dy = np.arange(1, X.size + 1, dtype=np.float32).reshape(X.shape)
    power = np.exp2(np.floor(np.log2(np.abs(X).max(axis, keepdims=True))))
    passes = (-2 * power <= X) & (X <= 1.75 * power)
    assert passes.any() and not passes.all()
    y = q(X, reduction_axis=axis)
    assert_same_bits(q.gradient(X, y, dy, reduction_axis=axis), np.where(passes, dy, 0))


def test_what_needs_a_layout_says_so():
    for spec in ("int,8,per=channel,scale=max", "int,8,per=row,scale=max", "mxfp4"):
        assert tq.Quantizer(spec).needs_layout
    for spec in ("int,8,scale=max", "nearest,8,4", "ternary"):
        assert not tq.Quantizer(spec).needs_layout


@pytest.mark.parametrize("name", ["reduction_axis", "channel_axis"])
@pytest.mark.parametrize("spec", ["mxfp4", "int,8,per=channel,scale=max", "nearest,8,4"])
def test_axes_that_an_array_has_not_are_refused(name, spec):
    q = tq.Quantizer(spec)
    for shape, wrong in (((3, 4), 2), ((3, 4), -3), ((), 0), ((0, 2), 5)):
        x = np.zeros(shape, np.float32)
        message = f"^{name}: x has no axis {wrong}, it has {len(shape)}$"
        with pytest.raises(tq.Error, match=message):
            q(x, **{name: wrong})
        with pytest.raises(tq.Error, match=message):
            q.gradient(x, x, x, **{name: wrong})
    with pytest.raises(TypeError, match=f"^{name}: expected an integer or None, got 0.5$"):
        q(X, **{name: 0.5})


@pytest.mark.parametrize("axes", [{}, {"reduction_axis": 0}])
@pytest.mark.parametrize("shape", [(2, 3), (0,), ()])
def test_channels_without_an_axis_are_refused(axes, shape):
    q, x = tq.Quantizer("int,8,per=channel,scale=max"), np.ones(shape, np.float32)
    axes = axes if shape else {}
    message = "^quantizer 'int,8,per=channel,scale=max': .* channel_axis= "
    with pytest.raises(tq.Error, match=message):
        q(x, **axes)
    with pytest.raises(tq.Error, match=message):
        q.gradient(x, x, x, **axes)


class Centred(tq.UserQuantizer):
    """Each line along the reduction axis without its mean, times the number of channels."""

    needs_layout = True

    def quantize(self, x, layout):
        if layout is None:
            return np.zeros_like(x)
        lines = x.reshape(layout.reduction)
        return (lines - lines.mean(1, keepdims=True)).reshape(-1) * x.dtype.type(
            layout.channel.length
        )

    def gradient(self, x, y, dy, layout):
        return dy * dy.dtype.type(0 if layout is None else layout.reduction.length)


def test_a_quantizer_of_ones_own_is_told_the_layout():
    q = Centred()
    centred = X - X.reshape(3, 4, 10).mean(1).reshape(3, 1, 5, 2)
    y = q(X, reduction_axis=1, channel_axis=2)
    np.testing.assert_allclose(y, centred * 5, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(q(X, reduction_axis=-3), centred, rtol=1e-5, atol=1e-6)
    assert_same_bits(q(X), np.zeros_like(X))
    dx = tq.Quantizer.gradient(q, X, y, X, reduction_axis=1)
    assert_same_bits(dx, X * np.float32(4))
    assert_same_bits(tq.Quantizer.gradient(q, X, y, X), np.zeros_like(X) * X)
    assert q.needs_layout


def test_the_layout_has_the_numbers_of_each_axis():
    seen = []

    class Keeps(tq.UserQuantizer):
        needs_layout = True

        def quantize(self, x, layout):
            seen.append(layout)
            return x

    Keeps()(X, reduction_axis=1, channel_axis=-1)
    Keeps()(X, reduction_axis=0)
    Keeps()(X, channel_axis=2)
    whole, one = (1, 120, 1), (1, 1, 120)
    assert seen == [((60, 2, 1), (3, 4, 10)), (one, (1, 3, 40)), ((12, 5, 2), whole)]
    assert all(isinstance(layout, tq.Layout) for layout in seen)
    assert tq.quantizer_map({"": Keeps()}).find("x").needs_layout
