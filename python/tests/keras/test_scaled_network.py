"""A network with scales everywhere gives the bits of the command line."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers as L

import tensorquant.keras as tqk

sys.path.append(str(Path(__file__).parents[3] / "tests" / "golden" / "scaled_network"))
import network


def lenet5():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            L.Conv2D(6, 5, padding="same", name="conv1"),
            L.ReLU(name="relu1"),
            L.MaxPooling2D(2, name="pool1"),
            L.Conv2D(16, 5, name="conv2"),
            L.ReLU(name="relu2"),
            L.MaxPooling2D(2, name="pool2"),
            L.Conv2D(120, 5, name="conv3"),
            L.ReLU(name="relu3"),
            L.Flatten(name="flatten"),
            L.Dense(84, name="fc1"),
            L.ReLU(name="relu4"),
            L.Dense(10, name="fc2"),
        ]
    )


def images():
    pixels = np.frombuffer(network.pixels(), np.uint8).reshape(network.IMAGES, 28, 28, 1)
    return pixels.astype(np.float32) / np.float32(255)


@pytest.mark.parametrize("name", network.MAPS)
def test_a_network_has_the_bits_of_the_command_line(name):
    model = lenet5()
    numbers = network.parameters()
    arrays = [
        np.array(numbers[n], np.float32).reshape(shape) for n, shape in network.SHAPES.items()
    ]
    model.set_weights([x.transpose(*range(2, x.ndim), 1, 0) if x.ndim > 1 else x for x in arrays])
    tqk.quantize_model(model, **network.MAPS[name])
    found = keras.ops.convert_to_numpy(model(images()))
    assert found.tobytes() == network.logits()[name]
    assert model.predict(images(), verbose=0).tobytes() == network.logits()[name]
