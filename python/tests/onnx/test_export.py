"""Exported models in ONNX Runtime, bit for bit what the quantizers give, and read again by us."""

import numpy as np
import onnx
import pytest
from files import (
    arrays_of,
    assert_same_bits,
    little_network,
    model_of,
    run_plain,
    run_program,
    shared_model,
)
from onnx import helper

import tensorquant as tq
import tensorquant.onnx as tqo


def numbers_around(spec):
    """Random numbers of all sizes, the format's values, ties between them and their neighbours."""
    rng = np.random.default_rng(1)
    values = tq.Quantizer(spec).values(1 << 17)
    borders = np.array([0.0, 1.0, 65504, 65520, 3e38, 1e-40], np.float32)
    if values is not None:
        values = np.unique(values.astype(np.float32))
        values = values[:: max(1, len(values) // 4096)]
        ties = (values[1:].astype(np.float64) + values[:-1]) / 2
        borders = np.concatenate([borders, values, ties.astype(np.float32)])
    near = [np.nextafter(borders, np.float32(end)) for end in (-np.inf, np.inf)]
    spread = rng.standard_normal(20000) * 2.0 ** rng.integers(-30, 30, 20000)
    x = np.concatenate([borders, -borders, *near, spread.astype(np.float32)]).astype(np.float32)
    return np.concatenate([x, np.array([np.inf, -np.inf], np.float32)])


def exported_input(path, spec, to, opset=21):
    """A model that gives its input, quantized and exported."""
    node = helper.make_node("Identity", ["x"], ["y"], "same")
    model = tqo.load(model_of([node], {"x": ["n"]}, ["y"], opset=opset))
    model.export(path, to, maps=tq.Override(extrinsic={"input": spec}))
    return onnx.load(path)


QDQ = [
    *(
        "even,8,4",
        "even,8,4,unsigned",
        "even,16,10",
        "even,16,3,unsigned",
        "even,5,2",
        "even,3,0,unsigned",
    ),
    *(
        "even,12,4",
        "even,9,2,unsigned",
        "even,8,4,overflow=symmetric",
        "even,16,8,overflow=symmetric",
    ),
    *("int,8,scale=0.0123", "int,8,scale=0.05,zero=3", "int,8,unsigned,scale=0.0123,zero=128"),
    *("even,4,2", "int,4,scale=0.3", "fp16", "bf16", "fp16,overflow=saturate", "even,1,0"),
    *("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e4m3fn,overflow=saturate", "e4m3fn,scale=0.37"),
]


@pytest.mark.parametrize("spec", QDQ)
def test_quantize_and_dequantize_linear_have_the_quantizers_bits(spec, tmp_path):
    file = exported_input(tmp_path / "net.onnx", spec, "qdq")
    x = numbers_around(spec)
    if (
        spec == "e5m2"
    ):  # ONNX Runtime makes NaN of what overflows by rounding; the standard says Inf
        x = x[(np.abs(x) < 61440) | (np.abs(x) >= 65536)]
    assert_same_bits(run_plain(file, {"x": x})["y"], tq.Quantizer(spec)(x))


FUNCTIONS = [
    *(f"{rounding},8,4" for rounding in ("nearest", "even", "zero", "down", "up", "nearest_up")),
    *(
        "nearest_down,8,4",
        "nearest_zero,8,4",
        "nearest,8,4,unsigned",
        "down,8,4,overflow=symmetric",
    ),
    *("nearest,32,8", "zero,24,30", "binary", "binary,0.3", "ternary,1,0.3", "sparse,0.5", "fp16"),
    *("int,8,scale=0.0123", "int,8,scale=0.05,zero=3", "e4m3fn"),
]


@pytest.mark.parametrize("spec", FUNCTIONS)
def test_functions_have_the_quantizers_bits(spec, tmp_path):
    file = exported_input(tmp_path / "net.onnx", spec, "functions")
    assert [f.domain for f in file.functions] == ["tensorquant"]
    x = numbers_around(spec)
    assert_same_bits(run_plain(file, {"x": x})["y"], tq.Quantizer(spec)(x))
    specs = {entry.key: entry.value for entry in file.metadata_props}
    assert specs == {f"tensorquant.function.{file.functions[0].name}": tq.Quantizer(spec).spec}


QONNX = [
    *("even,8,4", "even,4,2,unsigned", "even,24,4", "nearest,7,4", "nearest_zero,6,2", "zero,6,2"),
    *("down,5,1", "up,5,3", "zero,4,1,overflow=symmetric", "int,8,scale=0.0123", "fp16", "bf16"),
    *("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "float,3,2", "e2m1", "e4m3fn,scale=0.37"),
    *("binary,0.5", "ternary,1,0.5"),
]


# Some need operators that ONNX Runtime has not: int2 of operator set 25, float4.
@pytest.mark.parametrize(
    "to, specs", [("qdq", [*QDQ, "even,2,0", "e2m1"]), ("qonnx", QONNX), ("functions", FUNCTIONS)]
)
def test_what_is_written_is_the_quantizer_when_it_is_read_again(to, specs, tmp_path):
    arrays = {f"x{i}": numbers_around(spec) for i, spec in enumerate(specs)}
    nodes = [
        helper.make_node("Identity", [name], [f"y{i}"], f"same{i}") for i, name in enumerate(arrays)
    ]
    ports = {name: [len(array)] for name, array in arrays.items()}
    outputs = [f"y{i}" for i in range(len(specs))]
    onnx.save(model_of(nodes, ports, outputs, opset=25), tmp_path / "net.onnx")
    maps = tq.Override(extrinsic={f"=same{i}": spec for i, spec in enumerate(specs)})
    (tmp_path / "maps.json").write_text(maps.to_json())
    out = tmp_path / "out.onnx"
    run_program("export", tmp_path / "net.onnx", out, "--to", to, "--maps", tmp_path / "maps.json")
    inputs = []
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
        inputs += ["--input", f"{name}={tmp_path}/{name}.npy"]
    run_program("evaluate", "--model", out, *inputs, "--save-outputs", tmp_path)
    for i, (spec, x) in enumerate(zip(specs, arrays.values())):
        y, expected = np.load(tmp_path / f"output_{i}.npy"), tq.Quantizer(spec)(x)
        if to == "qonnx":  # whose Quant gives -0 of small negative numbers
            y, expected = y + 0, expected + 0
        assert_same_bits(y, expected)


MAPS = [
    ("qdq", {"weights": "nearest,6,4", "extrinsic": "even,8,4"}),
    (
        "qdq",
        {
            "weights": "int,8,per=channel,scale=max",
            "extrinsic": {"relu": "int,8,unsigned,scale=0.01"},
        },
    ),
    ("qdq", {"weights": "mxfp4", "extrinsic": {"input": "e4m3fn", "": "bf16"}}),
    ("functions", {"weights": {"conv": "ternary", "": "posit,8"}, "extrinsic": "nearest,8,4"}),
]


@pytest.mark.parametrize("to, maps", MAPS)
def test_a_network_has_the_bits_that_it_has_here(to, maps, tmp_path):
    model, x, _ = little_network()
    loaded = tqo.quantize_model(tqo.load(model), **maps)
    loaded.export(tmp_path / "net.onnx", to)
    file = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(file, full_check=True)
    assert_same_bits(run_plain(file, {"x": x})["y"], loaded.run(x)["y"])
    assert_same_bits(tqo.load(tmp_path / "net.onnx").run(x)["y"], loaded.run(x)["y"])


def test_weights_that_are_kept_have_nodes_with_the_scales_that_they_have_here(tmp_path):
    model, x, constants = little_network()
    maps = {
        "weights": {
            "conv": {"weight": "int,8,per=channel,scale=max", "bias": "even,8,5"},
            "fc": "even,6,4",
        }
    }
    loaded = tqo.quantize_model(tqo.load(model), **maps)
    loaded.export(tmp_path / "net.onnx", keep_weights=True)
    file = onnx.load(tmp_path / "net.onnx")
    kept = {t.name: onnx.numpy_helper.to_array(t) for t in file.graph.initializer}
    assert_same_bits(kept["conv.weight"], constants["conv.weight"])
    first = next(n for n in file.graph.node if "conv.weight" in n.input)
    largest = np.abs(constants["conv.weight"]).max(axis=(1, 2, 3))
    assert_same_bits(kept[first.input[1]], largest / np.float32(127))
    assert [a.i for a in first.attribute if a.name == "axis"] == [0]
    assert_same_bits(run_plain(file, {"x": x})["y"], loaded.run(x)["y"])


def test_layers_keep_their_names_in_the_exported_file(tmp_path):
    model, _, _ = little_network()
    names = [row.layer for row in tqo.load(model).explain()]
    for keep_weights in (False, True):
        maps = tq.Override("even,8,6", "even,8,4")
        tqo.load(model).export(tmp_path / "net.onnx", maps=maps, keep_weights=keep_weights)
        again = [row.layer for row in tqo.load(tmp_path / "net.onnx").explain()]
        assert [name for name in again if name in names] == names


def test_resnet20_has_the_bits_that_it_has_here(tmp_path):
    folder = shared_model("resnet20_legacy_bn")
    (x,) = arrays_of(folder, "input")
    loaded = tqo.quantize_model(tqo.load(folder / "model.onnx"), "even,8,6", "even,8,4")
    loaded.export(tmp_path / "net.onnx")
    file = onnx.load(tmp_path / "net.onnx")
    (expected,) = loaded.run(x).values()
    (found,) = run_plain(file, {loaded.inputs[0].name: x}).values()
    assert_same_bits(found, expected)


def test_an_exported_model_is_exported_again_as_it_is(tmp_path):
    model, _, _ = little_network()
    first, second, third = (tmp_path / f"{name}.onnx" for name in ("first", "second", "third"))
    tqo.load(model).export(first, maps=tq.Override("even,8,6", "even,8,4"))
    tqo.load(first).export(second)
    tqo.load(second).export(third)
    graphs = [onnx.load(path).graph for path in (first, second)]
    assert graphs[0].node == graphs[1].node
    tensors = [sorted(g.initializer, key=lambda tensor: tensor.name) for g in graphs]
    assert tensors[0] == tensors[1]
    assert second.read_bytes() == third.read_bytes()


def test_qonnx_nodes_say_what_the_quantizer_is(tmp_path):
    def node(spec):
        file = exported_input(tmp_path / "net.onnx", spec, "qonnx")
        assert ("qonnx.custom_op.general", 1) in [(o.domain, o.version) for o in file.opset_import]
        values = {t.name: float(onnx.numpy_helper.to_array(t)) for t in file.graph.initializer}
        (found,) = (n for n in file.graph.node if n.domain == "qonnx.custom_op.general")
        settings = {a.name: helper.get_attribute_value(a) for a in found.attribute}
        return found.op_type, [values[name] for name in found.input[1:]], settings

    quant = {"signed": 1, "narrow": 0, "rounding_mode": b"HALF_UP"}
    assert node("nearest,7,4") == ("Quant", [1 / 16, 0, 7], quant)
    assert node("even,7,4,unsigned") == (
        "Quant",
        [1 / 16, 0, 7],
        {**quant, "signed": 0, "rounding_mode": b"ROUND"},
    )
    narrow = {**quant, "narrow": 1, "rounding_mode": b"DOWN"}
    assert node("zero,4,1,overflow=symmetric") == ("Quant", [0.5, 0, 4], narrow)
    assert node("ternary,1,0.5") == ("Quant", [1, 0, 2], {**narrow, "rounding_mode": b"ROUND"})
    assert node("binary,0.5") == ("BipolarQuant", [0.5], {})
    op_type, values, settings = node("e4m3fn,overflow=saturate")
    assert (op_type, values) == ("FloatQuant", [1, 4, 3, 7, 448])
    assert (settings["has_inf"], settings["has_nan"], settings["saturation"]) == (0, 1, 1)


NOT_SAID = [
    ("qdq", "nearest,8,4", "'x'.*QuantizeLinear rounds ties to even"),
    ("qdq", "even,8,4,overflow=wrap", "QuantizeLinear saturates"),
    ("qdq", "even,20,4", "more than 16 bits"),
    ("qdq", "float,4,2", "no such type of floats"),
    ("qdq", "posit,8", "no such format"),
    ("qdq", "int,8,scale=max", "put numbers in"),
    ("qdq", "stochastic,8,4", "at random"),
    ("qonnx", "int,8,scale=0.1,zero=3", "zero point before it rounds"),
    ("qonnx", "even,1,0", "one signed bit"),
    ("functions", "posit,8", "no function of ONNX's operators says it"),
    ("functions", "nearest,8,4,overflow=wrap", "only saturates"),
]


@pytest.mark.parametrize("to, spec, text", NOT_SAID)
def test_what_a_dialect_cannot_say_is_an_error_and_no_file(to, spec, text, tmp_path):
    path = tmp_path / "net.onnx"
    with pytest.raises(tq.Error, match=text.replace("'x'", "'input:x' \\(input\\)")):
        exported_input(path, spec, to)
    assert not path.exists()


def test_intrinsic_rules_stand_in_the_metadata_alone(tmp_path):
    model, _, _ = little_network()
    maps = tq.Override(intrinsic={"conv": "fp16"})
    with pytest.raises(tq.Error, match="'conv' .*rounded arithmetic has no form in ONNX"):
        tqo.load(model).export(tmp_path / "net.onnx", maps=maps)
    tqo.load(model).export(tmp_path / "net.onnx", maps=maps, maps_in_metadata=True)
    entries = {e.key: e.value for e in onnx.load(tmp_path / "net.onnx").metadata_props}
    assert tq.Override.from_json(entries["tensorquant.maps"]) == maps


def test_old_models_say_which_operators_they_lack(tmp_path):
    with pytest.raises(tq.Error, match="needs version 19 of ONNX's operators, the model has 17"):
        exported_input(tmp_path / "net.onnx", "e4m3fn", "qdq", opset=17)


def test_readers_limits_are_warnings(tmp_path):
    model, _, _ = little_network()
    with pytest.warns(UserWarning, match="'relu': hls4ml rounds ties to even"):
        tqo.load(model).export(
            tmp_path / "a.onnx",
            "qonnx",
            maps=tq.Override(extrinsic={"relu": "nearest,8,4"}),
            reader="hls4ml",
        )
    with pytest.warns(UserWarning, match="'relu': FINN wants unsigned numbers behind a Relu"):
        tqo.load(model).export(
            tmp_path / "a.onnx",
            "qonnx",
            maps=tq.Override(extrinsic={"relu": "even,8,4"}),
            reader="finn",
        )
