"""Which axes of a tensor quantizers run along, in each framework."""

import golden
import numpy as np
import pytest
from frameworks import assert_same_bits

import tensorquant as tq

X = np.random.default_rng(3).normal(size=(3, 4, 5, 2)).astype(np.float32)
DY = np.arange(1, X.size + 1, dtype=np.float32).reshape(X.shape)
ROW = "int,4,grad=clipped,per=row,scale=floor"
CALLS = [
    (ROW, {"reduction_axis": 1}),
    (ROW, {"reduction_axis": -1}),
    ("int,4,block=3,grad=clipped,scale=floor", {"reduction_axis": -2, "channel_axis": 0}),
    ("int,4,grad=clipped,per=channel,scale=floor", {"channel_axis": 2}),
    ("nvfp4", {"reduction_axis": 0}),
]


def by_numpy(spec, axes, x=X, dy=DY):
    q = tq.Quantizer(spec)
    y = q(x, **axes)
    return y, q.gradient(x, y, dy, **axes)


def test_outputs_have_the_golden_bits(framework):
    for entry in golden.format_vectors():
        x, wanted = (golden.read_format(entry, name) for name in ("input", "output"))
        axes = {key: entry[key] for key in ("reduction_axis", "channel_axis") if key in entry}
        context = golden.context_of(entry)
        y = framework.ops.quantize(framework.tensor(x), entry["quantizer"], **context, **axes)
        assert_same_bits(framework.array(y), wanted)


@pytest.mark.parametrize("spec, axes", CALLS)
def test_outputs_and_gradients_are_those_of_numpy(framework, spec, axes):
    def function(t):
        return framework.ops.quantize(t, spec, **axes)

    wanted, wanted_dx = by_numpy(spec, axes)
    for call in (function, framework.compiled(function)):
        y, (dx,) = framework.vjp(call, [X], DY)
        assert_same_bits(y, wanted)
        assert_same_bits(dx, wanted_dx)
        assert_same_bits(framework.array(call(framework.tensor(X))), wanted)


@pytest.mark.parametrize("spec, axes", CALLS[:-1])
def test_transposed_tensors_have_the_axes_that_they_show(framework, spec, axes):
    x = np.ascontiguousarray(X[0, :, :, 0])
    axes = {name: axis % 2 for name, axis in axes.items()}
    wanted, wanted_dx = by_numpy(spec, axes, x.T, np.ascontiguousarray(DY[0, :, :, 0]).T)

    def function(t):
        return framework.ops.quantize(framework.transposed(t), spec, **axes)

    y, (dx,) = framework.vjp(function, [x], np.ascontiguousarray(DY[0, :, :, 0]).T.copy())
    assert_same_bits(np.ascontiguousarray(y), np.ascontiguousarray(wanted))
    assert_same_bits(np.ascontiguousarray(dx.T), np.ascontiguousarray(wanted_dx))


@pytest.mark.parametrize("spec, axes", CALLS)
@pytest.mark.filterwarnings("ignore:There is a performance drop")  # PyTorch's gradient, one by one
def test_vmap_does_not_shift_axes(framework, spec, axes):
    """The batch's axis is none of the axes of a tensor in it."""
    x = np.stack([X, X[::-1] * 3, X[:, ::-1] * 7])
    alone = [by_numpy(spec, axes, np.ascontiguousarray(one), DY) for one in x]
    function = framework.vmapped(lambda t: framework.ops.quantize(t, spec, **axes))
    y, (dx,) = framework.vjp(function, [x], np.stack([DY] * 3))
    assert_same_bits(y, np.stack([one[0] for one in alone]))
    assert_same_bits(dx, np.stack([one[1] for one in alone]))
    assert_same_bits(framework.array(function(framework.tensor(x))), y)


@tq.register_quantizer("centred")
class Centred(tq.UserQuantizer):
    """Lines along the reduction axis less their first element; each gradient times their length."""

    needs_layout = True

    def quantize(self, x, layout):
        lines = x.reshape(layout.reduction)
        return (lines - lines[:, :1]).reshape(-1)

    def gradient(self, x, y, dy, layout):
        return dy * dy.dtype.type(layout.reduction.length)


def test_a_quantizer_of_ones_own_is_told_the_layout(framework):
    def function(t):
        return framework.ops.quantize(t, "centred", reduction_axis=1)

    y, (dx,) = framework.vjp(function, [X], DY)
    assert_same_bits(y, X - X[:, :1])
    assert_same_bits(dx, DY * np.float32(4))


def test_an_axis_may_be_an_integer_of_numpy(framework):
    for spec, axes in CALLS:
        axes = {name: np.int64(axis) for name, axis in axes.items()}
        y = framework.array(framework.ops.quantize(framework.tensor(X), spec, **axes))
        assert_same_bits(y, by_numpy(spec, axes)[0])


def test_axes_that_a_tensor_has_not_are_refused_at_once(framework):
    t = framework.tensor(X)
    quantize = framework.ops.quantize
    for spec in ("mxfp4", "nearest,8,4"):
        for name in ("reduction_axis", "channel_axis"):
            for wrong in (4, -5):
                with pytest.raises(tq.Error, match=f"^{name}: x has no axis {wrong}, it has 4$"):
                    quantize(t, spec, **{name: wrong})
            with pytest.raises(TypeError, match=f"^{name}: expected an integer, got 0.5$"):
                quantize(t, spec, **{name: 0.5})
    for axes in ({}, {"reduction_axis": 1}):
        with pytest.raises(tq.Error, match=r"^quantizer '.*': .* channel_axis= "):
            quantize(t, "int,8,per=channel,scale=max", **axes)


def test_in_any_memory_format_pytorch_s_tensors_have_the_axes_that_they_show():
    torch = pytest.importorskip("torch")
    from tensorquant.ops.torch import quantize, quantize_last

    for spec, axes in CALLS:
        wanted, wanted_dx = by_numpy(spec, axes)
        t = torch.from_numpy(X.copy()).to(memory_format=torch.channels_last).requires_grad_()
        y = quantize(t, spec, **axes)
        (dx,) = torch.autograd.grad(y, t, torch.from_numpy(DY.copy()))
        assert_same_bits(y.detach().contiguous().numpy(), wanted)
        assert_same_bits(dx.contiguous().numpy(), wanted_dx)
        for make in (t.detach().clone, torch.from_numpy(X).clone):
            assert_same_bits(quantize_last([make()], spec, **axes).contiguous().numpy(), wanted)


def test_tensorflow_finds_the_axes_of_a_tensor_of_unknown_rank_when_it_runs():
    tf = pytest.importorskip("tensorflow")
    from tensorquant.ops.tensorflow import quantize

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32)])
    def function(t):
        return quantize(t, ROW, reduction_axis=-2)

    for x in (X, X[0], X[0, 0]):
        assert_same_bits(function(tf.constant(x)).numpy(), tq.Quantizer(ROW)(x, reduction_axis=-2))
    with pytest.raises(tf.errors.InvalidArgumentError, match="a tensor of 1 axis has not the redu"):
        function(tf.constant(X[0, 0, 0]))
