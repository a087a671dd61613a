#!/usr/bin/env python3
"""Which format for what: a network's accuracy with the formats of 2026 in its weights and activations, in one table.

Usage: examples/format_table.py [--program build/release/bin/tensorquant] --model resnet20 --checkpoint FILE --data FILE
                                [--calibration FILE] [--float KEY] [--limit N] [--rows PATTERN] [--fine-tune FILE [--epochs N]]

Biases stay float32, and so do the outputs of the layers that --float names by a key of a map: 're:.*(conv|bn|add).*' leaves in a ResNet
what its convolutions read. Scales of activations are found in each batch where the row does not say otherwise; "calibrated" ones are numbers that
`tensorquant calibrate` has found on --calibration. With --fine-tune each row's network is measured once more, after training on these images with
the row's quantizers in place; the float32 network, too, as part of what a row wins the images alone would give. Needs Python's standard library alone.
"""

import argparse
import json
import pathlib
import re
import subprocess
import tempfile

# What it is, weights, activations.
ROWS = [
    ("FP8 E4M3, a scale a tensor", "e4m3fn,scale=max", "e4m3fn,scale=max"),
    ("MXFP8", "mxfp8_e4m3", "mxfp8_e4m3"),
    ("MXFP6 E2M3", "mxfp6_e2m3", "mxfp6_e2m3"),
    ("MXFP6 E3M2", "mxfp6_e3m2", "mxfp6_e3m2"),
    ("MXFP4", "mxfp4", "mxfp4"),
    ("MXFP4, scales rounded up", "mxfp4,scale=ceil", "mxfp4,scale=ceil"),
    ("NVFP4", "nvfp4", "nvfp4"),
    ("MXINT8", "mxint8", "mxint8"),
    ("int8, a scale a channel and a tensor", "int,8,per=channel,scale=max", "int,8,scale=max"),
    ("int8, calibrated", "int,8,per=channel,scale=max", "calibrated int,8,scale=max"),
    ("int4 weights in groups of 32, int8 activations", "int,4,block=32,scale=max", "int,8,scale=max"),
    ("int4", "int,4,per=channel,scale=max", "int,4,scale=max"),
    ("NF4 weights", "nf4", "none"),
    ("block floating point, MSFP16", "bfp,8", "bfp,8"),
    ("posit", "posit,8", "posit,8"),
    ("fixed point", "nearest,8,6", "nearest,8,4"),
]


def run(program: str, *arguments: str) -> str:
    return subprocess.run([program, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def percents(options: argparse.Namespace, maps: dict) -> list[float]:
    """Percent of images right: as the checkpoint is and, where it is wanted, fine-tuned."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "maps.json")
        file.write_text(json.dumps(maps))
        found = [accuracy(options, options.checkpoint, str(file))]
        if options.fine_tune:
            tuned = str(pathlib.Path(folder, "tuned.safetensors"))
            run(options.program, "train", *network(options, tuned), "--initial", options.checkpoint, "--data", options.fine_tune,
                "--maps", str(file), "--epochs", str(options.epochs), "--learning-rate", "0.0001")  # fmt: skip
            found.append(accuracy(options, tuned, str(file)))
    return found


def accuracy(options: argparse.Namespace, checkpoint: str, maps: str) -> float:
    report = run(options.program, "evaluate", *network(options, checkpoint), "--data", options.data, "--maps", maps, "--json",
                 *(["--limit", str(options.limit)] if options.limit else []))  # fmt: skip
    return 100 * json.loads(report)["accuracy"]


def network(options: argparse.Namespace, checkpoint: str) -> list[str]:
    return ["--model", options.model, "--checkpoint", checkpoint]


def maps_of(options: argparse.Namespace, weights: str, activations: str) -> dict | None:
    """Nothing where the row wants images that were not given."""
    maps = {"weights": {"": {"weight": weights}}}
    word, _, rule = activations.rpartition(" ")
    if activations != "none":
        maps["extrinsic"] = {**({options.float: None} if options.float else {}), "": rule}
    if word != "calibrated":
        return maps
    if options.calibration is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "maps.json")
        file.write_text(json.dumps(maps))
        return json.loads(run(options.program, "calibrate", *network(options, options.checkpoint),
                              "--data", options.calibration, "--maps", str(file)))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bin/tensorquant")
    parser.add_argument("--model", required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--calibration")
    parser.add_argument("--float")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--rows", default="", help="only the rows in which this regular expression is found")
    parser.add_argument("--fine-tune")
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    plain = percents(options, {})
    print(f"{options.model}: {', fine-tuned '.join(f'{percent:.2f} %' for percent in plain)} in float32\n")
    width = max(len(what) for what, _, _ in ROWS)
    columns = "accuracy  to float32" + ("  fine-tuned" if options.fine_tune else "")
    print(f"{'':{width}}  {'weights':28}  {'activations':28}  {columns}")
    for what, weights, activations in ROWS:
        if not re.search(options.rows, what):
            continue
        maps = maps_of(options, weights, activations)
        if maps is None:
            print(f"{what:{width}}  {weights:28}  {activations:28}  needs --calibration")
            continue
        percent, *tuned = percents(options, maps)
        print(f"{what:{width}}  {weights:28}  {activations:28}  {percent:8.2f}  {percent - plain[0]:+10.2f}",
              *(f" {percent:10.2f}" for percent in tuned), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
