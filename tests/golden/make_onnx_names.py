#!/usr/bin/env python3
"""The names, parts, weights and biases of the nodes of ONNX models, as docs/onnx.md defines them, by a second hand: the Python package
onnx reads the models and infers the types.

Usage: make_onnx_names.py MODELS [--check]. MODELS has a folder with model.onnx for each list in onnx_names/.
"""

import ast
import pathlib
import sys

import onnx
from onnx import TensorProto

LISTS = pathlib.Path(__file__).parent / "onnx_names"
FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16}
MOVES = [
    "Reshape",
    "Flatten",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Slice",
    "Split",
    "Concat",
    "Expand",
    "Identity",
    "Dropout",
    "Pad",
    "MaxPool",
    "GlobalMaxPool",
    "Tile",
    "DepthToSpace",
    "SpaceToDepth",
    "GatherElements",
    "GatherND",
    "If",
]
INTEGERS = ["QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"]
NEVER = [
    *INTEGERS,
    "Cast",
    "Constant",
    "ConstantOfShape",
    "Shape",
    "Size",
    "QuantizeLinear",
    "DequantizeLinear",
]
CHAIN = [
    "Identity",
    "Transpose",
    "Reshape",
    "Unsqueeze",
    "Cast",
    "DequantizeLinear",
    "Quant",
    "IntQuant",
    "BipolarQuant",
    "FloatQuant",
]
WEIGHTS = {"LSTM": [1, 2], "GRU": [1, 2], "RNN": [1, 2], "Gather": [0]} | {
    name: [1]
    for name in [
        "Conv",
        "ConvTranspose",
        "BatchNormalization",
        "LayerNormalization",
        "InstanceNormalization",
        "GroupNormalization",
        "RMSNormalization",
        "PRelu",
    ]
}


