"""ONNX Runtime's QuantizeLinear, and DequantizeLinear after it, are a quantizer with a scale."""

import numpy as np
import pytest
from borders import borders, every_half, quarters
from conftest import assert_same_bits, assert_same_numbers

import tensorquant as tq

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
# Of overflows and signalling NaNs, and of products that are rounded to float16.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
Types, make_node = onnx.TensorProto, onnx.helper.make_node

SCALES = [2.0**-20, 0.0078125, 1.0, 0.1, 0.007874016, 1.7, 3.0]
# The quantizer, and zero points.
INTEGERS = {
    "INT8": ("int,8", (0, 5, -128, 127)),
    "UINT8": ("int,8,unsigned", (0, 128, 131, 255)),
    "INT16": ("int,16", (0, -11)),
    "UINT16": ("int,16,unsigned", (0, 32768)),
    "INT4": ("int,4", (0, 3, -8)),
    "UINT4": ("int,4,unsigned", (0, 7, 15)),
    "INT2": ("int,2", (0, 1)),
    "UINT2": ("int,2,unsigned", (0, 2)),
}
CASES = [(name, zero) for name, (_, zeros) in INTEGERS.items() for zero in zeros]


def run(nodes: list, x: np.ndarray, **constants) -> np.ndarray:
    """y of the nodes for x."""
    kind = onnx.helper.np_dtype_to_tensor_dtype(x.dtype)
    ends = [[onnx.helper.make_tensor_value_info(name, kind, x.shape)] for name in "xy"]
    for name, tensor in constants.items():
        tensor.name = name
    graph = onnx.helper.make_graph(nodes, "graph", *ends, list(constants.values()))
    opset = [onnx.helper.make_opsetid("", 25)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=11)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {"x": x})[0]


def there_and_back(x: np.ndarray, scale, zero, kind: str, saturate=1, **attributes) -> np.ndarray:
    """x quantized to integers or floats of ONNX's type `kind`, and dequantized."""
    scale = np.asarray(scale, x.dtype)
    zeros = np.broadcast_to(zero, scale.shape).ravel().tolist()
    floats = {"saturate": saturate} if kind.startswith("FLOAT") else {}
    return run(
        [
            make_node("QuantizeLinear", ["x", "s", "z"], ["q"], **attributes, **floats),
            make_node("DequantizeLinear", ["q", "s", "z"], ["y"], **attributes),
        ],
        x,
        s=onnx.numpy_helper.from_array(scale),
        z=onnx.helper.make_tensor("z", getattr(Types, kind), scale.shape, zeros),
    )


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("name", "zero"), CASES)
def test_integers_are_the_same_with_any_scale(name, zero, scale):
    spec = INTEGERS[name][0]
    x = np.concatenate([quarters(int(spec.split(",")[1]), scale), every_half()])
    x = x[~np.isnan(x)]
    ours = tq.Quantizer(f"{spec},scale={scale!r},zero={zero}")(x)
    assert_same_bits(ours, there_and_back(x, scale, zero, name))


def test_nan_stays_nan_where_onnx_runtime_makes_an_integer_of_it():
    x = np.full(20, np.nan, np.float32)
    assert np.isnan(tq.Quantizer("int,8,scale=1,zero=0")(x)).all()
    assert np.isfinite(there_and_back(x, 1, 0, "INT8")).all()


@pytest.mark.parametrize("scale", [2.0**-7, 1.0, 8.0])
def test_float16_tensors_are_the_same_with_powers_of_two(scale):
    x = np.arange(2**16, dtype=np.uint16).view(np.float16)
    x = x[~np.isnan(x)]
    ours = tq.Quantizer(f"int,8,scale={scale!r}")(x)
    assert_same_bits(ours, there_and_back(x, scale, 0, "INT8"))


def test_float16_tensors_are_divided_in_float32_where_onnx_runtime_divides_in_float16():
    x, scale = np.array([0.25], np.float16), np.float16(0.1)
    assert (x / scale, x.astype(np.float32) / np.float32(scale) > 2.5) == (2.5, True)
    assert_same_bits(tq.Quantizer(f"int,8,scale={float(scale)!r}")(x), 3 * scale[None])
    assert_same_bits(there_and_back(x, scale, 0, "INT8"), 2 * scale[None])


