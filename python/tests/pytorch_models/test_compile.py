"""Compilers, exporters, transforms and checkpoints on the models of other libraries."""

import copy

import cases
import hands
import pytest
import torch
from torch import nn

import tensorquant.torch as tqt

MAPS = {"weights": "nearest,8,6", "extrinsic": "nearest,14,6"}
# Not Mamba, whose float model's bits differ in graphs.
COMPILED = (
    *("torchvision resnet", "torchvision mobilenet_v3", "torchvision vit", "torchvision swin"),
    *("timm beit", "timm efficientnet", "transformers bert", "transformers gpt2"),
    *("transformers llama", "transformers t5", "transformers whisper", "transformers clip"),
)


@pytest.fixture(autouse=True)
def no_graphs_left():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def without_dropout(model):
    """PyTorch's random numbers differ in graphs."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def compiled(model, **options):
    return torch.compile(model, fullgraph=True, **options)


@pytest.mark.parametrize("name", cases.some(*COMPILED))
def test_a_compiled_model_gives_the_bits_and_gradients_of_eager_mode(name):
    model, inputs = cases.make(name)
    tqt.quantize_model(without_dropout(model).eval(), **MAPS)
    fast = compiled(model, backend="aot_eager")
    assert hands.same_bits(hands.gradients(fast, **inputs), hands.gradients(model, **inputs))
    with torch.no_grad():
        assert hands.same_bits(fast(**inputs), model(**inputs))


@pytest.mark.parametrize("name", cases.some("diffusers unet"))
def test_layers_that_the_compiler_is_told_to_leave_alone_are_quantized_in_graphs(name):
    model, inputs = cases.make(name)
    tqt.quantize_model(without_dropout(model).eval(), **MAPS)
    with torch.no_grad():
        assert hands.same_bits(compiled(model, backend="aot_eager")(**inputs), model(**inputs))


@pytest.mark.parametrize("name", cases.some("torchvision resnet", "transformers gpt2"))
def test_outputs_of_a_model_compiled_by_inductor_are_on_the_grid(name):
    model, inputs = cases.make(name)
    tqt.quantize_model(without_dropout(model).eval(), **MAPS)
    with torch.no_grad():
        found = hands.tensors(compiled(model, backend="inductor")(**inputs))
        wanted = hands.tensors(model(**inputs))
    for y, z in zip(found, wanted, strict=True):
        assert hands.same_bits(y, hands.quantized(y, "nearest,14,6"))
        assert (y - z).abs().max() < 0.5  # its kernels sum in other orders


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "name", cases.some("torchvision resnet", "timm vit", "transformers bert", "transformers gpt2")
)
def test_an_exported_model_gives_the_same_bits(name, strict):
    model, inputs = cases.make(name)
    tqt.quantize_model(model.eval(), **MAPS)
    program = torch.export.export(model, (), inputs, strict=strict)
    assert hands.same_bits(program.module()(**inputs), model(**inputs))


# Not DiT, whose float model's gradients differ in their last bits.
@pytest.mark.parametrize("name", cases.some("torchvision vit", "timm convnext"))
def test_transforms_of_functions_see_the_quantized_model(name):
    model, inputs = cases.make(name)
    tqt.quantize_model(model.eval(), **MAPS)
    parameters = dict(model.named_parameters())

    def loss(parameters):
        y = torch.func.functional_call(model, parameters, (), inputs)
        return hands.tensors(y)[0].sum()

    found = torch.func.grad(loss)(parameters)
    loss(parameters).backward()
    assert hands.same_bits(list(found.values()), [p.grad for p in model.parameters()])


@pytest.mark.parametrize("name", cases.some("torchvision vit", "timm resnet"))
def test_samples_mapped_one_by_one_lie_on_the_grid(name):
    model, inputs = cases.make(name)
    tqt.quantize_model(model.eval(), **MAPS)
    parameters = dict(model.named_parameters())

    def one(x):
        return torch.func.functional_call(model, parameters, (x.unsqueeze(0),)).squeeze(0)

    found = torch.vmap(one)(inputs["x"])
    assert hands.same_bits(found, hands.quantized(found, "nearest,14,6"))
    assert (found - model(**inputs)).abs().max() < 0.5


@pytest.mark.parametrize(
    "name", cases.some("torchvision resnet", "timm vit", "transformers gpt2", "diffusers unet")
)
def test_autocast_trains_float32_parameters_through_quantized_ones(name):
    model, inputs = cases.make(name)
    without_dropout(model)
    wanted = hands.quantized_copy(model, "nearest,8,6")
    tqt.quantize_model(model, weights="nearest,8,6")
    with torch.autocast("cpu", torch.bfloat16):
        found = hands.gradients(model, **inputs)
        assert hands.same_bits(found, hands.gradients(wanted, **inputs))
    assert all(gradient.dtype == torch.float32 for gradient in found)


# Not T5, whose float model's gradients differ in their last bits.
@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize(
    "name",
    cases.some("transformers gpt2", "transformers llama", "transformers bert"),
)
def test_what_checkpoints_compute_again_rounds_as_the_first_time(name, reentrant):
    model, inputs = cases.make(name)
    without_dropout(model)
    rules = {"": "stochastic,14,6", "add": "stochastic,14,6"}
    tqt.quantize_model(model, weights="stochastic,8,6", extrinsic=rules, seed=3)
    plain = copy.deepcopy(model)
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    model.enable_input_require_grads()
    plain.enable_input_require_grads()
    for _ in range(2):
        assert hands.same_bits(hands.gradients(model, **inputs), hands.gradients(plain, **inputs))
    assert tqt.layer_steps(model) == tqt.layer_steps(plain)
    assert set(tqt.layer_steps(model).values()) == {2}
