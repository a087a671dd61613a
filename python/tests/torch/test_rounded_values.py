"""Normalizations, softmax, functions and attention with every operation rounded."""

import copy
import json
import math
from pathlib import Path

import hands
import models
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tensorquant as tq
import tensorquant.torch as tqt

FILE = Path(__file__).parents[3] / "tests" / "golden" / "arithmetic_values.jsonl"
VALUE = {"product": "float,8,10", "accumulator": "float,8,13"}
EXACT = {"product": "none", "accumulator": "none"}


def from_hex(digits, dtype, shape):
    values = np.frombuffer(bytes.fromhex(digits), np.dtype(dtype).newbyteorder(">"))
    return torch.from_numpy(values.astype(dtype).reshape(shape))


def golden(kind):
    """The vectors that a layer can have: without random rounding, whose streams are its own."""
    entries = [json.loads(line) for line in FILE.read_text().splitlines()]
    return [
        e
        for e in entries
        if e["kind"] == kind
        and "stochastic" not in e["product"] + e["accumulator"] + str(e.get("outer"))
    ]


ACTIVATIONS = {
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
    "softplus": nn.Softplus,
    "hardsigmoid": nn.Hardsigmoid,
    "hardswish": nn.Hardswish,
}


def layer_of(entry):
    kind, shape = entry["kind"], entry["shape"]
    if kind == "function":
        make = ACTIVATIONS.get(shape["function"])
        return None if make is None else make()
    if kind == "softmax":
        return nn.Softmax(-1)
    if kind == "log_softmax":
        return nn.LogSoftmax(-1)
    eps = float(from_hex(entry["eps"], entry["type"], ()))
    has_gamma, has_beta = "gamma" in entry, "beta" in entry
    if kind == "group_norm":
        return nn.GroupNorm(shape["groups"], shape["x"][1], eps, affine=has_gamma)
    sizes = shape["x"][-shape["dimensions"] :]
    if kind == "rms_norm":
        return nn.RMSNorm(sizes, eps, elementwise_affine=has_gamma)
    return nn.LayerNorm(sizes, eps, elementwise_affine=has_gamma, bias=has_beta)


def with_numbers(layer, entry):
    if "gamma" in entry:
        layer.to(from_hex(entry["gamma"], entry["type"], (-1,)).dtype)
    with torch.no_grad():
        for name, key in (("weight", "gamma"), ("bias", "beta")):
            parameter = getattr(layer, name, None)
            if key in entry:
                parameter.copy_(from_hex(entry[key], entry["type"], parameter.shape))
            elif parameter is not None:
                return None  # a group norm has both or none
    return layer


@pytest.mark.parametrize(
    "kind", ["function", "softmax", "log_softmax", "layer_norm", "rms_norm", "group_norm"]
)
def test_layers_have_the_golden_bits(kind):
    tested = 0
    for entry in golden(kind):
        layer = layer_of(entry)
        layer = layer and with_numbers(layer, entry)
        if layer is None:
            continue
        count = len(entry["a"]) // (8 if entry["type"] == "float32" else 16)
        x = from_hex(entry["a"], entry["type"], entry["shape"].get("x", (count,)))
        inside = {key: entry[key] for key in ("product", "accumulator", "accumulate")}
        if "outer" in entry:
            inside["outer"] = {"accumulator": "none", **entry["outer"]}
        tqt.quantize_model(layer, intrinsic={"": inside})
        wanted = from_hex(entry["y"], entry["type"], x.shape)
        assert hands.same_bits(layer(x), wanted), entry
        tested += 1
    assert tested > 30


