"""Quantization-aware fine-tuning: train in float, quantize, lose accuracy, train on, get it back."""

import images
import keras

import tensorquant.keras as tqk

OPTIONS = images.arguments(__doc__)


def network():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(16, 3, strides=2, name="conv1"),
            keras.layers.BatchNormalization(name="norm1"),
            keras.layers.ReLU(name="relu1"),
            keras.layers.Conv2D(32, 3, strides=2, name="conv2"),
            keras.layers.BatchNormalization(name="norm2"),
            keras.layers.ReLU(name="relu2"),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(10, name="fc"),
        ]
    )


def main():
    keras.utils.set_random_seed(0)
    train, test = images.load(OPTIONS.data, 600 if OPTIONS.quick else 30000)
    model = network()
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )

    def accuracy():
        return model.evaluate(*test, batch_size=500, verbose=0)[1]

    model.fit(*train, batch_size=100, epochs=2, verbose=0)
    print(f"float                     {accuracy():.3f}")

    # Two bits for each weight: -0.5, -0.25, 0 or 0.25. Clipped gradients keep weights in range.
    tqk.quantize_model(
        model,
        weights={"conv": {"weight": "nearest,2,2,grad=clipped"}, "fc": {"weight": "nearest,2,3"}},
        extrinsic={"relu": "nearest,6,3,grad=clipped"},
    )
    tqk.summary(model)
    print(f"quantized                 {accuracy():.3f}")

    model.optimizer.learning_rate = 3e-4
    model.fit(*train, batch_size=100, epochs=2, verbose=0)
    print(f"quantized and fine-tuned  {accuracy():.3f}")

    tqk.strip(model)
    print(f"the same weights in float {accuracy():.3f}")


if __name__ == "__main__":
    main()
