"""A model of keras.applications, whose code nobody can touch, at several widths.

The weights are random, so that nothing is downloaded: what is shown is how far quantized logits are from float ones.
"""

import images
import keras
import numpy as np

import tensorquant.keras as tqk

OPTIONS = images.arguments(__doc__.splitlines()[0])


def main():
    keras.utils.set_random_seed(0)
    size = 32 if OPTIONS.quick else 96
    model = keras.applications.MobileNetV2(
        (size, size, 3), alpha=0.35, weights=None, classes=10, classifier_activation=None
    )
    (_, _), (x, _) = images.load(OPTIONS.data, 96)
    x = keras.ops.image.resize(np.repeat(x, 3, axis=-1) * 2 - 1, (size, size))
    x = keras.ops.convert_to_numpy(x)

    model.predict(x, verbose=0)
    logits = model.predict(x, verbose=0)
    print("format             relative error of the logits")
    for spec in ("nearest,16,12", "nearest,8,5", "float,4,3", "float,5,2", "bf16"):
        tqk.quantize_model(
            model,
            weights={"bn": None, "BN": None, "": spec},  # batch normalization stays float
            extrinsic={"bn": None, "BN": None, "": spec},
        )
        error = np.abs(model.predict(x, verbose=0) - logits).max() / np.abs(logits).max()
        print(f"{spec:18} {error:.4f}")

    tqk.quantize_model(model, weights={"block_1_": "nearest,8,6"})  # a block as a whole
    for row in tqk.summary(model, print_fn=None):
        if row.weights:
            print(f"{row.layer}: {row.weights}")


if __name__ == "__main__":
    main()