class Namer:
    def __init__(self, model):
        inferred = onnx.shape_inference.infer_shapes(model)
        self.nodes = [node for node in model.graph.node]
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self.maker = {name: node for node in self.nodes for name in node.output if name}
        every = [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]
        self.types = {value.name: value.type.tensor_type.elem_type for value in every}
        self.types |= {name: tensor.data_type for name, tensor in self.initializers.items()}
        self.shapes = {name: list(tensor.dims) for name, tensor in self.initializers.items()}
        for node in self.nodes:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.types[node.output[0]] = node.attribute[0].t.data_type
                self.shapes[node.output[0]] = list(node.attribute[0].t.dims)
        for value in inferred.graph.value_info:
            dims = value.type.tensor_type.shape.dim
            self.shapes.setdefault(value.name, [one.dim_value for one in dims])
        for (
            node
        ) in self.nodes:  # of operators that the package does not know, and what comes after them
            for name in node.output:
                if not self.types.get(name):
                    self.types[name] = self.types.get(node.input[0], 0) if node.input else 0
        self.readers = {}
        for name in [name for node in self.nodes for name in node.input] + [
            value.name for value in model.graph.output
        ]:
            self.readers[name] = self.readers.get(name, 0) + 1
        self.data = {
            value.name for value in model.graph.input if value.name not in self.initializers
        }
        self.variable = set(self.data)  # values that are no constants: data, and sizes of them
        for node in self.nodes:
            if self.variable & set(node.input):
                self.variable |= set(node.output)
            if self.data & set(node.input) and node.op_type not in ("Shape", "Size"):
                self.data |= set(node.output)

    def is_constant(self, node, place):
        if place is None or place >= len(node.input) or not node.input[place]:
            return False
        name = node.input[place]
        return name not in self.variable and self.types.get(name) in FLOATS

    def parameters(self, node):
        """Weights, bias, and the Add behind."""
        if node.domain not in ("", "ai.onnx"):
            return [], None, None
        places, bias = WEIGHTS.get(node.op_type, []), None
        if node.op_type in ("Conv", "ConvTranspose") or node.op_type.endswith("Normalization"):
            bias = 2
        if node.op_type in ("LSTM", "GRU", "RNN"):
            bias = 3
        if node.op_type == "Gemm":
            places, bias = [1 if self.is_constant(node, 1) else 0], 2
        if node.op_type == "MatMul":
            places = [place for place in (0, 1) if self.is_constant(node, place)]
        weights = [node.input[place] for place in places if self.is_constant(node, place)]
        if node.op_type == "MatMul" and weights:
            return weights, *self.following_add(node)
        return weights, node.input[bias] if self.is_constant(node, bias) else None, None

    def following_add(self, node):
        product = node.output[0]
        adds = [one for one in self.nodes if product in one.input and one.op_type == "Add"]
        if self.readers.get(product) != 1 or not adds:
            return None, None
        place = 1 - list(adds[0].input).index(product)
        bias = adds[0].input[place]
        shape = self.shapes.get(bias)
        if (
            not self.is_constant(adds[0], place)
            or not shape
            or any(size != 1 for size in shape[:-1])
        ):
            return None, None
        return bias, adds[0]

    def role(self, node, weights):
        output = node.output[0]
        if (
            output not in self.data
            or node.op_type in NEVER
            or (self.types[output] or TensorProto.FLOAT) not in FLOATS
        ):
            return "other"
        if node.domain not in ("", "ai.onnx"):
            return "other"
        if node.op_type in ("Add", "Sub", "Mul", "Div") and any(self.is_constant(node, place) for place in (0, 1)):
            return "other"
        return (
            "moves"
            if node.op_type in MOVES or (node.op_type == "Gather" and not weights)
            else "computes"
        )

    def weight_module(self, name):
        while self.readers[name] == 1:
            if name.endswith(".weight"):
                return name.removesuffix(".weight")
            maker = self.maker.get(name)
            if maker is None or maker.op_type not in CHAIN:
                return None
            name = maker.input[0]
        return None

    def base_name(self, node, weights):
        suffix = [] if weights else [node.op_type]
        modules = []
        if node.name.startswith("/"):
            parts = node.name.split("/")[1:-1]
            modules.append(
                ".".join(a for a, b in zip(parts, [*parts[1:], ""]) if not b.startswith(a + "."))
            )
        if weights:
            modules.append(self.weight_module(weights[0]))
        scopes = [
            entry.value
            for entry in node.metadata_props
            if entry.key == "pkg.torch.onnx.name_scopes"
        ]
        modules += [ast.literal_eval(text)[-2] for text in scopes]
        for module in modules:
            if module is not None and (module or suffix):
                return ".".join([module, *suffix] if module else suffix)
        return node.name or next(name for name in node.output if name)

    def rows(self):
        taken, names, rows = set(), {}, []
        for node in self.nodes:
            if node.op_type == "Constant" or id(node) in taken:
                continue
            weights, bias, add = self.parameters(node)
            if add is not None:
                taken.add(id(add))
            base = self.base_name(node, weights)
            names[base] = names.get(base, 0) + 1
            name = base if names[base] == 1 else f"{base}#{names[base]}"
            rows.append(
                [
                    name,
                    node.op_type,
                    self.role(node, weights),
                    " ".join(weights) or "-",
                    bias or "-",
                ]
            )
        return rows


def main():
    models = pathlib.Path(sys.argv[1])
    LISTS.mkdir(exist_ok=True)
    stale = []
    for path in sorted(models.glob("*/model.onnx")):
        rows = Namer(onnx.load(str(path))).rows()
        text = "".join("\t".join(row) + "\n" for row in rows)
        target = LISTS / f"{path.parent.name}.txt"
        if "--check" not in sys.argv:
            target.write_text(text)
        elif not target.exists() or target.read_text() != text:
            stale.append(target.name)
    if stale:
        sys.exit("onnx_names: not what the second hand says: " + ", ".join(stale))


if __name__ == "__main__":
    main()
