"""Whatever public functions are given: errors are of one line and speak of the arguments."""

import inspect

import numpy as np
import pytest
from hostile import HOSTILE, assert_clear

import tensorquant as tq
from tensorquant import ops

A = np.eye(2, dtype=np.float32)


class Copy(tq.UserQuantizer):
    def quantize(self, x):
        return x


def _calls():
    """Public functions with arguments that are right, and may be wrong one at a time."""
    q, override = tq.Quantizer("nearest,8,4"), tq.Override()
    quantizer_map = tq.quantizer_map(None)
    numbers = {"seed": 0, "product_stream": 0, "accumulator_stream": 1}
    formats = {"product": "nearest,8,4", "accumulator": None, "accumulate": "step", **numbers}
    formats |= {"step": 0, "ranges": None, "outer": None, "order": "channel"}
    shape = {"stride": 1, "padding": 0}
    text = {"product": "none", "accumulator": "nearest,8,4", "accumulate": "step", **numbers}
    text |= {"outer": {"every": 2}, "order": "tap", "x_format": "fp16"}
    padding = {"padding_begin": [0], "padding_end": [0]}
    operation = ops.linear("none", "nearest,8,4")
    yield tq.Quantizer, {"spec": "none"}
    axes = {"reduction_axis": None, "channel_axis": 0}
    yield q, {"x": A, "seed": 0, "stream": 0, "step": 0, "out": None, **axes}
    yield q.report, {"x": A, "seed": 0, "stream": 0, "step": 0, **axes}
    yield q.values, {"at_most": 4}
    yield q.gradient, {"x": A, "y": A, "dy": A, **axes}
    yield tq.stream_of, {"layer": "a", "role": "b"}
    yield tq.set_num_threads, {"threads": 0}
    yield tq.register_quantizer, {"name": "copy", "usage": None, "summary": ""}
    yield tq.Ranges().merge, {"other": tq.Ranges()}
    yield tq.Ranges().sufficient_bits, {"fraction": 0}
    yield tq.QuantizerMap, {"rules": (), "kind": "weights"}
    yield tq.quantizer_map, {"source": None, "kind": "weights"}
    yield quantizer_map.find, {"layer": "a"}
    yield quantizer_map.find_rule, {"layer": "a"}
    maps = {"weights": None, "extrinsic": None, "intrinsic": None}
    yield tq.Override, {**maps, "seed": 0, "strict": False}
    yield tq.Override.from_json, {"text": "{}", "seed": 0, "strict": False}
    yield tq.Override.from_file, {"path": "missing.json", "seed": 0, "strict": False}
    yield tq.explain, {"override": override, "layers": ["a"]}
    yield tq.matmul, {"a": A, "b": A, "bias": None, "a_format": None, **formats, "on_plan": None}
    x, w = A[None], A[:, :, None]
    convolution = {"dilation": 1, "groups": 1, "transposed": False, "output_padding": 0}
    yield tq.convolve, {"x": x, "w": w, "bias": None, **shape, **convolution, **formats}
    pool = {"kernel": 1, "count_include_pad": True, "divisor": None}
    yield tq.average_pool, {"x": x, **shape, **pool, **formats}
    yield ops.linear, text
    yield ops.convolution, {**text, **padding, "stride": [1], "dilation": [1], "groups": 1}
    yield ops.average_pool, {**text, **padding, "kernel": [1], "count_include_pad": True}
    on_values = {name: value for name, value in text.items() if name != "x_format"}
    yield ops.matmul, text
    yield ops.elementwise, {**on_values, "function": "exp"}
    yield ops.softmax, {**on_values, "logarithm": True}
    yield ops.layer_norm, {**on_values, "dimensions": 1, "epsilon": 1e-5}
    yield ops.rms_norm, {**on_values, "dimensions": 1, "epsilon": 1e-5}
    yield ops.group_norm, {**on_values, "groups": 2, "epsilon": 1e-5}
    yield ops.batch_norm, {**on_values, "epsilon": 1e-5}
    yield operation.result_shape, {}
    yield ops.backend, {"name": "numpy"}
    for place in ("key", "weight", "pair"):
        yield _map_with(place), {"value": "none"}
    for part in ("accumulate", "outer", "order"):
        yield _intrinsic_with(part), {"value": ""}
    for part in ("accumulator", "every"):
        yield _intrinsic_with("outer", part), {"value": 1}


