"""Every product and every sum inside a layer rounded."""

import copy

import hands
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tensorquant as tq
import tensorquant.torch as tqt

PRODUCT, SUM = "nearest,12,6", "nearest,14,6"
VALUE = {"product": PRODUCT, "accumulator": SUM}
ROUNDED = {"": VALUE}
EXACT = {"": {"product": "none", "accumulator": "none"}}


def integers(*shape):
    """So small that float sums of their products are exact in any order."""
    return torch.randint(-4, 5, shape).float()


def with_integers(layer):
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(integers(*parameter.shape))
    return layer


LAYERS = {
    "linear": (lambda: nn.Linear(7, 5), (2, 3, 7)),
    "linear of a vector": (lambda: nn.Linear(7, 5, bias=False), (7,)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, padding=1, stride=2, groups=2), (2, 4, 9)),
    "conv2d": (lambda: nn.Conv2d(3, 4, (3, 2), padding=(2, 0), dilation=2), (2, 3, 7, 8)),
    "conv2d same": (lambda: nn.Conv2d(3, 4, (4, 3), padding="same"), (2, 3, 7, 8)),
    "conv2d circular": (
        lambda: nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"),
        (1, 3, 5, 5),
    ),
    "conv3d without a batch": (lambda: nn.Conv3d(2, 3, 2), (2, 3, 4, 5)),
    "transposed1d": (lambda: nn.ConvTranspose1d(4, 6, 3, 2, 1, 1, groups=2), (2, 4, 5)),
    "transposed2d": (lambda: nn.ConvTranspose2d(3, 4, 3, stride=2, dilation=2), (2, 3, 4, 5)),
    "transposed3d": (lambda: nn.ConvTranspose3d(2, 3, 2, bias=False), (1, 2, 3, 2, 3)),
    "average1d": (lambda: nn.AvgPool1d(2), (2, 3, 7)),
    "average2d": (lambda: nn.AvgPool2d(2, 1, 1, count_include_pad=False), (2, 3, 5, 4)),
    "average2d of all": (lambda: nn.AvgPool2d(4, 3, 2, ceil_mode=True), (3, 7, 7)),
    "average3d": (lambda: nn.AvgPool3d(2, divisor_override=4), (1, 2, 4, 4, 5)),
    "adaptive": (lambda: nn.AdaptiveAvgPool2d((2, None)), (2, 3, 8, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_exact_arithmetic_gives_the_float_layers_numbers_and_gradients(name):
    make, shape = LAYERS[name]
    layer, x = with_integers(make()), integers(*shape) * 4
    if name == "average2d":  # its divisions are none by powers of 2: both round them once
        x = x * 3
    wanted, gradients = layer(x), hands.gradients(layer, x)
    tqt.quantize_model(layer, intrinsic=EXACT)
    assert hands.same_bits(layer(x), wanted)
    assert hands.same_bits(hands.gradients(layer, x), gradients)


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_the_float_layers(name):
    make, shape = LAYERS[name]
    layer, x = make(), torch.randn(shape)
    wanted = hands.gradients(layer, x)
    before = layer(x)
    tqt.quantize_model(layer, intrinsic=ROUNDED)
    assert hands.same_bits(hands.gradients(layer, x), wanted)
    assert not hands.same_bits(layer(x), before)


def rounded_product(a, b, bias=None, **context):
    numbers = [None if x is None else x.detach().numpy() for x in (a, b, bias)]
    a, b, bias = numbers
    return torch.from_numpy(
        tq.matmul(
            a, np.ascontiguousarray(b), bias=bias, product=PRODUCT, accumulator=SUM, **context
        )
    )


@pytest.mark.parametrize(
    "name", [name for name in LAYERS if name.startswith(("linear", "conv", "transposed"))]
)
def test_autocast_casts_what_a_rounded_product_reads_as_it_does_for_the_float_layer(name):
    make, shape = LAYERS[name]
    layer, x = make(), torch.randn(shape)
    with torch.autocast("cpu", torch.bfloat16):
        type_of_float = layer(x).dtype
    low = tqt.quantize_model(copy.deepcopy(layer).bfloat16(), intrinsic=ROUNDED)
    tqt.quantize_model(layer, intrinsic=ROUNDED)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == type_of_float == torch.bfloat16
    assert hands.same_bits(y, low(x.bfloat16()))


def test_a_rounded_layer_under_autocast_trains_behind_a_float_one():
    model, x = (
        nn.Sequential(with_integers(nn.Linear(4, 3)), with_integers(nn.Linear(3, 2))),
        integers(5, 4),
    )
    with torch.autocast("cpu", torch.bfloat16):
        wanted = model(x), *hands.gradients(model, x)
        tqt.quantize_model(model, intrinsic={"=1": EXACT[""]})
        assert hands.same_bits([model(x), *hands.gradients(model, x)], wanted)


def test_a_linear_layer_has_the_bits_of_a_product_of_matrices():
    layer, x = nn.Linear(7, 5), torch.randn(3, 7)
    wanted = rounded_product(x, layer.weight.T, layer.bias)
    tqt.quantize_model(layer, intrinsic=ROUNDED)
    assert hands.same_bits(layer(x), wanted)


def test_quantized_weights_and_outputs_go_with_rounded_arithmetic():
    layer, x = nn.Linear(7, 5), torch.randn(3, 7)
    weight, bias = (hands.quantized(p, "nearest,6,4") for p in layer.parameters())
    wanted = hands.quantized(rounded_product(x, weight.T, bias), "nearest,8,3")
    maps = {"weights": "nearest,6,4", "extrinsic": "nearest,8,3"}
    tqt.quantize_model(layer, **maps, intrinsic=ROUNDED)
    assert hands.same_bits(layer(x), wanted)


class Own(nn.Module):
    """A layer of one's own, as transformers' Conv1D, and more."""

    def __init__(self, how):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(4, 4)), nn.Parameter(torch.randn(4))
        self.how = how

    def forward(self, x):
        return self.how(x, self.weight, self.bias)


PRODUCTS = [
    lambda x, w, b: x @ w,
    lambda x, w, b: torch.mm(x, w),
    lambda x, w, b: x.matmul(w[:, 0]),
    lambda x, w, b: F.relu((x @ w).view(-1, 4)),
    lambda x, w, b: x[0] @ w,
    lambda x, w, b: torch.bmm(x[None], w[None])[0],
    lambda x, w, b: x.expand(2, 3, 3, 4) @ w,
    lambda x, w, b: x.expand(2, 1, 3, 4) @ torch.stack([w, w.T, -w]),
    lambda x, w, b: x[0] @ torch.stack([w, w.T]),
]


@pytest.mark.parametrize("how", PRODUCTS)
def test_products_in_a_layer_of_ones_own_are_rounded(how):
    model, x = nn.Sequential(Own(how)), torch.randn(3, 4)

    def by_hand(a, b):
        """The same function of matrices, each product from NumPy's front-end."""
        if b.dim() == 1:
            return by_hand(a, b[:, None])[..., 0]
        if a.dim() == 1:
            return by_hand(a[None], b)[..., 0, :]
        batch = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, b = (x.expand(*batch, *x.shape[-2:]) for x in (a, b))
        pairs = zip(a.reshape(-1, *a.shape[-2:]), b.reshape(-1, *b.shape[-2:]))
        return torch.stack([rounded_product(*pair) for pair in pairs]).reshape(
            *batch, a.shape[-2], b.shape[-1]
        )

    class Spy(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function.__name__ in ("matmul", "mm", "bmm"):
                return by_hand(*args)
            return function(*args, **(kwargs or {}))

    gradients = hands.gradients(copy.deepcopy(model), x)
    with Spy():
        y = model(x)
    tqt.quantize_model(model, intrinsic=ROUNDED)
    assert hands.same_bits(model(x), y)
    found = hands.gradients(model, x)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found, gradients))


