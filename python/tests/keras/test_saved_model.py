"""Models that TensorFlow exported are loaded by a process that knows the ops alone."""

import subprocess
import sys

import cases
import keras
import numpy as np
import pytest
from keras import layers as L

import tensorquant.keras as tqk

if keras.backend.backend() != "tensorflow":
    pytest.skip("SavedModel is TensorFlow's", allow_module_level=True)

LOAD = """
import sys
import numpy as np
import tensorflow as tf
from tensorquant.ops.tensorflow import load_library
assert load_library()
model = tf.saved_model.load(sys.argv[1])
found = np.asarray(model.serve(np.load(sys.argv[1] + "/x.npy")))
assert found.tobytes() == np.load(sys.argv[1] + "/y.npy").tobytes()
assert "tensorquant.keras" not in sys.modules
"""


def test_an_exported_model_has_the_same_bits_in_a_fresh_process(tmp_path):
    x = keras.Input((6, 6, 3))
    y = L.ReLU(name="relu")(L.Conv2D(4, 3, name="conv")(x))
    y = L.Dense(3, name="fc")(L.Flatten(name="flat")(y))
    model = keras.Model(x, y)
    tqk.quantize_model(
        model,
        weights={"conv": "int,8,per=channel,scale=max", "": "nearest,8,6"},
        extrinsic={"conv": "stochastic,8,4", "": "nearest,8,4"},
        intrinsic={"fc": "nearest,12,6"},
    )
    x = cases.normal(2, 6, 6, 3)
    folder = str(tmp_path / "exported")
    model.export(folder, verbose=False)
    np.save(folder + "/x.npy", x)
    np.save(folder + "/y.npy", cases.outputs(model, x)[0])
    run = subprocess.run(
        [sys.executable, "-c", LOAD, folder], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