def _intrinsic_with(part, of_part=None):
    def make(value):
        parts = {part: {of_part: value} if of_part else value}
        return tq.quantizer_map({"a": parts}, "intrinsic")

    return make


def _map_with(place):
    def make(value):
        rules = {"key": [(value, None)], "weight": {"a": {"weight": value}}, "pair": [value]}
        return tq.quantizer_map(rules[place])

    return make


CALLS = list(_calls())


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("number", range(len(CALLS)))
def test_wrong_arguments_are_told_in_one_line(number, hostile):
    function, arguments = CALLS[number]
    for name in arguments:
        if not (name == "at_most" and hostile == "huge"):
            assert_clear(function, **{**arguments, name: HOSTILE[hostile]})
    if "shape" in str(function):
        assert_clear(function, HOSTILE[hostile])


def test_every_public_function_is_asked():
    known = {getattr(function, "__name__", "") for function, _ in CALLS} | {"Quantizer"}
    takes_nothing = {"get_num_threads", "list_hardware", "list_quantizers"}
    values = {
        "Axis",
        "Error",
        "Explanation",
        "Facts",
        "IdleRule",
        "LayerExplanation",
        "Operation",
        "Plan",
        "Report",
    }
    values |= {"Hardware", "Layout", "OuterSum", "QuantizerInfo", "Ranges", "Rule", "UserQuantizer"}
    for module in (tq, ops):
        public = {n for n in module.__all__ if callable(getattr(module, n))}
        assert public <= known | takes_nothing | values


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: tq.Quantizer(None), TypeError, "spec: expected a string, got None"),
        (lambda: tq.Quantizer(b"none"), TypeError, "spec: expected a string, got bytes"),
        (
            lambda: tq.Quantizer("none")(A, seed=-1),
            tq.Error,
            f"seed: -1 is not between 0 and {2**64 - 1}",
        ),
        (
            lambda: tq.Quantizer("none")(A, step=True),
            TypeError,
            "step: expected an integer, got True",
        ),
        (
            lambda: tq.quantizer_map(b"{}"),
            TypeError,
            "map: expected a path, a quantizer string, JSON, a dictionary or pairs, got bytes",
        ),
        (
            lambda: tq.quantizer_map([1]),
            TypeError,
            "rule 1: expected a pair of a key and a value, got 1",
        ),
        (
            lambda: tq.quantizer_map({1: None}),
            TypeError,
            "rule 1, the key: expected a string, got 1",
        ),
        (
            lambda: tq.Override(seed=2**64),
            tq.Error,
            f"seed: {2**64} is not between 0 and {2**64 - 1}",
        ),
        (lambda: tq.Override(strict=1), TypeError, "strict: expected True or False, got 1"),
        (lambda: tq.explain(None, []), TypeError, "override: expected an Override, got None"),
        (lambda: tq.explain(tq.Override(), "a"), TypeError, "layers: expected a sequence, got str"),
        (lambda: tq.stream_of("a", 1), TypeError, "role: expected a string, got 1"),
        (
            lambda: tq.matmul(A, A, product=1),
            TypeError,
            "product: expected a string or a Quantizer or None, got 1",
        ),
        (
            lambda: ops.linear("none", "none", product_stream=-1),
            tq.Error,
            f"product_stream: -1 is not between 0 and {2**32 - 1}",
        ),
        (
            lambda: ops.linear("none", None),
            TypeError,
            "accumulator: expected a quantizer string, got None",
        ),
        (lambda: ops.backend(None), TypeError, "name: expected a string, got None"),
    ],
)
def test_the_message_names_the_argument(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == message


def test_integers_of_numpy_are_integers():
    q = tq.Quantizer("stochastic,8,4")
    for kind in (np.int64, np.uint32, np.array):
        found = q(A * 0.3, seed=kind(5), stream=kind(6), step=kind(7))
        assert found.tobytes() == q(A * 0.3, seed=5, stream=6, step=7).tobytes()
    assert tq.Override(seed=np.uint64(2**64 - 1)).seed == 2**64 - 1
    assert type(tq.Override(seed=np.int8(1)).seed) is int


def test_public_functions_keep_their_signatures():
    assert list(inspect.signature(tq.Quantizer.__call__).parameters)[2:5] == [
        "seed",
        "stream",
        "step",
    ]
    assert tq.matmul.__module__ == "tensorquant.numbers.arithmetic"
