"""ONNX files in TensorQuant against ONNX Runtime, with and without its optimizer; and quantized to 8 bits against float. Two threads.

    python bench/onnx/onnx_bench.py build/release/bin/onnx_runner [--models FOLDER] [--rounds N] [--json]

Before the clock starts the outputs are compared. The contenders take turns, each twice, of which the second counts; a ratio is the median of the rounds' ratios. FOLDER/ppocr_cls/model.onnx,
a classifier of text directions by Paddle, is measured too where it is.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import networks
import numpy as np
import onnxruntime

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from processor import processor_name

THREADS = 2


def session_of(model, optimized):
    """ONNX Runtime's, whose threads sleep between its runs: they would slow the others down."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimized else level.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def measure(runner, model, shape, rounds):
    """One file at one batch: milliseconds of each contender, and ratios."""
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    sessions = {"runtime": session_of(model, False), "optimized": session_of(model, True)}
    with tempfile.TemporaryDirectory() as folder:
        given, made = pathlib.Path(folder, "x.npy"), pathlib.Path(folder, "y.npy")
        np.save(given, x)
        with subprocess.Popen(
            [runner, model, given, made], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:

            def own(what):
                process.stdin.write(what + "\n")
                process.stdin.flush()
                answer = process.stdout.readline().split()
                if not answer:
                    raise SystemExit(f"{runner} has ended")
                return [float(number) for number in answer]

            def theirs(session):
                start = time.perf_counter()
                session.run(None, {session.get_inputs()[0].name: x})
                return 1e3 * (time.perf_counter() - start)

            contenders = {what: lambda what=what: own(what)[0] for what in ("float", "quantized")}
            contenders |= {
                name: lambda session=session: theirs(session) for name, session in sessions.items()
            }

            # Each twice, the second counts: the first wakes the threads that slept meanwhile.
            def turn():
                return {name: [run(), run()][1] for name, run in contenders.items()}

            turn()  # warms up
            expected = sessions["runtime"].run(None, {sessions["runtime"].get_inputs()[0].name: x})[
                0
            ]
            difference = np.abs(np.load(made) - expected).max()
            if not difference <= 1e-4 * np.abs(expected).max():
                raise AssertionError(f"{model}: the outputs differ by {difference}")
            turns = [turn() for _ in range(rounds)]
            profiles = [own("profile") for _ in range(3)]
            process.stdin.close()
    result = {f"{name}_ms": statistics.median(one[name] for one in turns) for name in turns[0]}
    for name, over in (("float", "runtime"), ("float", "optimized"), ("quantized", "float")):
        result[f"{name}_over_{over}"] = statistics.median(one[name] / one[over] for one in turns)
    result["products_share"] = statistics.median(inside / total for total, inside in profiles)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runner", type=pathlib.Path)
    parser.add_argument("--models", type=pathlib.Path)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for make in (networks.resnet18, networks.mobilenet_v2):
            path = pathlib.Path(folder, make.__name__ + ".onnx")
            path.write_bytes(make())
            files.append((make.__name__, path, (3, 224, 224)))
        if arguments.models is not None:
            path = arguments.models / "ppocr_cls" / "model.onnx"
            files.append(("ppocr_cls", path, (3, 48, 192)))
        for name, path, shape in files:
            for batch in arguments.batches:
                found = measure(arguments.runner, path, (batch, *shape), arguments.rounds)
                rows.append({"model": name, "batch": batch, **found})
                print(f"{name}, batch {batch}", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"processor": processor_name(), "rows": rows}))
        return
    print(f"Processor: {processor_name()}\n")
    print("model         batch  float ms  / runtime  / optimized  quantized / float  in products")
    for row in rows:
        print(
            "{model:12}  {batch:5}  {float_ms:8.2f}  {float_over_runtime:9.2f}"
            "  {float_over_optimized:11.2f}  {quantized_over_float:17.2f}"
            "  {products_share:11.0%}".format_map(row)
        )


if __name__ == "__main__":
    main()
