"""PyTorch's compiler must not see a layer's parameters where their quantized values stand."""

import cases
import keras
import pytest

import tensorquant.keras as tqk

if keras.backend.backend() != "torch":
    pytest.skip("of PyTorch", allow_module_level=True)
import torch

WEIGHTS = {"": {"weight": "nearest,8,5", "bias": "even,7,4"}}


def _results(call, model, x):
    """The outputs, and the gradients of their sum."""
    model.zero_grad()
    outputs = keras.tree.flatten(call(x))
    sum(y.sum() for y in outputs).backward()
    gradients = [v.value.grad for v in model.trainable_variables]
    return [y.detach().numpy().copy() for y in outputs], [
        g.numpy().copy() for g in gradients if g is not None
    ]


# Each takes the compiler 5 s and more; all of cases.CASES pass.
@pytest.mark.parametrize("name", ["conv2d", "batch_norm", "lstm", "own_layer", "subclassed"])
def test_compiled_layers_have_the_same_bits(name):
    torch.compiler.reset()
    model, x = cases.make(name)
    tqk.quantize_model(model, weights=WEIGHTS, extrinsic="nearest,8,4")
    x = keras.ops.convert_to_tensor(x)
    if not model.trainable_variables:
        x.requires_grad_()
    wanted = _results(model, model, x)
    found = _results(torch.compile(model, backend="aot_eager"), model, x)
    for ours, theirs in zip(found, wanted):
        assert len(ours) == len(theirs) and all(map(cases.same_bits, ours, theirs))


def test_a_compiled_model_is_trained_through_its_quantizers():
    def trained(jit):
        keras.utils.set_random_seed(3)
        model, x = cases.make("conv2d")
        tqk.quantize_model(model, weights=WEIGHTS, extrinsic="nearest,8,4")
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit)
        y = model.predict(x, verbose=0)
        model.fit(x, 2 * y, epochs=2, verbose=0)
        return model.predict(x, verbose=0)

    assert cases.same_bits(trained(True), trained(False))
