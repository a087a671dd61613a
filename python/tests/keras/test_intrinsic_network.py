"""A network whose arithmetic is rounded everywhere has the bits of the other front-ends."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers as L

import tensorquant.keras as tqk

GOLDEN = Path(__file__).parents[3] / "tests" / "golden" / "intrinsic_network" / "network.json"


def model_of(tensors):
    """Keras' network of PyTorch's parameters."""
    x = image = keras.Input((4, 4, 2), name="image")
    x = L.Conv2D(8, 3, padding="same", name="conv")(x)
    x = L.BatchNormalization(epsilon=1e-5, name="bn")(x)
    x = keras.ops.reshape(x, (-1, 16, 8))
    x = L.LayerNormalization(epsilon=1e-5, name="norm")(x)
    x = L.Activation("gelu", name="gelu")(x)
    x = L.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = L.Softmax(name="softmax")(L.Dense(4, name="fc")(x))
    model = keras.Model(image, x)

    def set_weights(name, *arrays):
        model.get_layer(name).set_weights(arrays)

    set_weights("conv", tensors["conv.weight"].transpose(2, 3, 1, 0), tensors["conv.bias"])
    set_weights(
        "bn", *(tensors[f"bn.{n}"] for n in ("weight", "bias", "running_mean", "running_var"))
    )
    set_weights("norm", tensors["norm.weight"], tensors["norm.bias"])
    kernels = tensors["attention.in_proj_weight"].reshape(3, 8, 8)
    biases = tensors["attention.in_proj_bias"].reshape(3, 2, 4)
    projections = [a for k, b in zip(kernels, biases) for a in (k.T.reshape(8, 2, 4), b)]
    out = tensors["attention.out_proj.weight"].T.reshape(2, 4, 8)
    set_weights("attention", *projections, out, tensors["attention.out_proj.bias"])
    set_weights("fc", tensors["fc.weight"].T, tensors["fc.bias"])
    return model


@pytest.mark.parametrize("name", ["fixed_point", "floats", "integers"])
def test_a_network_has_the_golden_bits(name):
    network = json.loads(GOLDEN.read_text())
    tensors = {
        n: np.array(network["sixty_fourths"][n], np.float32).reshape(shape) / np.float32(64)
        for n, shape in network["shapes"].items()
    }
    model = model_of(tensors)
    tqk.quantize_model(model, **network["maps"][name])
    found = keras.ops.convert_to_numpy(model(tensors["x"].transpose(0, 2, 3, 1)))
    assert found.transpose(1, 0, 2).tobytes().hex() == network["y"][name]
