"""A tensor that its owner gives up is quantized in its own memory, but only where nobody can see it."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.utils._python_dispatch import TorchDispatchMode

from tensorquant import Error
from tensorquant.ops import torch as torch_ops
from tensorquant.ops.torch import library, quantize, quantize_last

SPEC = "nearest,4,1"


def _random(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 4


def _both(make, spec=SPEC):
    """What quantize() makes of a tensor, and quantize_last() with whether it took the memory."""
    wanted = quantize(make(), spec)
    box = [make()]
    before = box[0].untyped_storage().data_ptr()
    found = quantize_last(box, spec)
    assert box == []
    assert torch.equal(found, wanted) and found.stride() == wanted.stride()
    return found.untyped_storage().data_ptr() == before


@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 5, 2)])
def test_fresh_memory_is_overwritten(shape):
    assert _both(lambda: _random(*shape))


@pytest.mark.parametrize("spec", [SPEC, "stochastic,8,4", "ternary", "float,4,3"])
def test_fresh_memory_in_another_order_is_overwritten_where_order_does_not_matter(spec):
    """Whatever depends on the order of elements needs a tensor in C order."""
    in_any_order = spec not in ("stochastic,8,4", "ternary")
    assert _both(lambda: _random(2, 3, 4, 5).permute(0, 2, 3, 1), spec) == in_any_order
    assert _both(lambda: _random(2, 3, 4, 5).permute(0, 2, 3, 1).permute(0, 3, 1, 2), spec)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_fresh_memory_is_overwritten_in_each_mode(mode):
    with mode():
        assert _both(lambda: _random(3, 5))
        assert _both(lambda: _random(3, 5).t())


def test_a_tensor_with_gaps_is_not_overwritten():
    assert not _both(lambda: _random(8)[::2])
    assert not _both(lambda: _random(1).expand(5))


ALIASES = {
    "itself": lambda x, keep: keep(x),
    "its base": lambda x, keep: (keep(x), x.t())[1],
    "another view": lambda x, keep: (keep(x.t()), x)[1],
    "a view of its base": lambda x, keep: (keep(x[1:]), x.t())[1],
    "detached": lambda x, keep: (keep(x.detach()), x)[1],
    "storage": lambda x, keep: (keep(x.untyped_storage()), x)[1],
    "NumPy": lambda x, keep: (keep(x.numpy()), x)[1],
    "DLPack": lambda x, keep: (keep(np.from_dlpack(x)), x)[1],
    "a capsule": lambda x, keep: (keep(torch.utils.dlpack.to_dlpack(x)), x)[1],
}


@pytest.mark.parametrize("name", ALIASES)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_a_tensor_that_somebody_holds_is_not_overwritten(name, mode):
    kept = []

    def keep(alias):
        kept.append(alias)
        return alias

    with mode():
        box = [ALIASES[name](_random(3, 5), keep)]
        memory = box[0].untyped_storage().data_ptr()
        y = quantize_last(box, SPEC)
    assert len(kept) == 1
    assert y.untyped_storage().data_ptr() != memory


def test_a_tensor_that_a_graph_holds_is_not_overwritten():
    weights = torch.ones(3, 5, requires_grad=True)
    box = [_random(3, 5)]
    product = weights * box[0]
    quantize_last(box, SPEC)
    product.sum().backward()
    assert torch.equal(weights.grad, _random(3, 5))


def test_memory_of_another_library_is_not_overwritten():
    array = np.array([0.3, -0.3, 9.0], np.float32)
    quantize_last([torch.from_numpy(array)], SPEC)
    assert array.tolist() == np.array([0.3, -0.3, 9.0], np.float32).tolist()


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"stream": 2**32}, {"step": 1.5}])
def test_a_wrong_number_leaves_the_tensor_in_its_box(wrong):
    box = [torch.tensor([0.3])]
    with pytest.raises((Error, TypeError), match=f"^{next(iter(wrong))}: "):
        quantize_last(box, SPEC, **wrong)
    assert len(box) == 1


def test_a_parameter_is_not_overwritten():
    parameter = torch.nn.Parameter(torch.tensor([0.3]))
    with torch.no_grad():
        quantize_last([parameter], SPEC)
    assert parameter.tolist() == torch.tensor([0.3]).tolist()


def test_the_gradient_is_that_of_the_quantizer():
    x = torch.tensor([0.3, 9.0], requires_grad=True)
    y = quantize_last([x * 1], "nearest,4,1,grad=clipped")
    y.sum().backward()
    assert x.grad.tolist() == [1, 0]


def test_transforms_give_what_they_give_of_quantize():
    """Their tensors stand for others and have no memory."""
    x = _random(3, 5)

    def function(x):
        return quantize_last([x * 2], SPEC)

    assert torch.equal(torch.vmap(function)(x), quantize(x * 2, SPEC))
    gradient = torch.func.grad(lambda x: function(x).sum())(x)
    assert torch.equal(gradient, torch.full((3, 5), 2.0))


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.to_sparse(),
        lambda x: x.to_sparse_csr(),
        lambda x: x.to_mkldnn(),
        lambda x: torch.nested.nested_tensor([x, x[:2]]),
    ],
)
def test_tensors_without_memory_of_their_own_are_refused(make):
    with pytest.raises(TypeError, match="expected a dense tensor, found one of layout"):
        quantize(make(_random(3, 5)), SPEC)
    with pytest.raises(TypeError, match="expected a dense tensor, found one of layout"):
        quantize_last([make(_random(3, 5))], SPEC)


def test_tensors_that_only_look_dense_are_quantized_by_value():
    """PyTorch makes them when it is asked for their values."""
    x = _random(3, 5)
    for make, wanted in (
        (lambda: torch._efficientzerotensor(3, 5), torch.zeros(3, 5)),
        (lambda: torch._neg_view(x.clone()), quantize(-x, SPEC)),
    ):
        assert torch.equal(quantize(make(), SPEC), wanted)
        assert torch.equal(quantize_last([make()], SPEC), wanted)


def test_compiled_it_gives_what_quantize_gives():
    function = torch.compile(
        lambda x: quantize_last([x * 2], SPEC), backend="aot_eager", fullgraph=True
    )
    x = _random(3, 5)
    assert torch.equal(function(x), quantize(x * 2, SPEC))


class _Mode(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen.append(function.name())
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "function, name",
    [
        (lambda x: quantize(x, SPEC), "tensorquant::quantize"),
        (lambda x: quantize_last([x * 2], SPEC), "tensorquant::quantize_"),
    ],
)
def test_who_records_ops_sees_them(function, name):
    """Where nobody does, the ops go past PyTorch's dispatcher."""
    x = _random(3, 5)
    wanted = function(x)
    with _Mode() as mode:
        assert torch.equal(function(x), wanted)
    assert name in mode.seen
    with torch.profiler.profile() as profile:
        assert torch.equal(function(x), wanted)
    assert name in [event.key for event in profile.key_averages()]
    assert f"{name}(" in str(torch.jit.trace(function, x).graph)


def test_pytorch_lends_its_threads():
    """What they compute is compared with other threads' results in test_quantize.py."""
    assert (library._pool is not None) == torch.backends.openmp.is_available()


@pytest.mark.parametrize(
    "look",
    [
        lambda x: x.t(),
        lambda x: x[:2],
        lambda x: x[1:],
        lambda x: x[::2],
        lambda x: x.view(torch.int32),
        lambda x: x.clone(),
    ],
)
def test_a_version_tells_another_look_at_the_same_memory(look):
    """Which an assignment to .data gives, uncounted."""
    x = _random(4, 4)
    before = torch_ops.version(x)
    assert torch_ops.version(x) == before
    x.data = look(x.data)
    assert torch_ops.version(x) != before
