"""Accuracy over bits on Fashion-MNIST, as docs/accuracy_over_bits.md shows it.

python examples/keras/accuracy_over_bits.py --plot docs/accuracy_over_bits.svg
"""

import argparse

import images
import keras
import numpy as np

import tensorquant.keras as tqk

WIDTHS = (2, 3, 4, 5, 6, 7, 8, 10, 12)


def network():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(8, 5, strides=2, activation="relu", name="conv1"),
            keras.layers.Conv2D(16, 3, strides=2, activation="relu", name="conv2"),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(10, name="fc"),
        ]
    )


def fraction(values, bits):
    """The most fraction bits with which fixed point of a width still holds nearly all values."""
    largest = np.quantile(np.abs(values), 0.9995)
    return bits - 1 - int(np.ceil(np.log2(largest)))


def fixed_point(model, images, bits):
    """Maps with a fixed point of its own for each layer's weights and outputs."""
    weights, outputs = {}, {"=input": f"nearest,{bits},{bits - 1}"}
    x = images
    for layer in model.layers:
        x = keras.ops.convert_to_numpy(layer(x))
        if layer.weights:
            kernel = keras.ops.convert_to_numpy(layer.kernel)
            weights[layer.name] = {"weight": f"nearest,{bits},{fraction(kernel, bits)}"}
            outputs[layer.name] = f"nearest,{bits},{fraction(x, bits)}"
    return {"weights": weights, "extrinsic": outputs}


def measure(train, test, widths):
    """Accuracies by curve and width."""
    keras.utils.set_random_seed(0)
    model = network()
    model.compile(
        keras.optimizers.Adam(2e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )

    def accuracy(maps=None):
        if maps is None:
            tqk.strip(model)
        else:
            tqk.quantize_model(model, **maps)
        return model.evaluate(*test, batch_size=500, verbose=0)[1]

    model.fit(*train, batch_size=100, epochs=3, verbose=0)
    trained = model.get_weights()
    curves = {"float32": {}, "nearest": {}, "stochastic": {}, "nearest, fine-tuned": {}}
    for bits in widths:
        curves["float32"][bits] = accuracy()
        maps = fixed_point(model, train[0][:500], bits)
        curves["nearest"][bits] = accuracy(maps)
        model.fit(*train, batch_size=100, epochs=1, verbose=0)
        curves["nearest, fine-tuned"][bits] = accuracy(maps)
        tqk.strip(model)
        model.set_weights(trained)
        random = {
            kind: {
                key: {"weight": value["weight"].replace("nearest", "stochastic")}
                if isinstance(value, dict)
                else value.replace("nearest", "stochastic")
                for key, value in rules.items()
            }
            for kind, rules in maps.items()
        }
        curves["stochastic"][bits] = accuracy(random)
        tqk.strip(model)
    return curves


def table(curves):
    lines = ["| bits | " + " | ".join(curves) + " |", "|---" * (len(curves) + 1) + "|"]
    for bits in curves["float32"]:
        lines.append(f"| {bits} | " + " | ".join(f"{c[bits]:.3f}" for c in curves.values()) + " |")
    return "\n".join(lines)


def plot(curves, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "tensorquant"  # the same file each time
    figure, axes = plt.subplots(figsize=(6, 3.6))
    for name, curve in curves.items():
        style = "k:" if name == "float32" else "o-"
        axes.plot(list(curve), list(curve.values()), style, markersize=4, label=name)
    axes.set(xlabel="bits of weights and outputs", ylabel="test accuracy", ylim=(0, 1))
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=images.FOLDER)
    parser.add_argument("--quick", action="store_true", help="few images: shows that it runs")
    parser.add_argument("--plot", help="where the plot goes, .svg or .png")
    options = parser.parse_args()
    train, test = images.load(options.data, 600 if options.quick else 24000)
    curves = measure(train, test, WIDTHS[-2:] if options.quick else WIDTHS)
    print(table(curves))
    if options.plot:
        plot(curves, options.plot)


if __name__ == "__main__":
    main()