LAYERS = {
    "layer norm": (lambda: nn.LayerNorm((3, 4)), (2, 3, 4)),
    "rms norm": (lambda: nn.RMSNorm(4), (2, 3, 4)),
    "group norm": (lambda: nn.GroupNorm(2, 4), (2, 4, 3, 2)),
    "instance norm": (lambda: nn.InstanceNorm2d(4, affine=True), (2, 4, 3, 2)),
    "batch norm": (lambda: nn.BatchNorm2d(4), (5, 4, 3, 2)),
    "batch norm in inference": (lambda: nn.BatchNorm1d(4).eval(), (5, 4)),
    "softmax": (lambda: nn.Softmax(1), (2, 5, 3)),
    "softmax of channels": (nn.Softmax2d, (2, 5, 3, 2)),
    "log softmax": (lambda: nn.LogSoftmax(-1), (2, 5)),
    "leaky relu": (lambda: nn.LeakyReLU(0.1), (3, 4)),
    "silu in place": (lambda: nn.Sequential(nn.Linear(4, 4), nn.SiLU(inplace=True)), (3, 4)),
    "glu": (nn.GLU, (3, 4)),
    **{name: (make, (3, 4)) for name, make in ACTIVATIONS.items()},
}


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_the_float_layers(name):
    """Of one operation: at the same numbers, as its operands are the layer's own."""
    make, shape = LAYERS[name]
    layer, x = make(), torch.randn(shape)
    for module in layer.modules():
        if "Norm" in type(module).__name__:
            nn.init.normal_(module.weight)
    wanted, before = hands.gradients(layer, x), layer(x).detach()
    tqt.quantize_model(layer, intrinsic={"": VALUE})
    y = layer(x).detach()
    assert torch.allclose(y, before, atol=0.05, rtol=0.01)
    assert not hands.same_bits(y, before)
    found = hands.gradients(layer, x)
    if name in ("glu", "leaky relu", "silu in place"):
        assert all(torch.allclose(a, b, atol=0.1, rtol=0.05) for a, b in zip(found, wanted))
    else:
        assert hands.same_bits(found, wanted)


def test_a_batch_norm_in_training_moves_its_statistics_as_the_float_layer():
    layer, x = nn.BatchNorm2d(4), torch.randn(5, 4, 3, 2)
    other = nn.BatchNorm2d(4)
    other(x)
    tqt.quantize_model(layer, intrinsic={"": VALUE})
    layer(x)
    assert hands.same_bits(list(layer.buffers()), list(other.buffers()))


NORMS = [name for name in LAYERS if "norm" in name]


@pytest.mark.parametrize("name", NORMS)
def test_norms_of_half_types_compute_in_their_float32_parameters(name):
    make, shape = LAYERS[name]
    layer, x = make(), (torch.randn(shape) + 50).bfloat16()
    type_of_float = layer(x).dtype
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    wanted = tqt.quantize_model(copy.deepcopy(layer), intrinsic={"": VALUE})(x.float())
    tqt.quantize_model(layer, intrinsic={"": VALUE})
    y = layer(x)
    assert y.dtype == type_of_float == torch.bfloat16
    assert hands.same_bits(y, wanted.bfloat16())
    found = hands.gradients(layer, x)
    assert [g.dtype for g in found] == [p.dtype for p in (*layer.parameters(), x)]


@pytest.mark.parametrize(
    "first, norm, shape",
    [
        (nn.Linear(4, 3), nn.LayerNorm(3), (2, 4)),
        (nn.Conv2d(4, 3, 1), nn.BatchNorm2d(3), (2, 4, 3, 3)),
    ],
)
def test_a_rounded_norm_reads_what_a_float_layer_gives_under_autocast(first, norm, shape):
    x = torch.randn(shape)
    alone = tqt.quantize_model(copy.deepcopy(norm), intrinsic={"": VALUE})
    model = tqt.quantize_model(nn.Sequential(first, norm), intrinsic={"=1": VALUE})
    with torch.autocast("cpu", torch.bfloat16):
        given, y = first(x), model(x)
    assert given.dtype == torch.bfloat16
    assert hands.same_bits(y, alone(given.float()).bfloat16())


