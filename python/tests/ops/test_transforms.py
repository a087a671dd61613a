"""The ops inside what compiles, batches and differentiates functions."""

import golden
import numpy as np
import pytest
from frameworks import assert_same_bits

from tensorquant import ops


def test_compiled_outputs_have_the_golden_bits(framework):
    x = golden.read("input.f32", "float32")
    for entry in golden.quantizer_vectors():
        if entry["input"] != "input.f32" or entry["quantizer"] not in ("nearest,8,4", "float,4,3"):
            continue
        function = framework.compiled(
            lambda t, spec=entry["quantizer"]: framework.ops.quantize(t, spec)
        )
        y = framework.array(function(framework.tensor(x)))
        assert_same_bits(y, golden.read(entry["output"], "float32"))


def test_a_step_that_is_traced_is_not_frozen(framework):
    """A step that is frozen while tracing would be the first call's."""
    entries = [e for e in golden.quantizer_vectors() if e.get("step") and e["type"] == "float32"]
    assert len(entries) >= 5
    for entry in entries[:5]:
        context = golden.context_of(entry)
        function = framework.compiled(
            lambda t, step, spec=entry["quantizer"], context=context: framework.ops.quantize(
                t, spec, **{**context, "step": step}
            )
        )
        x = framework.tensor(golden.read(entry["input"], "float32"))
        for step in (0, context["step"]):
            y = framework.array(function(x, framework.tensor(np.array(step, np.uint32))))
        assert_same_bits(y, golden.read(entry["output"], "float32"))


@pytest.mark.parametrize("spec", ["nearest,8,4", "stochastic,8,4", "ternary", "fp16"])
def test_vmap_quantizes_each_tensor_alone(framework, spec):
    rng = np.random.default_rng(3)
    x = (rng.standard_normal((5, 300)) * [[0.1], [1], [2], [3], [10]]).astype(np.float32)
    alone = [
        framework.array(framework.ops.quantize(framework.tensor(row), spec, seed=1)) for row in x
    ]
    function = framework.vmapped(lambda t: framework.ops.quantize(t, spec, seed=1))
    assert_same_bits(framework.array(function(framework.tensor(x))), np.stack(alone))


def test_vmap_over_steps_is_each_step_alone(framework):
    x = np.linspace(-1, 1, 90, dtype=np.float32).reshape(3, 30)
    quantize = framework.ops.quantize
    alone = [
        framework.array(quantize(framework.tensor(row), "stochastic,8,4", step=step))
        for step, row in enumerate(x)
    ]
    function = framework.vmapped(lambda t, step: quantize(t, "stochastic,8,4", step=step))
    y = function(framework.tensor(x), framework.tensor(np.arange(3, dtype=np.int32)))
    assert_same_bits(framework.array(y), np.stack(alone))


def test_compiled_arithmetic_and_its_gradient_are_those_by_hand(framework):
    operation = ops.linear("none", "nearest,8,4,grad=clipped", "once")
    x = np.array([[1, 2], [3, -1]], np.float32)
    w = np.array([[2, 1], [4, 2]], np.float32)  # 4, 8; 5, 10: 8 and 10 are beyond 7.9375
    dy = np.ones((2, 2), np.float32)
    function = framework.compiled(
        lambda a, b: framework.ops.arithmetic(
            operation, a, b, float_function=lambda a, b: a @ framework.transposed(b)
        ),
        may_break=True,
    )
    y, (dx, dw) = framework.vjp(function, [x, w], dy)
    assert_same_bits(y, np.array([[4, 7.9375], [5, 7.9375]], np.float32))
    passes = np.array([[1, 0], [1, 0]], np.float32)
    assert_same_bits(dx, passes @ w)
    assert_same_bits(dw, passes.T @ x)


def test_compiled_gradients_are_clipped_or_straight_through(framework):
    x = np.array([-9, -8, 7.9375, 8, np.nan], np.float32)
    dy = np.array([1, 2, 3, 4, 5], np.float32)
    for spec, wanted in (
        ("nearest,8,4,grad=clipped", np.array([0, 2, 3, 0, 0], np.float32)),
        ("nearest,8,4", dy),
    ):
        function = framework.compiled(lambda t, spec=spec: framework.ops.quantize(t, spec))
        _, (dx,) = framework.vjp(function, [x], dy)
        assert_same_bits(dx, wanted)
