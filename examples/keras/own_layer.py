"""A layer and a quantizer of one's own, in training, in a file, and back."""

import tempfile
from pathlib import Path

import images
import keras
import numpy as np

import tensorquant as tq
import tensorquant.keras as tqk

OPTIONS = images.arguments(__doc__)


@keras.saving.register_keras_serializable("example")
class Gate(keras.layers.Layer):
    """x * sigmoid(a * x + b). Nothing in it knows of quantizers."""

    def build(self, shape):
        self.a = self.add_weight(shape=(shape[-1],), initializer="ones", name="a")
        self.b = self.add_weight(shape=(shape[-1],), initializer="zeros", name="bias")

    def call(self, x):
        return x * keras.ops.sigmoid(self.a * x + self.b)


@tq.register_quantizer("levels", usage="levels,N", summary="N equal steps from -1 to 1")
class Levels(tq.UserQuantizer):
    def __init__(self, n):
        self.n = n

    def quantize(self, x):
        half = (self.n - 1) / 2
        return (np.round(np.clip(x, -1, 1) * half + half) - half).astype(x.dtype) / x.dtype.type(
            half
        )

    def gradient(self, x, y, dy):
        return np.where(np.abs(x) <= 1, dy, 0).astype(dy.dtype)


def main():
    keras.utils.set_random_seed(0)
    train, test = images.load(OPTIONS.data, 1200 if OPTIONS.quick else 30000)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(64, name="fc1"),
            Gate(name="gate"),
            keras.layers.Dense(10, name="fc2"),
        ]
    )
    tqk.quantize_model(
        model,
        weights={"gate": "nearest,8,5", "fc": {"weight": "levels,15"}},
        extrinsic={"gate": "float,4,3"},
    )
    tqk.summary(model)
    model.compile(
        "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    model.fit(*train, batch_size=100, epochs=1, verbose=2)
    wanted = model.predict(test[0], verbose=0)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gated.keras"
        model.save(path)
        loaded = keras.models.load_model(path)
    print(
        "loaded model gives the same bits:",
        np.array_equal(loaded.predict(test[0], verbose=0), wanted),
    )


if __name__ == "__main__":
    main()
