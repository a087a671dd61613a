"""QONNX's nodes as the package qonnx computes them, and as `tensorquant evaluate` does: export and import."""

import pathlib
import subprocess

import numpy as np
import pytest
from borders import with_neighbours

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
pytest.importorskip("qonnx", reason="qonnx is not installed")

from onnx import helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

import tensorquant as tq
import tensorquant.onnx as tqo

PROGRAM = pathlib.Path(__file__).resolve().parents[3] / "build" / "release" / "bin" / "tensorquant"
DOMAIN = "qonnx.custom_op.general"


def model_of(node, size, constants=()):
    """x -> node -> y"""
    x, y = (helper.make_tensor_value_info(name, 1, [size]) for name in "xy")
    tensors = [numpy_helper.from_array(np.asarray(v, np.float32), n) for n, v in constants]
    graph = helper.make_graph([node], "g", [x], [y], tensors)
    domains = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=8)


def by_qonnx(model, x):
    wrapped = ModelWrapper(model).transform(InferShapes())
    with np.errstate(all="ignore"):
        return execute_onnx(wrapped, {"x": x})["y"].astype(np.float32)


def by_the_program(tmp_path, path, x):
    if not PROGRAM.exists():
        pytest.skip("needs build/release/bin/tensorquant")
    np.save(tmp_path / "x.npy", x)
    command = [PROGRAM, "evaluate", "--model", path, "--input", f"x={tmp_path / 'x.npy'}"]
    subprocess.run([*command, "--save-outputs", tmp_path], check=True, capture_output=True)
    return np.load(tmp_path / "output_0.npy")


def finite_numbers(spec):
    """The format's values, the middles between them, their neighbours, and numbers of all sizes."""
    rng = np.random.default_rng(1)
    values = tq.Quantizer(spec).values(1 << 17)
    middles = (values[1:] + values[:-1]) / 2
    spread = rng.standard_normal(50000) * 2.0 ** rng.integers(-20, 17, 50000)
    near = with_neighbours(np.concatenate([values, middles]), np.float32)
    x = np.concatenate([near, spread.astype(np.float32)])
    return x[np.isfinite(x)]


# Of qonnx's roundings by |t| + 0.5 and |t| - 0.5, those whose sums are rounded across an integer.
def is_rounded_twice(t):
    t = np.abs(t.astype(np.float32))
    exact, found = t.astype(np.float64), np.float32(0.5)
    up = np.floor(exact + 0.5) != np.floor(t + found)
    return up | (np.ceil(exact - 0.5) != np.ceil(t - found))


WRITTEN = [
    *("even,8,4", "even,4,2,unsigned", "even,9,3", "even,2,0", "even,12,4"),
    *("nearest,7,4", "nearest,8,0,unsigned", "nearest_zero,6,2", "zero,6,2", "down,5,1", "up,5,3"),
    *("zero,4,1,overflow=symmetric", "even,8,4,overflow=symmetric", "int,8,scale=0.0123"),
    *("fp16,overflow=saturate", "e4m3fn", "e5m2,overflow=saturate", "e4m3fnuz", "float,3,2"),
    *("binary,0.5", "ternary,1,0.5"),
]


@pytest.mark.parametrize("spec", WRITTEN)
def test_what_export_writes_is_the_quantizer_for_qonnx_and_read_again(spec, tmp_path):
    x = finite_numbers(spec)
    same = model_of(helper.make_node("Identity", ["x"], ["y"], "same"), len(x))
    path = tmp_path / "net.onnx"
    tqo.load(same).export(path, "qonnx", maps=tq.Override(extrinsic={"input": spec}))
    expected = tq.Quantizer(spec)(x)
    assert np.array_equal(by_the_program(tmp_path, path, x), expected, equal_nan=True)
    found = by_qonnx(onnx.load(path), x)
    differs = found != expected
    if spec.startswith("nearest"):
        step = 2.0 ** -int(spec.split(",")[2])
        differs &= ~is_rounded_twice(x / np.float32(step))
    assert not differs.any(), (x[differs][:5], found[differs][:5], expected[differs][:5])


MODES = ("ROUND", "HALF_EVEN", "HALF_UP", "HALF_DOWN", "CEIL", "FLOOR", "UP", "DOWN")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("signed, narrow", [(1, 0), (1, 1), (0, 0), (0, 1)])
def test_quant_of_numbers_near_ties(mode, signed, narrow, tmp_path):
    rng = np.random.default_rng(2)
    for op_type, bits, scale, zero in (("Quant", 5, 0.0123, 0), ("IntQuant", 3.5, 0.7, 3)):
        scale = np.float32(scale)
        t = rng.integers(-80, 80, 31_250) / 2
        x = t.astype(np.float32) * scale
        below, above = np.nextafter(x, np.float32(-np.inf)), np.nextafter(x, np.float32(np.inf))
        x = np.concatenate([x, below, above, rng.standard_normal(31_250).astype(np.float32)])
        constants = [("s", scale), ("z", zero), ("b", bits)]
        settings = {"signed": signed, "narrow": narrow, "rounding_mode": mode}
        node = helper.make_node(op_type, ["x", "s", "z", "b"], ["y"], domain=DOMAIN, **settings)
        model = model_of(node, len(x), constants)
        onnx.save(model, tmp_path / "net.onnx")
        found, expected = by_the_program(tmp_path, tmp_path / "net.onnx", x), by_qonnx(model, x)
        differs = found != expected
        if mode.startswith("HALF_"):
            differs &= ~is_rounded_twice(x / scale + np.float32(zero))
        assert not differs.any(), (x[differs][:5], found[differs][:5], expected[differs][:5])
