"""ONNX models under quantizer maps, computed by ONNX Runtime.

    import tensorquant.onnx as tqo

    model = tqo.load("net.onnx")
    tqo.quantize_model(model, weights="int,8,per=channel,scale=max", extrinsic={"Relu": "nearest,8,4"})
    outputs = model.run({"image": x})

Needs the packages `onnx` and `onnxruntime`: `pip install 'tensorquant[onnx]'`. The names of layers and
what rules hit are those of `tensorquant explain --model net.onnx`: docs/onnx.md.
"""

from tensorquant.frontend.override_argument import IdleRuleWarning
from tensorquant.frontend.ranges import PlaceRanges
from tensorquant.frontend.summary import LayerSummary
from tensorquant.onnx.calibration import calibrate
from tensorquant.onnx.evaluator import evaluator
from tensorquant.onnx.loading import load
from tensorquant.onnx.maps import (
    observe,
    quantize_model,
    ranges,
    record_ranges,
    set_inference_step,
    strip,
    summary,
)
from tensorquant.onnx.model import NodeExplanation, OnnxModel

__all__ = [
    "IdleRuleWarning",
    "LayerSummary",
    "NodeExplanation",
    "OnnxModel",
    "PlaceRanges",
    "calibrate",
    "evaluator",
    "load",
    "observe",
    "quantize_model",
    "ranges",
    "record_ranges",
    "set_inference_step",
    "strip",
    "summary",
]
