"""ONNX models from files."""

import os
import warnings
from typing import Any

import onnx

from tensorquant import _core
from tensorquant.numbers.checks import Count, checked, wrong
from tensorquant.numbers.threads import get_num_threads
from tensorquant.onnx.maps import quantize_model
from tensorquant.onnx.model import OnnxModel
from tensorquant.onnx.session import runtime_errors


@checked
def load(
    model: Any,
    *,
    threads: Count | None = None,
    optimize: bool = False,
    fold_batch_norm: bool = False,
) -> OnnxModel:
    """Reads an ONNX model.

    Args:
        model: The path of a file, the bytes of one, or an `onnx.ModelProto`. External data are read
            from plain files below the file's folder.
        threads: How many of ONNX Runtime's threads compute an operator; those of
            `tensorquant.get_num_threads` if left out.
        optimize: Whether ONNX Runtime may rewrite the graph for speed: it folds batch
            normalizations into weights and joins nodes, which moves the last bits of results. Left
            out, what is computed is what the file says.
        fold_batch_norm: Whether batch normalizations are put into the weights and biases of the
            convolutions and products before them, in float64; a warning names those that stay.

    Returns:
        The model: in float, or under the maps that the file has in its metadata.

    Raises:
        tensorquant.Error: The file is not sound, which byte or node tells; or ONNX Runtime does not
            know one of its operators.

    Example:
        >>> import numpy as np
        >>> from onnx import helper
        >>> import tensorquant.onnx as tqo
        >>> x, y = (helper.make_tensor_value_info(name, 1, [2]) for name in "xy")
        >>> graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"], "relu")], "g", [x], [y])
        >>> file = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        >>> model = tqo.quantize_model(tqo.load(file), extrinsic={"relu": "nearest,8,4"})
        >>> model.run({"x": np.array([-1, 0.3], np.float32)})["y"]
        array([0.    , 0.3125], dtype=float32)
    """
    threads = get_num_threads() if threads is None else threads
    if isinstance(model, onnx.ModelProto):
        with runtime_errors("the model"):
            model = model.SerializeToString()
    if isinstance(model, bytes):
        file = _core.parse_onnx(model, "the model", fold_batch_norm)
        return _made(file, "the model", threads, optimize)
    if not isinstance(model, (str, os.PathLike)):
        raise wrong("model", "a path, bytes or an onnx.ModelProto", model)
    path = os.fspath(model)
    return _made(_core.read_onnx(path, fold_batch_norm), path, threads, optimize)


def _made(file, source, threads, optimize):
    if file.left_batch_norms:
        names = ", ".join(f"'{name}'" for name in file.left_batch_norms)
        warnings.warn(f"{source}: batch normalizations that stay: {names}", stacklevel=4)
    model = OnnxModel(file, source, threads, optimize)
    return model if model.kept_maps is None else quantize_model(model, maps=model.kept_maps)