# The quantizer, its `overflow` where nothing saturates, and the |x / s| that differ then.
FLOATS = {
    "FLOAT8E4M3FN": ("e4m3fn", "nan", (480, 496)),
    "FLOAT8E5M2": ("e5m2", "infinity", (61440, 65536)),
    "FLOAT8E4M3FNUZ": ("e4m3fnuz", "nan", None),
    "FLOAT8E5M2FNUZ": ("e5m2fnuz", "nan", None),
}


@pytest.mark.parametrize("saturate", [0, 1])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", FLOATS)
def test_floats_are_the_same_with_any_scale(name, scale, saturate):
    spec, overflow, apart = FLOATS[name]
    values, s = tq.Quantizer(spec).values(), np.float32(scale)  # see test_ml_dtypes.py
    x = np.concatenate([borders(values) * s, borders(values), every_half()])
    if apart and not saturate:
        t = np.abs(x / s)
        x = x[~((t >= apart[0]) & (t < apart[1]))]
    overflow = "saturate" if saturate else overflow
    ours = tq.Quantizer(f"{spec},scale={scale!r},overflow={overflow}")(x)
    assert_same_numbers(ours, there_and_back(x, scale, 0, name, saturate))


def test_where_e4m3fn_has_the_code_of_nan_onnx_runtime_does_not_overflow():
    x = np.array([464, 465, 480, 495, 496], np.float32)
    ours = tq.Quantizer("e4m3fn,scale=1,overflow=nan")(x)
    assert_same_numbers(ours, np.array([448] + 4 * [np.nan], np.float32))
    theirs = there_and_back(x, 1, 0, "FLOAT8E4M3FN", saturate=0)
    assert_same_numbers(theirs, np.array([448, np.nan, 448, 448, np.nan], np.float32))


def test_just_above_the_largest_e5m2_onnx_runtime_has_nan_for_infinity():
    x = np.array([57344, 61440, 65535, 65536], np.float32)
    ours = tq.Quantizer("e5m2,scale=1,overflow=infinity")(x)
    assert_same_numbers(ours, np.array([57344, np.inf, np.inf, np.inf], np.float32))
    theirs = there_and_back(x, 1, 0, "FLOAT8E5M2", saturate=0)
    assert_same_numbers(theirs, np.array([57344, np.nan, np.nan, np.inf], np.float32))


def tensor(*shape: int) -> np.ndarray:
    """Normal numbers, a sixteenth of them far larger: groups have scales of many sizes."""
    random = np.random.default_rng(11)
    x = random.standard_normal(shape, np.float32)
    return x * np.where(random.random(shape) < 1 / 16, np.float32(100), np.float32(1))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize(("name", "largest"), [("INT8", 127), ("INT4", 7), ("INT16", 32767)])
def test_a_scale_for_each_channel_is_the_same(name, largest, axis):
    x = tensor(40, 50, 60)
    others = tuple(i for i in range(3) if i != axis % 3)
    scales = np.abs(x).max(axis=others) / np.float32(largest)
    ours = tq.Quantizer(f"{INTEGERS[name][0]},per=channel,scale=max")(x, channel_axis=axis)
    assert_same_bits(ours, there_and_back(x, scales, 0, name, axis=axis))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("block", [1, 16, 32])
@pytest.mark.parametrize(
    ("name", "spec", "largest"),
    [("INT8", "int,8", 127), ("INT4", "int,4", 7), ("FLOAT8E4M3FN", "e4m3fn", 448)],
)
def test_a_scale_for_each_block_is_the_same(name, spec, largest, block, axis):
    x = tensor(64, 96, 32)
    n = x.shape[axis] // block
    blocks = x.reshape(*x.shape[:axis], n, block, *x.shape[axis + 1 :])
    scales = np.abs(blocks).max(axis=axis + 1) / np.float32(largest)
    ours = tq.Quantizer(f"{spec},block={block},scale=max")(x, reduction_axis=axis)
    assert_same_bits(ours, there_and_back(x, scales, 0, name, axis=axis, block_size=block))


