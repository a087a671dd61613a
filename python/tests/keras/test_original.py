"""The original's README with `TensorQuant.Quantize` replaced by `tensorquant.original`."""

import json

import keras
import numpy as np
import pytest

import tensorquant as tq
import tensorquant.keras as tqk
from tensorquant.original import Quantizers, override, utils
from tensorquant.original.override_functions import generic_keras_override

pytestmark = pytest.mark.usefixtures("no_maps_left")


def _outputs(model):
    return {row.layer: row.output for row in tqk.summary(model, print_fn=None)}


def _model():
    Convolution2D = keras.layers.Convolution2D
    model = keras.models.Sequential()
    model.add(keras.Input((28, 28, 1)))
    model.add(Convolution2D(filters=20, kernel_size=(5, 5), padding="same", name="Conv1"))
    return model


def test_a_dictionary_of_quantizers():
    override.extr_q_map = {"Conv1": Quantizers.FixedPointQuantizer_nearest(16, 8)}
    assert _outputs(_model()) == {"Conv1": "nearest,16,8"}


def test_a_json_file(tmp_path):
    path = tmp_path / "map.json"
    path.write_text(json.dumps({"Conv": "nearest,16,8"}))
    override.extr_q_map = utils.quantizer_map(str(path))
    assert _outputs(_model()) == {"Conv1": "nearest,16,8"}


def test_no_map():
    override.extr_q_map = utils.quantizer_map("")
    assert override.extr_q_map is utils.quantizer_map(None) is None
    assert _outputs(_model()) == {"Conv1": ""}


def test_an_overridden_class(monkeypatch):
    keras_conv2d_override = generic_keras_override(keras.layers.Conv2D)
    monkeypatch.setattr(keras.layers, "Conv2D", keras_conv2d_override)
    monkeypatch.setattr(keras.layers, "Convolution2D", keras_conv2d_override)
    override.extr_q_map = {"": "ternary"}
    assert _outputs(_model()) == {"Conv1": "ternary"}


@pytest.mark.parametrize(
    ("quantizer", "string"),
    [
        (Quantizers.FixedPointQuantizer_zero(8, 4), "zero,8,4"),
        (Quantizers.FixedPointQuantizer_down(8, 4), "down,8,4"),
        (Quantizers.FixedPointQuantizer_stochastic(8, 4), "stochastic,8,4"),
        (Quantizers.LogarithmicQuantizer(), "logarithmic"),
        (Quantizers.SparseQuantizer(0.5), "sparse,0.5"),
        (Quantizers.HalffpQuantizer(), "fp16"),
        (Quantizers.BinaryQuantizer(1), "binary"),
        (Quantizers.BinaryQuantizer(0.5), "binary,0.5"),
        (Quantizers.TernaryQuantizer(1), "ternary"),
        (Quantizers.TernaryQuantizer(2, False), "ternary,2,0.5"),
        (Quantizers.NoQuantizer(), "none"),
        (utils.get_quantizer("binary,2"), "binary,2"),
        (utils.quantizer_selector("ternary", ["1", "0.25"]), "ternary,1,0.25"),
    ],
)
def test_each_quantizer_is_that_of_its_string(quantizer, string):
    assert isinstance(quantizer, tq.Quantizer)
    assert quantizer.spec == tq.Quantizer(string).spec


def test_a_quantizer_is_called_on_tensors():
    quantizer = Quantizers.FixedPointQuantizer_nearest(8, 4)
    y = quantizer(keras.ops.convert_to_tensor(np.float32([0.3, -9.0])))
    assert keras.ops.convert_to_numpy(y).tolist() == [0.3125, -8.0]


def test_wrong_arguments():
    with pytest.raises(tq.Error, match="nearest"):
        Quantizers.FixedPointQuantizer_nearest(8, "x")
    with pytest.raises(tq.Error, match="no such file"):
        utils.quantizer_map("missing.json")
