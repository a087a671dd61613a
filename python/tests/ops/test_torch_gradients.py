"""What PyTorch's op keeps for its gradient: beside changes in place, sparse gradients, transforms."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.utils.checkpoint import checkpoint

import tensorquant as tq
from tensorquant.ops.torch import quantize

CLIPPED = "nearest,8,4,grad=clipped"  # -8 .. 7.9375


@tq.register_quantizer("shows_all")
class ShowsAll(tq.UserQuantizer):
    def quantize(self, x):
        return np.floor(x)

    def gradient(self, x, y, dy):
        return (x + 10 * y + 100) * dy


def _leaf(*values, dtype=torch.float32):
    return torch.tensor(values, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("spec, wanted", [(CLIPPED, [0, 1, 1, 0]), ("nearest,8,4", [1, 1, 1, 1])])
def test_input_and_output_may_change_before_the_way_back(spec, wanted, dtype):
    x = _leaf(-9, -8, 3, 9, dtype=dtype)
    h = x * 1
    y = quantize(h, spec)
    h.zero_()
    y += 1
    torch.nn.functional.relu(y, inplace=True).mul(torch.ones_like(y)).sum().backward()
    passes = [w * (v > -1) for w, v in zip(wanted, (-8, -8, 3, 7.9375))]
    assert x.grad.tolist() == passes


def test_a_module_in_place_behind_a_clipped_output_leaves_the_gradient_right():
    conv = torch.nn.Conv2d(2, 3, 3)
    images = torch.randn(2, 2, 6, 6)
    dy = torch.randn(2, 3, 4, 4)
    with torch.no_grad():
        conv.weight.mul_(40)
    u = conv(images)
    q = u.detach()
    passes = (q >= -8) & (q <= 7.9375) & (quantize(q, CLIPPED) > 0)
    (wanted,) = torch.autograd.grad(u, conv.weight, dy * passes)
    model = torch.nn.ReLU(inplace=True)
    (found,) = torch.autograd.grad(model(quantize(conv(images), CLIPPED)), conv.weight, dy)
    assert torch.equal(found, wanted) and not passes.all()


def test_a_parameter_may_change_before_the_way_back():
    weight, bias = _leaf(0.5, 9), _leaf(1, -9)
    y = torch.tensor([2.0, 3.0], requires_grad=True) * quantize(weight, CLIPPED)
    y = y + quantize(bias, CLIPPED)
    with torch.no_grad():
        weight.add_(100)
        bias.sub_(100)
    y.sum().backward()
    assert weight.grad.tolist() == [2, 0] and bias.grad.tolist() == [1, 0]


def test_a_user_s_gradient_sees_the_output_as_it_was():
    x = _leaf(1, 2.5)
    y = quantize(x * 1, "shows_all")
    y += 1
    y.sum().backward()
    assert x.grad.tolist() == [111, 122.5]


def test_a_user_s_gradient_refuses_an_input_that_has_changed():
    h = _leaf(1, 2.5) * 1
    y = quantize(h, "shows_all")
    h += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def _saved_bytes(function, x):
    sizes = []

    def pack(tensor):
        sizes.append(tensor.numel() * tensor.element_size())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        function(x)
    return sizes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_byte_an_element_is_kept(dtype):
    x = torch.zeros(100, dtype=dtype, requires_grad=True)
    assert _saved_bytes(lambda t: quantize(t, CLIPPED), x) == [100]
    assert _saved_bytes(lambda t: quantize(t, "nearest,8,4"), x) == []
    with torch.no_grad():
        assert _saved_bytes(lambda t: quantize(t, CLIPPED), x) == []


@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x,
        lambda x: x.permute(0, 2, 3, 1),
        lambda x: x[..., ::2],
        lambda x: x[:1].expand(2, 3, 4, 5),
        torch._neg_view,
    ],
)
def test_a_clipped_gradient_is_right_in_every_layout(layout):
    x = (torch.randn(2, 3, 4, 5) * 10).requires_grad_()
    values = layout(x)
    dy = torch.randn(values.shape)
    (found,) = torch.autograd.grad(quantize(values, CLIPPED), values, dy)
    passes = (values >= -8) & (values <= 7.9375)
    assert torch.equal(found, torch.where(passes, dy, 0))


def test_nan_and_infinity_come_through_within_the_bounds_alone():
    x = _leaf(0, 9, float("nan"), 0, 9)
    dy = torch.tensor([float("nan"), float("nan"), 1, float("inf"), float("-inf")])
    (dx,) = torch.autograd.grad(quantize(x, CLIPPED), x, dy)
    wanted = torch.tensor([float("nan"), 0, 0, float("inf"), 0])
    assert torch.equal(dx.view(torch.int32), wanted.view(torch.int32))


def test_a_clipped_gradient_has_a_gradient():
    x = _leaf(1, 2, -1)
    y = quantize(x**3, CLIPPED)  # 1, 8, -1
    (dx,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    assert dx.tolist() == [3, 0, 3]
    assert torch.autograd.grad(dx.sum(), x)[0].tolist() == [6, 0, -6]
    y = quantize(x * 1, "shows_all").square()
    (dx,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        dx.sum().backward()


def test_a_graph_may_be_used_twice():
    x = _leaf(1, 9)
    y = quantize(x, CLIPPED).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [2, 0]


def test_sparse_gradients_are_clipped_and_stay_sparse():
    weight = torch.tensor([[0.5, 9], [-9, 0.25], [1, -1]], requires_grad=True)
    rows = torch.tensor([0, 1, 0, 2])

    def gradient(spec, sparse):
        y = torch.nn.functional.embedding(rows, quantize(weight, spec), sparse=sparse)
        return torch.autograd.grad((y * torch.tensor([3.0, 5.0])).sum(), weight)[0]

    found = gradient(CLIPPED, sparse=True)
    assert found.is_sparse
    assert found.to_dense().tolist() == [[6, 0], [0, 5], [3, 5]]
    assert torch.equal(gradient(CLIPPED, sparse=False), found.to_dense())
    assert gradient("nearest,8,4", sparse=True).is_sparse
    assert torch.equal(gradient("shows_all", sparse=True), gradient("shows_all", sparse=False))


def test_an_optimizer_for_sparse_gradients_takes_them():
    weight = torch.tensor([[0.5, 9], [1, 2]], requires_grad=True)
    optimizer = torch.optim.SparseAdam([weight], lr=0.5)
    torch.nn.functional.embedding(
        torch.tensor([0]), quantize(weight, CLIPPED), sparse=True
    ).sum().backward()
    optimizer.step()
    assert weight[0, 1] == 9 and weight[1].tolist() == [1, 2]
    assert weight[0, 0] < 0.01


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_a_checkpoint_recomputes_the_same_gradient(use_reentrant):
    x = _leaf(1, 9)
    y = checkpoint(lambda t: quantize(t, CLIPPED).mul_(2), x, use_reentrant=use_reentrant)
    y.sum().backward()
    assert x.grad.tolist() == [2, 0]


def test_transforms_of_gradients_are_those_of_each_row():
    x = torch.tensor([[1.0, 9, -9], [9, 2, 3]])
    factors = torch.tensor([1.0, 2, 3])
    wanted = torch.tensor([[1.0, 0, 0], [0, 2, 3]])

    def loss(row):
        return (quantize(row, CLIPPED) * factors).sum()

    assert torch.equal(torch.vmap(torch.func.grad(loss))(x), wanted)
    assert torch.equal(torch.func.grad(lambda x: torch.vmap(loss)(x).sum())(x), wanted)
    assert torch.equal(
        torch.func.jacrev(lambda row: quantize(row, CLIPPED))(x[0]), torch.diag(wanted[0])
    )


def test_where_no_gradient_reaches_it_none_goes_on():
    class Nothing(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, dy):
            return None

    for spec in (CLIPPED, "shows_all"):
        x = _leaf(1, 2)
        Nothing.apply(quantize(x, spec)).sum().backward()
        assert x.grad is None
