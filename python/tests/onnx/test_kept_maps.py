"""Maps in the metadata of an exported file: who gives no others runs under them."""

import numpy as np
import onnx
import pytest
from files import assert_same_bits, little_network, model_of
from onnx import helper

import tensorquant as tq
import tensorquant.onnx as tqo

KEY = "tensorquant.maps"
ROUNDED = {"conv": {"product": "fp16", "accumulator": "fp16"}, "fc": "nearest,16,8"}
# Several formats, so that one layer's rule on nodes of another's quantizer would show.
MAPS = [
    ("qdq", {"weights": "even,6,4", "extrinsic": {"relu": "even,5,2", "": "even,7,3"}}),
    ("qdq", {"extrinsic": {"input": "int,8,scale=0.05", "": "bf16"}, "intrinsic": ROUNDED}),
    ("qonnx", {"weights": "nearest,6,4", "extrinsic": {"fc": "down,5,2", "": "zero,7,3"}}),
    ("functions", {"extrinsic": {"conv": "nearest,8,5", "": "zero,6,2"}, "intrinsic": ROUNDED}),
]


def kept(tmp_path, to, maps, keep_weights=True, model=None):
    """The path of an exported file, the model under the maps and an input of it."""
    own, x, _ = little_network()
    loaded = tqo.quantize_model(tqo.load(model or own), **maps)
    path = tmp_path / "net.onnx"
    loaded.export(path, to, keep_weights=keep_weights, maps_in_metadata=True)
    return path, loaded, x


def with_metadata(path, text):
    file = onnx.load(path)
    for entry in file.metadata_props:
        if entry.key == KEY:
            entry.value = text
    return file


@pytest.mark.parametrize("to, maps", MAPS)
@pytest.mark.parametrize("keep_weights", [False, True])
def test_a_file_runs_under_its_maps_and_not_through_nodes_as_well(to, maps, keep_weights, tmp_path):
    path, loaded, x = kept(tmp_path, to, maps, keep_weights)
    again = tqo.load(path)
    assert again.kept_maps == tq.Override(**maps)
    assert_same_bits(again.run(x)["y"], loaded.run(x)["y"])
    assert [row.output for row in tqo.summary(again, None)] == [
        row.output for row in tqo.summary(loaded, None)
    ]
    assert [row.layer for row in again.explain()] == [row.layer for row in loaded.explain()]


def test_what_is_left_without_maps_is_the_model_before_its_export(tmp_path):
    maps = {"extrinsic": {"input": "even,6,3", "": "even,5,2"}, "weights": "even,5,4"}
    path, _, x = kept(tmp_path, "qdq", maps)
    model, _, _ = little_network()
    assert_same_bits(tqo.strip(tqo.load(path)).run(x)["y"], tqo.load(model).run(x)["y"])


def test_nodes_without_names_keep_those_of_their_outputs(tmp_path):
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Exp", ["a"], ["y"])]
    model = model_of(nodes, {"x": [1, 8]}, ["y"])
    maps = {"extrinsic": {"=a": "even,5,1", "=y": "even,6,2"}}
    path, loaded, _ = kept(tmp_path, "qdq", maps, model=model)
    x = np.random.default_rng(3).standard_normal((1, 8)).astype(np.float32)
    assert_same_bits(tqo.load(path).run(x)["y"], loaded.run(x)["y"])


def test_maps_that_are_given_win(tmp_path):
    path, loaded, x = kept(tmp_path, "qdq", {"extrinsic": {"relu": "even,5,2"}})
    own = {"extrinsic": {"conv": "nearest,8,3"}}
    given = tqo.quantize_model(tqo.load(path), **own)
    model, _, _ = little_network()
    expected = tqo.quantize_model(tqo.load(model), **own)
    assert_same_bits(given.run(x)["y"], expected.run(x)["y"])
    assert not np.array_equal(given.run(x)["y"], loaded.run(x)["y"])
    # Without others they are those of the file again.
    assert_same_bits(tqo.quantize_model(given).run(x)["y"], loaded.run(x)["y"])


@pytest.mark.parametrize(
    "text, says",
    [
        ("{", "line 1, column 2"),
        ('{"weights": {"conv": "nearst,8,4"}}', "unknown name 'nearst'"),
        ('{"optimizer": "bf16"}', "optimizer map is for tensorquant.torch"),
    ],
)
def test_damaged_metadata_is_an_error_that_names_them(text, says, tmp_path):
    path, _, _ = kept(tmp_path, "qdq", {"extrinsic": "even,8,4"})
    with pytest.raises(tq.Error, match=f"the model: metadata '{KEY}': .*{says}"):
        tqo.load(with_metadata(path, text))