def test_addmm_is_a_product_with_a_bias():
    model, x = nn.Sequential(Own(lambda x, w, b: torch.addmm(b, x, w))), torch.randn(3, 4)
    own = model[0]
    wanted = rounded_product(x, own.weight, own.bias)
    gradients = hands.gradients(model, x)
    tqt.quantize_model(model, intrinsic=ROUNDED)
    assert hands.same_bits(model(x), wanted)
    assert hands.same_bits(hands.gradients(model, x), gradients)


@pytest.mark.parametrize(
    ("how", "text"),
    [
        (lambda x, w, b: torch.cumsum(x, 0), "its arithmetic cannot be rounded: it calls 'cumsum'"),
        (lambda x, w, b: torch.sin(x), "it calls 'sin'"),
        (lambda x, w, b: x**5, "a power of 5 cannot be rounded"),
        (lambda x, w, b: torch.einsum("ii->i", w), "einsum of 'ii->i' cannot be rounded"),
        (lambda x, w, b: torch.addmm(b, x, w, beta=2), "addmm with factors"),
        (lambda x, w, b: F.adaptive_avg_pool1d(x, 3), "has windows of several sizes"),
    ],
)
def test_arithmetic_that_cannot_be_rounded_is_an_error_of_the_call(how, text):
    model = tqt.quantize_model(nn.Sequential(Own(how)), intrinsic=ROUNDED)
    with pytest.raises(tq.Error, match=r"^layer '0' \(Own\): .*" + text):
        model(torch.randn(3, 4))


