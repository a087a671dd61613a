"""Number formats in PyTorch models.

Example:
    >>> import torch
    >>> import tensorquant.torch as tqt
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.ReLU())
    >>> model = tqt.quantize_model(model, weights="nearest,8,6", extrinsic={"=0": "nearest,8,4"})
    >>> rows = tqt.summary(model)
    layer  type    weights      bias         output       intrinsic  rule
    0      Linear  nearest,8,6  nearest,8,6  nearest,8,4  -          weights "" (rule 1), extrinsic "=0" (rule 1)
    1      ReLU    -            -            -            -          weights "" (rule 1)
"""

from tensorquant.frontend.override_argument import IdleRuleWarning
from tensorquant.frontend.ranges import PlaceRanges
from tensorquant.frontend.summary import LayerSummary, TrainingSummary
from tensorquant.frontend.tensor_quantizer import TensorQuantizer
from tensorquant.torch.calibration import calibrate
from tensorquant.torch.evaluator import evaluator
from tensorquant.torch.layer_facts import layer_facts
from tensorquant.torch.model import (
    layer_steps,
    quantize_model,
    set_inference_step,
    set_layer_steps,
    strip,
    summary,
)
from tensorquant.torch.observation import observe
from tensorquant.torch.optimizer import quantize_optimizer
from tensorquant.torch.ranges import explain, ranges, record_ranges

__all__ = [
    "IdleRuleWarning",
    "LayerSummary",
    "PlaceRanges",
    "TensorQuantizer",
    "TrainingSummary",
    "calibrate",
    "evaluator",
    "explain",
    "layer_facts",
    "layer_steps",
    "observe",
    "quantize_model",
    "quantize_optimizer",
    "ranges",
    "record_ranges",
    "set_inference_step",
    "set_layer_steps",
    "strip",
    "summary",
]
