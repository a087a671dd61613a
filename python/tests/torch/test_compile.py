"""torch.compile and other tracers: one graph, and the bits of eager mode."""

import copy

import hands
import models
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tensorquant.torch as tqt

MAPS = {"weights": "nearest,8,4", "extrinsic": "nearest,12,6"}


@pytest.fixture(autouse=True)
def no_graphs_left():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compiled(model, **options):
    return torch.compile(model, backend="aot_eager", fullgraph=True, **options)


COMPILED = [name for name in models.MODELS if name != "recurrent"]  # PyTorch compiles no LSTM


@pytest.mark.parametrize("name", COMPILED)
def test_a_compiled_model_gives_the_bits_and_gradients_of_eager_mode(name):
    model, x = models.make(name)
    for module in model.modules():  # PyTorch's random numbers differ in graphs
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    tqt.quantize_model(model, **MAPS)
    assert hands.same_bits(hands.gradients(compiled(model), x), hands.gradients(model, x))


@pytest.mark.parametrize("name", COMPILED)
def test_a_compiled_model_gives_the_bits_of_eager_mode_in_inference(name):
    model, x = models.make(name)
    tqt.quantize_model(model.eval(), **MAPS)
    with torch.no_grad():
        assert hands.same_bits(compiled(model)(x), model(x))


@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.parametrize("compile_it", [True, False])
def test_no_fast_path_leaves_outputs_off_the_grid(fast_path, compile_it):
    torch.backends.mha.set_fastpath_enabled(fast_path)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.TransformerEncoder(layer, 2).eval()
    tqt.quantize_model(model, **MAPS)
    run = compiled(model) if compile_it else model
    x = torch.randn(2, 5, 8)
    padding = torch.zeros(2, 5, dtype=torch.bool)
    padding[0, -1] = True
    with torch.no_grad():
        for options in ({}, {"src_key_padding_mask": padding}):
            y = run(x, **options)
            assert hands.same_bits(y, hands.quantized(y, "nearest,12,6"))
            assert hands.same_bits(y, model(x, **options))


def test_weights_that_change_after_compiling_are_seen():
    model, x = models.make("resnet")
    tqt.quantize_model(model.eval(), **MAPS)
    fast = compiled(model)
    before = fast(x)
    with torch.no_grad():
        model.fc.weight.mul_(-2)
    assert hands.same_bits(fast(x), model(x))
    assert not hands.same_bits(fast(x), before)


def test_twenty_random_steps_are_one_graph():
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    tqt.quantize_model(model, weights="stochastic,8,4", extrinsic="stochastic,8,4", seed=3)
    other = tqt.quantize_model(
        nn.Sequential(nn.Linear(4, 4), nn.ReLU()),
        weights="stochastic,8,4",
        extrinsic="stochastic,8,4",
        seed=3,
    )
    other.load_state_dict(model.state_dict())
    fast = torch.compile(model, backend=backend, fullgraph=True)
    x = torch.randn(3, 4)
    results = [fast(x) for _ in range(20)]
    assert len(graphs) == 1
    assert all(hands.same_bits(y, other(x)) for y in results)
    assert tqt.layer_steps(model) == tqt.layer_steps(other)
    assert not hands.same_bits(results[0], results[1])


@pytest.mark.parametrize("name", ["resnet", "language", "encoder"])
def test_operations_are_quantized_in_graphs_too(name):
    model, x = models.make(name)
    tqt.quantize_model(model.eval(), extrinsic={"re:.*": "nearest,12,6"})
    assert hands.same_bits(compiled(model)(x), model(x))


def test_rounded_arithmetic_compiles_without_gradients():
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2)), None
    x = torch.randn(2, 3, 6, 6)
    tqt.quantize_model(model, intrinsic="stochastic,12,6", extrinsic="nearest,12,6")
    model.eval()
    with torch.no_grad():
        assert hands.same_bits(compiled(model)(x), model(x))


def test_rounded_operations_compile_without_gradients():
    model, x = models.make("language")
    inside = {"product": "nearest,12,6", "accumulator": "nearest,14,6"}
    tqt.quantize_model(model.eval(), intrinsic={"matmul": inside, "=linear": inside})
    with torch.no_grad():
        assert hands.same_bits(compiled(model)(x), model(x))


def test_a_compiled_model_may_be_quantized_afterwards():
    model, x = models.make("resnet")
    fast = compiled(model.eval())
    before = fast(x)
    tqt.quantize_model(model, **MAPS)
    assert hands.same_bits(fast(x), model(x))
    tqt.strip(model)
    assert hands.same_bits(fast(x), before)


@pytest.mark.parametrize("first", ["quantized", "compiled"])
def test_a_part_may_be_compiled_alone(first):
    eager, x = models.make("resnet")
    maps = {**MAPS, "extrinsic": {"": "nearest,12,6", "add": "nearest,8,4"}}
    model = copy.deepcopy(eager.eval())
    tqt.quantize_model(eager, **maps)
    if first == "quantized":
        tqt.quantize_model(model, **maps)
    model.layer1 = compiled(model.layer1)
    if first == "compiled":
        tqt.quantize_model(model, **maps)
    assert hands.same_bits(model(x), eager(x))


def test_a_class_that_the_compiler_is_told_to_leave_alone_is_quantized_in_graphs():
    @torch._dynamo.allow_in_graph  # as diffusers does
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale, self.layer = nn.Parameter(torch.randn(4)), nn.Linear(4, 4)

        def forward(self, x):
            return self.layer(x) * (1 if hasattr(self, "nothing") else self.scale)

    model, x = nn.Sequential(Scaled()), torch.randn(3, 4)
    tqt.quantize_model(model, **MAPS)
    assert hands.same_bits(hands.gradients(compiled(model), x), hands.gradients(model, x))


@pytest.mark.parametrize("strict", [True, False])
def test_an_exported_model_gives_the_same_bits(strict):
    model, x = models.make("resnet")
    tqt.quantize_model(model.eval(), **MAPS)
    program = torch.export.export(model, (x,), strict=strict)
    assert hands.same_bits(program.module()(x), model(x))


def test_a_traced_model_gives_the_same_bits():
    model, x = models.make("resnet")
    tqt.quantize_model(model.eval(), **MAPS)
    with torch.no_grad():
        traced = torch.jit.trace(model, x)
    assert hands.same_bits(traced(x), model(x))


def test_transforms_of_functions_see_the_quantized_model():
    model, x = nn.Sequential(nn.Linear(4, 3), nn.Tanh()), torch.randn(5, 4)
    tqt.quantize_model(model, **MAPS)
    parameters = dict(model.named_parameters())

    def loss(parameters, x):
        return torch.func.functional_call(model, parameters, (x,)).sum()

    found = torch.func.grad(loss)(parameters, x)
    model(x).sum().backward()
    assert hands.same_bits(list(found.values()), [p.grad for p in model.parameters()])
    each = torch.vmap(lambda one: torch.func.functional_call(model, parameters, (one,)))(x)
    assert each.shape == (5, 3)
    assert hands.same_bits(each, hands.quantized(each, "nearest,12,6"))


def test_autocast_quantizes_float32_parameters_and_bfloat16_outputs():
    layer, x = nn.Linear(4, 3), torch.randn(5, 4)
    weight, bias = (hands.quantized(p, "nearest,8,4") for p in layer.parameters())
    tqt.quantize_model(layer, **MAPS)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
        wanted = F.linear(x, weight, bias)
    assert found.dtype == torch.bfloat16
    y = hands.quantized(wanted.float(), "nearest,12,6").bfloat16()
    assert torch.equal(found, y)
