#!/usr/bin/env python3
"""ONNX's own tests of single operators, as C++ computes them: all that are not held out pass, but those of exceptions.txt.

Usage: node_tests.py ONNX_NODE_TESTS. Ends with 77 where the Python package onnx is not installed.
Those whose name's CRC-32 is a multiple of 4 are held out: --held-out runs them alone, and tells the counts and no names.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import warnings
import zlib

try:
    import onnx
    from onnx import TensorProto, numpy_helper
    from onnx.backend.test.case.node import collect_testcases
except ImportError:
    print("the Python package onnx is not installed, nothing to compare with")
    sys.exit(77)

# What models are made of, counted over a hundred: the first covers more than half of them.
TIERS = {
    1: """Abs Add And AveragePool BatchNormalization Cast Clip Concat Constant ConstantOfShape Conv ConvTranspose Div Dropout Equal Erf Exp Expand Flatten
        Gather Gelu Gemm GlobalAveragePool GlobalMaxPool Greater HardSigmoid HardSwish Identity InstanceNormalization LRN LayerNormalization LeakyRelu Less
        Log LogSoftmax MatMul Max MaxPool Min Mul Neg Not PRelu Pad Pow Reciprocal ReduceMax ReduceMean ReduceSum Relu Reshape Shape Sigmoid Slice Softmax
        Split Sqrt Squeeze Sub Sum Tanh Transpose Unsqueeze Where""",
    2: """Acos Acosh AffineGrid ArgMax ArgMin Asin Asinh Atan Atanh Attention BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor CastLike Ceil Celu
        CenterCropPad Col2Im Compress Cos Cosh CumProd CumSum DepthToSpace Det Einsum Elu EyeLike Floor GRU GatherElements GatherND GreaterOrEqual GridSample
        GroupNormalization Hardmax If IsInf IsNaN LSTM LessOrEqual LpNormalization LpPool Mean MeanVarianceNormalization Mish Mod NegativeLogLikelihoodLoss
        NonZero OneHot Or RMSNormalization RNN Range ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMin ReduceProd ReduceSumSquare Resize
        ReverseSequence RotaryEmbedding Round Scatter ScatterElements ScatterND Selu Shrink Sign Sin Sinh Size SoftmaxCrossEntropyLoss Softplus Softsign
        SpaceToDepth Swish Tan ThresholdedRelu Tile TopK Trilu Unique Upsample Xor""",
}
TIER_OF = {operator: tier for tier, operators in TIERS.items() for operator in operators.split()}

# Types that libtorch 1.13 computes with.
TYPES = {
    getattr(TensorProto, name)
    for name in "FLOAT DOUBLE FLOAT16 BFLOAT16 UINT8 INT8 INT16 INT32 INT64 BOOL".split()
}


def graphs_in(graph):
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from graphs_in(attribute.g)


def tier_of(model):
    """The highest of its operators; None where one is of none."""
    tiers = [0]
    for graph in graphs_in(model.graph):
        for node in graph.node:
            tiers.append(TIER_OF.get(node.op_type, 9) if not node.domain else 9)
    return max(tiers) if max(tiers) in TIERS else None


def has_other_types(model):
    graph = model.graph
    if any(not one.type.HasField("tensor_type") for one in [*graph.input, *graph.output]):
        return True
    types = {one.type.tensor_type.elem_type for one in [*graph.input, *graph.output]}
    types |= {tensor.data_type for tensor in graph.initializer}
    for node in graph.node:
        types |= {one.i for one in node.attribute if node.op_type == "Cast" and one.name == "to"}
    return not types <= TYPES


def write(case, folder):
    data = folder / "test_data_set_0"
    data.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(case.model.SerializeToString())
    for kind, values in zip(("input", "output"), case.data_sets[0], strict=True):
        for i, value in enumerate(values):
            tensor = value if isinstance(value, TensorProto) else numpy_helper.from_array(value)
            (data / f"{kind}_{i}.pb").write_bytes(tensor.SerializeToString())


def is_held_out(name):
    return zlib.crc32(name.encode()) % 4 == 0


def chosen_cases(held_out):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = collect_testcases(None)
    for case in cases:
        tier = tier_of(case.model)
        if tier and is_held_out(case.name) == held_out and not has_other_types(case.model):
            yield tier, case


def exceptions():
    """Name to reason, of the file's lines "name: reason"."""
    lines = (pathlib.Path(__file__).parent / "exceptions.txt").read_text().splitlines()
    return dict(line.split(": ", 1) for line in lines if line and not line.startswith("#"))


def results(program, folder):
    """Name to why it failed, or to None."""
    done = subprocess.run([program, folder], check=True, capture_output=True, text=True)
    found = {}
    for line in done.stdout.splitlines():
        state, _, rest = line.partition(" ")
        name, _, reason = rest.partition(": ")
        found[name] = reason if state == "failed" else None
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--folder", help="where to write the tests and leave them")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(arguments.folder or temporary)
        tiers = {}
        for tier, case in chosen_cases(arguments.held_out):
            write(case, folder / case.name)
            tiers[case.name] = tier
        found = results(arguments.program, folder)
    for tier in TIERS:
        of_tier = [found[name] is None for name in tiers if tiers[name] == tier]
        print(f"tier {tier}: {sum(of_tier)} of {len(of_tier)} pass")
    if arguments.held_out:
        return 0
    known = exceptions()
    faults = [f"{name}: {why}" for name, why in sorted(found.items()) if why and name not in known]
    faults += [f"{name}: an exception that passes" for name in known if not found.get(name)]
    if set(found) != set(tiers):
        faults.append(f"not run: {sorted(set(tiers) - set(found))}")
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
