#!/usr/bin/env python3
"""Trains a LeNet on Fashion-MNIST, evaluates it under quantizer maps and fine-tunes it through those that cost it much.

Everything is done by the command line; build/demo/commands.txt has each command, so that a reader can repeat it.
"""

import argparse
import json
import pathlib
import shlex
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOL = ROOT / "build" / "release" / "bin" / "tensorquant"
OUT = ROOT / "build" / "demo"
MODEL = ["--model", "lenet"]
EPOCHS = 3
LEARNING_RATE = 0.002
FINE_TUNING_LEARNING_RATE = 0.001
LARGE_LOSS = 0.01  # of accuracy; beyond it the network is fine-tuned through its quantizers


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke test on few images, whose accuracies mean nothing")
    parser.add_argument("--earlier", type=int, default=0, metavar="SECONDS", help="time that went before, as demo.sh counts it")
    return parser.parse_args()


ARGUMENTS = parse_arguments()
QUICK = ARGUMENTS.quick
STARTED = time.monotonic() - ARGUMENTS.earlier


def run(*arguments, show=True):
    """Runs the tool, writes down how, and returns what it prints. Progress goes to the terminal."""
    command = [str(TOOL), *map(str, arguments)]
    shown = shlex.join(argument.removeprefix(f"{ROOT}/") for argument in command)
    with open(OUT / "commands.txt", "a") as commands:
        commands.write(shown + "\n")
    if show:
        print("$ " + shown, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"demo: this failed: {shown}")
    return done.stdout


def result_of(*arguments, show=True):
    return json.loads(run(*arguments, "--json", show=show))


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


def line(*cells):
    """A line of the table. Its columns are as wide as the longest cell that a row of this file can have."""
    widths = (24, 14, 14, 16, 8, 6, 7, 5)
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip()


def minutes(seconds):
    return f"{round(seconds) // 60}:{round(seconds) % 60:02}"


class Table:
    """Rows that are printed as they come, and kept."""

    def __init__(self, float_accuracy):
        self.float_accuracy = float_accuracy
        self.rows = []
        print(line("", "WEIGHTS", "OUTPUTS", "ARITHMETIC", "ACCURACY", "CHANGE", "SECONDS", "LEFT"))

    def add(self, names, result, seconds, left=None):
        change = result["accuracy"] - self.float_accuracy
        name, weights, outputs, arithmetic = names
        self.rows.append({"name": name, "weights": weights, "outputs": outputs, "arithmetic": arithmetic,
                          "accuracy": result["accuracy"], "change": change, "seconds": seconds, "maps": result["maps"]})
        print(line(*names, f"{100 * result['accuracy']:.2f} %", f"{100 * change:+.2f}", f"{seconds:.1f}",
                   "" if left is None else minutes(left)), flush=True)


def search_and_report(checkpoint):
    """How many bits the network needs, and all that was found on the way as one HTML file."""
    shutil.rmtree(OUT / "runs", ignore_errors=True)  # another checkpoint's
    store, page = ["--store", OUT / "runs"], OUT / "report.html"
    # What a network that has hardly learnt may lose is no matter.
    effort = ["--margin", 60, "--widths", "8,4", "--images", 32, "--search-images", 64, "--test-images", 64, "--refine", 0]
    if not QUICK:
        effort = ["--margin", 1, "--images", 64, "--search-images", 1000, "--test-images", 2000, "--refine", 0]
    print("\nHow many bits does it need? The cheapest map that loses at most a point, after a short search:\n")
    print(run("search", *MODEL, "--checkpoint", checkpoint, *store, *effort, "--output", OUT / "best.json")
          .rstrip().split("\n\n")[-1])
    charts = [] if (ROOT / "build" / "charts" / "vega-embed.min.js").exists() else ["--tables"]
    run("report", *store, "--checkpoint", checkpoint, "--output", page, *charts)
    return page


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "commands.txt").unlink(missing_ok=True)
    checkpoint = OUT / "lenet.safetensors"
    trained = result_of("train", *MODEL, "--checkpoint", checkpoint, "--epochs", 1 if QUICK else EPOCHS,
                        "--learning-rate", LEARNING_RATE, "--seed", 1, *few_images())
    plain = result_of("evaluate", *MODEL, "--checkpoint", checkpoint, *few_images())
    base = plain["accuracy"]
    first_row = time.monotonic() - STARTED
    print(f"demo: network is trained and measured, {first_row:.0f} s")
    maps_of_rows = list(rows(checkpoint))
    print(f"\nLeNet on Fashion-MNIST, {plain['images']} test images; change in points against float; seconds of the\n"
          "evaluation or, in fine-tuned rows, of the training; about how long the rows below will still take.\n")
    table = Table(base)
    table.add(("float", "float32", "float32", "float32"), plain, plain["seconds"])
    table_started = time.monotonic()

    def left(done):
        """As long as so far, for each map: nobody knows which rows will be fine-tuned."""
        return (time.monotonic() - table_started) / done * (len(maps_of_rows) - done)

    for done, (*names, path) in enumerate(maps_of_rows, start=1):
        maps = ["--maps", path]
        result = result_of("evaluate", *MODEL, "--checkpoint", checkpoint, *maps, *few_images(), show=False)
        # An accumulator that overflows is to be seen, not to be trained away.
        is_tuned = (base - result["accuracy"] > LARGE_LOSS or QUICK) and not is_intrinsic(path)
        table.add(names, result, result["seconds"], None if is_tuned else left(done))
        if is_tuned:
            tuned = OUT / f"{path.stem}-tuned.safetensors"
            training = result_of(
                "train", *MODEL, "--initial", checkpoint, "--checkpoint", tuned, *maps, "--epochs", 1,
                "--learning-rate", FINE_TUNING_LEARNING_RATE, "--seed", 1, *few_images(), show=False)
            result = result_of("evaluate", *MODEL, "--checkpoint", tuned, *maps, *few_images(), show=False)
            table.add(("  fine-tuned", *names[1:]), result, training["seconds"], left(done))
    page = search_and_report(checkpoint)
    seconds = time.monotonic() - STARTED
    report = {"model": "lenet", "data": plain["data"], "images": plain["images"], "libraries": plain["libraries"],
              "training_seconds": trained["seconds"], "first_row_seconds": first_row, "seconds": seconds,
              "rows": table.rows}
    (OUT / "results.json").write_text(json.dumps(report, indent=2) + "\n")
    print(f"\nThe same as JSON: build/demo/results.json; the commands: build/demo/commands.txt. First accuracy after "
          f"{first_row:.0f} s, all after {seconds:.0f} s.\nThe search as a page for your browser: {page.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
