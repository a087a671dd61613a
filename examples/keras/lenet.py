"""LeNet in the style of the original TensorQuant: maps are set before the model is made.

A script for the original needs two changes: this import line, and what Keras 3 itself has renamed (`lr` is
`learning_rate`, `nb_epoch` is `epochs`).
"""

import images
import keras
import numpy as np

# was: from TensorQuant.Quantize import override
from tensorquant.keras import override, summary

OPTIONS = images.arguments(__doc__.splitlines()[0])


def lenet():
    Convolution2D = keras.layers.Convolution2D  # aliases need no care
    MaxPooling2D = keras.layers.MaxPooling2D
    Dense = keras.layers.Dense
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            Convolution2D(20, (5, 5), padding="same", activation="relu", name="Conv1"),
            MaxPooling2D((2, 2), name="MaxPool1"),
            Convolution2D(50, (5, 5), padding="same", activation="relu", name="Conv2"),
            MaxPooling2D((2, 2), name="MaxPool2"),
            keras.layers.Flatten(name="Flatten"),
            Dense(500, activation="relu", name="Dense3"),
            Dense(10, activation="softmax", name="Dense4"),
        ]
    )


def main():
    override.extr_q_map = {"Conv1": "nearest,12,8"}
    override.weight_q_map = {"Conv1": "nearest,8,6", "Dense3": "nearest,8,6"}

    (x, y), (x_test, y_test) = images.load(OPTIONS.data, 1200 if OPTIONS.quick else None)
    y, y_test = np.eye(10)[y], np.eye(10)[y_test]

    model = lenet()
    summary(model)
    model.compile(
        loss="categorical_crossentropy",
        optimizer=keras.optimizers.SGD(learning_rate=0.05),
        metrics=["accuracy"],
    )
    model.fit(x, y, batch_size=128, epochs=1, verbose=2)
    _, accuracy = model.evaluate(x_test, y_test, batch_size=128, verbose=0)
    print(f"Test accuracy: {accuracy:.2f}")


if __name__ == "__main__":
    main()