def test_layers_of_torch_that_cannot_be_rounded_are_told_at_once():
    model = nn.Sequential(nn.Conv1d(3, 4, 1), nn.RReLU(), nn.ReLU(), nn.LSTM(5, 2))
    with pytest.raises(tq.Error) as error:
        tqt.quantize_model(model, intrinsic=ROUNDED)
    text = str(error.value)
    assert text.startswith("the intrinsic map hits layers whose arithmetic cannot be rounded: '1'")
    assert "(RReLU)" in text and "LSTM" in text and "(ReLU)" not in text and "Conv" not in text
    rules = {"=1": None, "=3": None, "": VALUE}
    rows = tqt.summary(tqt.quantize_model(model, intrinsic=rules), print_fn=None)
    by_name = {row.layer: row.intrinsic for row in rows}
    assert by_name["2"] == "nothing to round"
    assert by_name["0"] == "{product:nearest,12,6,accumulator:nearest,14,6}"


def test_random_rounding_inside_takes_its_streams_and_step():
    spec = "stochastic,12,6"
    layer, x = nn.Sequential(nn.Linear(4, 3, bias=False)), torch.randn(2, 4)
    tqt.quantize_model(layer, intrinsic=spec, seed=7)
    context = {
        "seed": 7,
        "product_stream": tq.stream_of("0", "product"),
        "accumulator_stream": tq.stream_of("0", "accumulator"),
    }
    weight = np.ascontiguousarray(layer[0].weight.detach().numpy().T)
    for step in range(2):
        wanted = tq.matmul(x.numpy(), weight, product=spec, accumulator=spec, step=step, **context)
        assert hands.same_bits(layer(x), torch.from_numpy(wanted))


def test_two_products_of_a_layer_have_streams_of_their_own():
    spec = "stochastic,12,6"
    how = lambda x, w, b: torch.stack([x @ w, x @ w])
    model, x = nn.Sequential(Own(how)), torch.randn(3, 4)
    tqt.quantize_model(model, intrinsic=spec)
    first, second = model(x)
    assert not hands.same_bits(first, second)


def test_products_of_a_batch_are_rounded_at_random_by_their_place_in_all_results():
    how = lambda x, w, b: x.view(2, 3, 4) @ w[None]
    model, x = nn.Sequential(Own(how)), torch.randn(6, 4)
    w = model[0].weight
    spec = "stochastic,12,6"
    tqt.quantize_model(model, intrinsic=spec, seed=7)
    streams = {f"{role}_stream": tq.stream_of("0", role) for role in ("product", "accumulator")}
    wanted = tq.matmul(
        x.numpy(), w.detach().numpy(), product=spec, accumulator=spec, seed=7, **streams
    )
    assert hands.same_bits(model.eval()(x), torch.from_numpy(wanted).view(2, 3, 4))