def test_the_last_block_may_be_shorter():
    x = tensor(8, 45)
    blocks = np.pad(x, [(0, 0), (0, 3)]).reshape(8, 3, 16)
    scales = np.abs(blocks).max(axis=2) / np.float32(7)
    ours = tq.Quantizer("int,4,block=16,scale=max")(x, reduction_axis=1)
    assert_same_bits(ours, there_and_back(x, scales, 0, "INT4", axis=1, block_size=16))


def dynamic(x: np.ndarray) -> np.ndarray:
    """To bytes with the tensor's own range, and back."""
    return run(
        [
            make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
            make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
        ],
        x,
    )


RANGES = {
    "both signs": tensor(5000),
    "positive": np.abs(tensor(5000)) + 3,
    "negative": -np.abs(tensor(5000)) - 3,
    "zeros": np.zeros(50, np.float32),
    "one number": np.array([-0.3], np.float32),
    "a tie of the zero point": np.array([-0.5, 254.5, 1, 2.5, 3.5], np.float32),
    "another tie of the zero point": np.array([-1.5, 253.5, 1, 2.5, 3.5], np.float32),
    "steps": np.arange(-200, 821, dtype=np.float32) / 4,
}


@pytest.mark.parametrize("name", RANGES)
def test_the_range_of_a_tensor_is_dynamic_quantization(name):
    x = RANGES[name]
    assert_same_bits(tq.Quantizer("int,8,unsigned,scale=range")(x), dynamic(x))


@pytest.mark.parametrize("seed", range(100))
def test_the_range_of_random_tensors_is_dynamic_quantization(seed):
    random = np.random.default_rng(seed)
    ends = random.standard_normal(2) * 10.0 ** random.uniform(-20, 20)
    x = random.uniform(min(ends), max(ends), 300).astype(np.float32)
    assert_same_bits(tq.Quantizer("int,8,unsigned,scale=range")(x), dynamic(x))


def cast(x: np.ndarray, kind: str, **attributes) -> np.ndarray:
    there = make_node("Cast", ["x"], ["q"], to=getattr(Types, kind), **attributes)
    return run([there, make_node("Cast", ["q"], ["y"], to=Types.FLOAT)], x)


@pytest.mark.parametrize(("name", "spec"), [("FLOAT16", "fp16"), ("BFLOAT16", "bf16")])
def test_casts_to_halves_are_the_same(name, spec):
    x = np.concatenate([borders(tq.Quantizer(spec).values(at_most=2**16)), every_half()])
    assert_same_numbers(tq.Quantizer(spec)(x), cast(x, name))


# E8M0, the type of scales, is no quantizer; powers of two are `logarithmic`.
@pytest.mark.parametrize(
    ("mode", "spec"), [("nearest", "logarithmic"), ("down", "logarithmic,down")]
)
def test_casts_to_the_scales_of_mx_are_powers_of_two(mode, spec):
    x = np.concatenate([borders(np.ldexp(1.0, np.arange(-126, 128))), every_half()])
    x = x[(x >= 2.0**-126) & (x < 1.5 * 2.0**127)]
    assert_same_bits(tq.Quantizer(spec)(x), cast(x, "FLOAT8E8M0", round_mode=mode))


def test_scale_ceil_is_the_scale_of_mx_rounded_up():
    largest = np.concatenate([borders(np.ldexp(6.0, np.arange(-100, 100))), every_half()])
    largest = largest[(largest > 2.0**-100) & (largest < 2.0**100)]
    x = np.stack([largest, 2.0**-4 * largest], axis=1)
    scales = cast(largest / np.float32(6), "FLOAT8E8M0", round_mode="up")
    wanted = tq.Quantizer("e2m1")(x / scales[:, None]) * scales[:, None]
    assert_same_bits(tq.Quantizer("e2m1,block=2,scale=ceil")(x, reduction_axis=1), wanted)
