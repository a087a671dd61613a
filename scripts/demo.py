#!/usr/bin/env python3
"""Trains a LeNet on Fashion-MNIST, evaluates it under quantizer maps and fine-tunes it through those that cost it much.

Everything is done by the command line; each command is printed, so that a reader can repeat it.

Usage: demo.py [--quick]    (--quick: a smoke test on few images, whose accuracies mean nothing)
"""

import json
import pathlib
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOL = ROOT / "build" / "release" / "bin" / "tensorquant"
OUT = ROOT / "build" / "demo"
QUICK = "--quick" in sys.argv[1:]
MODEL = ["--model", "lenet"]
EPOCHS = 3
LEARNING_RATE = 0.002
FINE_TUNING_LEARNING_RATE = 0.001
LARGE_LOSS = 0.01  # of accuracy; beyond it the network is fine-tuned through its quantizers


def run(*arguments):
    """Runs the tool, shows how, and returns what it prints. Progress goes to the terminal."""
    line = [str(TOOL), *map(str, arguments)]
    shown = [str(pathlib.Path(a).relative_to(ROOT)) if a.startswith(str(ROOT)) else a for a in line]
    print("$ " + shlex.join(shown), flush=True)
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(done.returncode)
    return done.stdout


def result_of(*arguments):
    return json.loads(run(*arguments, "--json"))


def few_images():
    return ["--limit", "512"] if QUICK else []


def suggest(bits, checkpoint):
    """The map of `bits`-bit fixed point whose fractions cover the ranges seen in weights and outputs."""
    path = OUT / f"fixed{bits}.json"
    run("explain", *MODEL, "--checkpoint", checkpoint, "--suggest", bits, "--output", path)
    return path


def with_name(path, old, new, out):
    """A copy of a map file with another quantizer name."""
    out.write_text(path.read_text().replace(f'"{old},', f'"{new},'))
    return out


def write_map(name, maps):
    path = OUT / name
    path.write_text(json.dumps(maps, indent=2) + "\n")
    return path


def rows(checkpoint):
    """Name of the row, what it does to weights, outputs and arithmetic in a few words, and its map file."""
    fixed = {bits: suggest(bits, checkpoint) for bits in (8, 6, 4)}
    original = {
        "extrinsic": {"Conv1": "nearest,12,11"},
        "weights": {"Conv1": "nearest,32,16", "Dense3": "nearest,32,16"},
    }
    # A magnitude for each layer, near the mean magnitude of its weights.
    scales = {"Conv1": 0.1, "Conv2": 0.05, "Dense3": 0.02, "Dense4": 0.05}
    ternary = {layer: {"weight": f"ternary,{m}"} for layer, m in scales.items()}
    binary = {layer: {"weight": f"binary,{m}"} for layer, m in scales.items()}
    yield "original's example", "nearest,32,16", "nearest,12,11", "", write_map("original.json", original)
    for bits, path in fixed.items():
        yield f"fixed point, {bits} bits", f"nearest,{bits},F", f"nearest,{bits},F", "", path
    for bits in (8, 6):
        path = with_name(fixed[bits], "nearest", "stochastic", OUT / f"stochastic{bits}.json")
        yield f"stochastic, {bits} bits", f"stochastic,{bits},F", f"stochastic,{bits},F", "", path
    yield "powers of two", "logarithmic", "", "", write_map("logarithmic.json", {"weights": "logarithmic"})
    yield "half precision", "fp16", "fp16", "", write_map("fp16.json", {"weights": "fp16", "extrinsic": "fp16"})
    yield "8-bit floats", "float,4,3", "float,4,3", "", write_map(
        "float43.json", {"weights": "float,4,3", "extrinsic": "float,4,3"})
    yield "sparse weights", "sparse,0.03", "", "", write_map("sparse.json", {"weights": {"": {"weight": "sparse,0.03"}}})
    yield "ternary weights", "ternary,m", "", "", write_map("ternary.json", {"weights": ternary})
    yield "binary weights", "binary,m", "", "", write_map("binary.json", {"weights": binary})
    # Products of 16 bits, 10 of them fractional, in accumulators of the same fraction that get narrower.
    for bits in (24, 16, 12):
        for mode in ("step", "once"):
            rule = {"product": "nearest,16,10", "accumulator": f"nearest,{bits},10", "accumulate": mode}
            yield f"{bits}-bit accumulator, {mode}", "", "", f"16,10 into {bits},10", write_map(
                f"accumulator{bits}-{mode}.json", {"intrinsic": {"": rule}})


def is_intrinsic(path):
    return "intrinsic" in json.loads(path.read_text())


def table(results):
    heading = ("", "WEIGHTS", "OUTPUTS", "ARITHMETIC", "ACCURACY", "CHANGE", "SECONDS")
    lines = [heading]
    for r in results:
        lines.append((r["name"], r["weights"], r["outputs"], r["arithmetic"], f"{100 * r['accuracy']:.2f} %",
                      f"{100 * r['change']:+.2f}", f"{r['seconds']:.1f}"))
    widths = [max(len(line[i]) for line in lines) for i in range(len(heading))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths)).rstrip() for line in lines)


def main():
    started = time.monotonic()
    OUT.mkdir(parents=True, exist_ok=True)
    checkpoint = OUT / "lenet.safetensors"
    trained = result_of("train", *MODEL, "--checkpoint", checkpoint, "--epochs", 1 if QUICK else EPOCHS,
                        "--learning-rate", LEARNING_RATE, "--seed", 1, *few_images())
    plain = result_of("evaluate", *MODEL, "--checkpoint", checkpoint, *few_images())
    base = plain["accuracy"]
    results = []

    def add(name, weights, outputs, arithmetic, result, seconds):
        results.append({"name": name, "weights": weights, "outputs": outputs, "arithmetic": arithmetic,
                        "accuracy": result["accuracy"], "change": result["accuracy"] - base, "seconds": seconds,
                        "maps": result["maps"]})

    add("float", "float32", "float32", "float32", plain, plain["seconds"])
    for name, weights, outputs, arithmetic, path in rows(checkpoint):
        maps = ["--maps", path]
        result = result_of("evaluate", *MODEL, "--checkpoint", checkpoint, *maps, *few_images())
        add(name, weights, outputs, arithmetic, result, result["seconds"])
        # An accumulator that overflows is to be seen, not to be trained away.
        if (base - result["accuracy"] > LARGE_LOSS or QUICK) and not is_intrinsic(path):
            tuned = OUT / f"{path.stem}-tuned.safetensors"
            training = result_of("train", *MODEL, "--initial", checkpoint, "--checkpoint", tuned, *maps, "--epochs", 1,
                                 "--learning-rate", FINE_TUNING_LEARNING_RATE, "--seed", 1, *few_images())
            result = result_of("evaluate", *MODEL, "--checkpoint", tuned, *maps, *few_images())
            add("  fine-tuned", weights, outputs, arithmetic, result, training["seconds"])
    seconds = time.monotonic() - started
    report = {"model": "lenet", "data": plain["data"], "images": plain["images"], "training_seconds": trained["seconds"],
              "seconds": seconds, "rows": results}
    (OUT / "results.json").write_text(json.dumps(report, indent=2) + "\n")
    print(f"\nLeNet on Fashion-MNIST, {plain['images']} test images; change in points against float; seconds of the\n"
          "evaluation or, in fine-tuned rows, of the training.\n")
    print(table(results))
    print(f"\nThe same as JSON: build/demo/results.json. {seconds:.0f} s in all.")


if __name__ == "__main__":
    main()