def test_an_rms_norm_of_a_half_type_has_the_epsilon_of_float32():
    x = torch.full((1, 4), 2.0**-10, dtype=torch.bfloat16)
    model = tqt.quantize_model(nn.Sequential(nn.RMSNorm(4)), intrinsic={"": EXACT})
    wanted = 2.0**-10 / math.sqrt(2.0**-20 + 2.0**-23)
    assert hands.same_bits(model(x), torch.full((1, 4), wanted).bfloat16())


def test_the_gradient_of_a_leaky_relu_at_zero_is_its_slope():
    x = torch.tensor([0.0, -0.0, -1.0, 1.0], requires_grad=True)
    tqt.quantize_model(nn.Sequential(nn.LeakyReLU(0.25)), intrinsic={"": VALUE})(x).sum().backward()
    assert x.grad.tolist() == [0.25, 0.25, 0.25, 1.0]


@pytest.mark.parametrize("options", [{"beta": 2}, {"threshold": 1}])
def test_a_softplus_of_another_shape_is_refused(options):
    model = tqt.quantize_model(nn.Sequential(nn.Softplus(**options)), intrinsic={"": VALUE})
    with pytest.raises(tq.Error, match="'0'.*a beta or a threshold"):
        model(torch.ones(2))


class Calls(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.scale = nn.Parameter(torch.randn(4))
        self.how = how

    def forward(self, x):
        return self.how(x, self.scale)


def quantized(x, spec=VALUE["accumulator"]):
    return hands.quantized(x, spec).float()


def product(x):
    return quantized(x, VALUE["product"])


CALLS = {
    "x + y": (lambda x, s: x + s, lambda x, s: quantized(x + s)),
    "2 - y": (lambda x, s: 2 - x, lambda x, s: quantized(2 - x)),
    "x - y": (lambda x, s: x - s, lambda x, s: quantized(x - s)),
    "x * y": (lambda x, s: x * s, lambda x, s: product(x * s)),
    "x / y": (lambda x, s: x / s, lambda x, s: product(x / s)),
    "1 / x": (lambda x, s: 1 / x, lambda x, s: product(1 / x)),
    "square": (lambda x, s: x.pow(2), lambda x, s: product(x * x)),
    "cube": (lambda x, s: x**3, lambda x, s: product(product(x * x).double() * x)),
    "root": (lambda x, s: x.abs().sqrt(), lambda x, s: product(x.abs().sqrt())),
    "rsqrt": (lambda x, s: torch.rsqrt(x.abs()), lambda x, s: product(1 / x.abs().sqrt())),
    "in place": (lambda x, s: x.clone().mul_(s), lambda x, s: product(x * s)),
    "exp": (lambda x, s: torch.exp(x), lambda x, s: product(x.exp())),
}


@pytest.mark.parametrize("name", CALLS)
def test_functions_in_a_layer_are_rounded_once(name):
    """float64 tells their numbers far better than 10 bits ask for."""
    how, wanted = CALLS[name]
    model, x = nn.Sequential(Calls(how)), torch.randn(3, 4)
    scale = model[0].scale.detach()
    tqt.quantize_model(model, intrinsic={"": VALUE})
    assert hands.same_bits(model(x), wanted(x.double(), scale.double()))


WITH_NUMBERS = {
    "x * 0.1": lambda x, s: x * 0.1,
    "0.1 * x": lambda x, s: 0.1 * x,
    "x / 0.1": lambda x, s: x / 0.1,
    "x + 0.1": lambda x, s: x + 0.1,
    "0.1 - x": lambda x, s: 0.1 - x,
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", WITH_NUMBERS)
def test_a_number_beside_a_tensor_has_the_precision_of_pytorch(name, dtype):
    model, x = nn.Sequential(Calls(WITH_NUMBERS[name])), torch.arange(1, 200).to(dtype)
    wanted = model(x)
    assert hands.same_bits(tqt.quantize_model(model, intrinsic={"": EXACT})(x), wanted)


@pytest.mark.parametrize(
    "how",
    [
        lambda x, s: torch.softmax(x, -1, torch.float32),
        lambda x, s: x.softmax(-1, torch.float32),
        lambda x, s: torch.log_softmax(x, -1, torch.float32),
        lambda x, s: F.softmax(x, -1, 3, torch.float32),
        lambda x, s: F.log_softmax(x, -1, dtype=torch.float32),
    ],
)
def test_a_softmax_computes_in_the_type_that_it_is_told(how):
    model, x = nn.Sequential(Calls(how)), torch.randn(3, 4).bfloat16()
    tqt.quantize_model(model, intrinsic={"": VALUE})
    y = model(x)
    assert y.dtype == torch.float32 and hands.same_bits(y, model(x.float()))
    assert not hands.same_bits(y, y.bfloat16().float())


@pytest.mark.parametrize("dims", [[], (), None])
def test_no_dimension_to_add_up_means_all(dims):
    """Each step rounds 0 + 1/2 to the even 0, where a float sum would be 4."""
    x, inside = torch.full((2, 4), 0.5), {"product": "none", "accumulator": "even,8,0"}
    both = Calls(lambda x, s: (x.sum(dims), x.mean(dim=dims)))
    found = tqt.quantize_model(nn.Sequential(both), intrinsic={"": inside})(x)
    assert [y.tolist() for y in found] == [0.0, 0.0]


@pytest.mark.parametrize("dims", [2, -3, (0, 2), (1, 1), (0, -2)])
def test_dimensions_that_are_not_there_or_there_twice_are_pytorchs_errors(dims):
    model, x = nn.Sequential(Calls(lambda x, s: x.sum(dims))), torch.ones(2, 3)
    with pytest.raises((IndexError, RuntimeError)) as wanted:
        model(x)
    tqt.quantize_model(model, intrinsic={"": VALUE})
    with pytest.raises(wanted.type, match="Dimension out of range|list of dims"):
        model(x)


@pytest.mark.parametrize("dim", [None, 0, -1])
def test_the_sum_of_a_single_number_is_rounded(dim):
    inside = {"product": "none", "accumulator": "even,8,0"}
    model = nn.Sequential(Calls(lambda x, s: torch.sum(x, dim) if dim is not None else x.sum()))
    assert tqt.quantize_model(model, intrinsic={"": inside})(torch.tensor(1.5)).item() == 2


def test_means_add_up_step_by_step():
    model, x = (
        nn.Sequential(Calls(lambda x, s: x.mean((0, -1), keepdim=True))),
        torch.randn(2, 3, 4),
    )
    tqt.quantize_model(model, intrinsic={"": VALUE})
    sums = torch.zeros(3, dtype=torch.float64)
    for i in range(2):
        for k in range(4):
            sums = quantized(sums + x[i, :, k].double()).double()
    assert hands.same_bits(model(x), product(sums / 8).view(1, 3, 1))


def attention_by_hand(q, k, v, mask):
    """With tq.matmul for products of matrices, and float64 for single operations."""

    def matmul(a, b):
        y = [
            tq.matmul(i.numpy(), np.ascontiguousarray(j.numpy()), **VALUE)
            for i, j in zip(a.flatten(0, -3), b.flatten(0, -3))
        ]
        return torch.from_numpy(np.stack(y)).view(*a.shape[:-1], b.shape[-1])

    scores = product(matmul(q, k.mT).double() / math.sqrt(q.shape[-1]))
    scores = scores.masked_fill(~mask, -math.inf)
    difference = quantized(scores.double() - scores.double().amax(-1, keepdim=True))
    powers = product(difference.double().exp())
    sums = torch.zeros(powers.shape[:-1], dtype=torch.float64)
    for e in powers.unbind(-1):
        sums = quantized(sums + e.double()).double()
    return matmul(product(powers.double() / sums[..., None]), v)


@pytest.mark.parametrize("is_causal", [True, False])
def test_attention_is_rounded_operation_by_operation(is_causal):
    q, k, v = (torch.randn(2, 2, 5, 4) for _ in range(3))
    mask = torch.ones(5, 5, dtype=torch.bool).tril() if is_causal else torch.rand(5, 5) > 0.3
    mask = mask | torch.eye(5, dtype=torch.bool)
    given = {"is_causal": True} if is_causal else {"attn_mask": mask}
    how = lambda x, s: F.scaled_dot_product_attention(q, k, v, **given)
    model = tqt.quantize_model(nn.Sequential(Calls(how)), intrinsic={"": VALUE})
    assert hands.same_bits(model(q), attention_by_hand(q, k, v, mask))


class Projected(nn.Module):
    """Attention of what layers return, which quantizers give scales."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Identity(), nn.Identity(), nn.Identity()

    def forward(self, x):
        return F.scaled_dot_product_attention(self.q(x), self.k(x + 1), self.v(x - 1))


def test_products_of_attention_are_those_of_elements_where_quantizers_gave_scales():
    """Sums of int8 elements, rounded to integers, times their scales; of values none would be left."""
    model, x = Projected(), torch.randn(1, 2, 5, 4) / 4
    spec = "int,8,per=tensor,scale=max"
    inside = {
        "product": "none",
        "accumulator": "even,32,0",
        "accumulate": "once",
        "outer": {"accumulator": "float,8,23"},
    }
    maps = {"extrinsic": {"=q": spec, "=k": spec, "=v": spec}, "intrinsic": {"sdpa": inside}}
    q, k, v = (hands.quantized(i, spec).double() for i in (x, x + 1, x - 1))
    step = v.abs().max() / 127
    weights = torch.softmax(q @ k.mT / 2, -1)
    wanted = torch.round(weights @ v / step)
    y = tqt.quantize_model(model, **maps)(x).double() / step
    assert torch.allclose(y, wanted, atol=1e-3)


def test_grouped_queries_read_the_keys_of_their_group():
    q, k, v = torch.randn(2, 4, 5, 4), torch.randn(2, 2, 5, 4), torch.randn(2, 2, 5, 4)
    how = lambda x, s: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    model = tqt.quantize_model(nn.Sequential(Calls(how)), intrinsic={"": VALUE})
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    k, v = (x.repeat_interleave(2, 1) for x in (k, v))
    assert hands.same_bits(model(q), attention_by_hand(q, k, v, mask))


def test_a_query_that_sees_nothing_gives_zeros_as_in_pytorch():
    q = torch.randn(1, 1, 3, 4)
    mask = torch.tensor([[True, True, False], [False, False, False], [True, False, True]])
    how = lambda x, s: F.scaled_dot_product_attention(q, q, q, mask)
    model = tqt.quantize_model(nn.Sequential(Calls(how)), intrinsic={"": VALUE})
    assert hands.same_bits(model(q)[0, 0, 1], torch.zeros(4))


def test_a_query_whose_scores_are_all_masked_has_gradients_that_are_numbers():
    q, k, v = (torch.randn(1, 1, 3, 4, requires_grad=True) for _ in range(3))
    masks = [torch.zeros(3, 3), torch.ones(3, 3, dtype=torch.bool)]
    masks[0][1], masks[1][1] = -math.inf, False
    found = []
    for mask in masks:
        how = lambda x, s, mask=mask: F.scaled_dot_product_attention(x, k, v, mask)
        model = tqt.quantize_model(nn.Sequential(Calls(how)), intrinsic={"": EXACT})
        y = model(q)
        assert y[0, 0, 1].tolist() == [0.0] * 4
        found.append(torch.autograd.grad(y.square().sum(), (q, k, v)))
        assert found[-1][0][0, 0, 1].tolist() == [0.0] * 4
        assert all(g.isfinite().all() for g in found[-1])
    assert hands.same_bits(*found)


def test_attention_of_a_half_type_takes_a_float32_mask():
    q, mask = torch.randn(1, 2, 3, 4).bfloat16(), torch.randn(3, 3)
    how = lambda x, s: F.scaled_dot_product_attention(x, x, x, mask)
    model = tqt.quantize_model(nn.Sequential(Calls(how)), intrinsic={"": VALUE})
    assert model(q).dtype == torch.bfloat16
    assert torch.allclose(model(q), F.scaled_dot_product_attention(q, q, q, mask), atol=0.03)


def test_attention_of_float64_has_a_scale_of_float64():
    q = torch.randn(1, 2, 3, 5, dtype=torch.float64)
    how = lambda x, s: F.scaled_dot_product_attention(x, x, x)
    model = tqt.quantize_model(nn.Sequential(Calls(how)), intrinsic={"": EXACT})
    assert torch.allclose(model(q), how(q, None), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "equation", ["bij,bjk->bik", "bhid,bhjd->bhij", "nd,de->ne", "bij,bkj->kbi"]
)
def test_einsum_of_two_tensors_is_a_product_of_matrices(equation):
    sizes = {letter: n for n, letter in enumerate("bhijknde", 2)}
    first, second = equation.split("->")[0].split(",")
    a, b = (torch.randint(-4, 5, [sizes[i] for i in x]).float() for x in (first, second))
    how = lambda x, s: torch.einsum(equation, a, b)
    model = tqt.quantize_model(nn.Sequential(Calls(how)), intrinsic={"": EXACT})
    assert hands.same_bits(model(a), torch.einsum(equation, a, b))


@pytest.mark.parametrize("options", [{}, {"need_weights": False}, {"attn_mask": True}])
def test_multi_head_attention_is_rounded_inside(options):
    layer, x = nn.MultiheadAttention(8, 2, batch_first=True), torch.randn(2, 5, 8)
    if options.get("attn_mask"):
        options = {"attn_mask": torch.ones(5, 5, dtype=torch.bool).triu(1)}
    wanted = layer(x, x, x, **options)[0]
    gradients = hands.gradients(Calls(lambda x, s: layer(x, x, x, **options)[0]), x)
    tqt.quantize_model(layer, intrinsic={"": VALUE})
    y = layer(x, x, x, **options)[0]
    assert torch.allclose(y, wanted, atol=0.01) and not hands.same_bits(y, wanted)
    assert hands.same_bits(y, quantized(y))  # its last addition is the output projection's
    found = hands.gradients(Calls(lambda x, s: layer(x, x, x, **options)[0]), x)
    assert all(torch.allclose(a, b, atol=0.1) for a, b in zip(found, gradients))


def test_multi_head_attention_trains_where_a_whole_sequence_is_padding():
    layer, x = nn.MultiheadAttention(8, 2, batch_first=True), torch.randn(2, 5, 8)
    padding = torch.tensor([[True] * 5, [False] * 4 + [True]])
    tqt.quantize_model(layer, intrinsic={"": VALUE})
    how = lambda x, s: layer(x, x, x, key_padding_mask=padding, need_weights=False)[0]
    assert all(g.isfinite().all() for g in hands.gradients(Calls(how), x))
    assert all(p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize("name", ["resnet", "language", "encoder", "decoder"])
def test_a_whole_network_is_rounded_operation_by_operation(name):
    """Each of its layers and operations returns numbers of one of the two formats."""
    model, x = models.make(name)
    model.eval()
    wanted = hands.run(model, x)
    tqt.quantize_model(model, intrinsic={"re:.*": VALUE})
    found = []
    with tqt.observe(model, lambda place, y: found.append((place, y.detach()))):
        y = hands.run(model, x)
    moved = ("relu", "pool", "wte", "dropout", "activation")
    for place, tensor in found:
        if not any(word in place for word in moved):
            assert hands.same_bits(tensor, quantized(tensor)), place
    assert len(found) > 10
    assert torch.allclose(y, wanted, atol=0.1, rtol=0.05)
    rows = {row.layer: row.intrinsic for row in tqt.summary(model, print_fn=None)}
    assert "float,8,13" in str(list(rows.values()))
