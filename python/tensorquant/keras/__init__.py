"""Number formats in Keras models, on the backends TensorFlow, PyTorch and JAX.

Example:
    >>> import keras
    >>> import tensorquant.keras as tqk
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="fc")])
    >>> model = tqk.quantize_model(model, weights="nearest,8,6", extrinsic="nearest,8,4")
    >>> rows = tqk.summary(model)
    layer  type   weights      bias         output       intrinsic  rule
    input  -      -            -            nearest,8,4  -          extrinsic "" (rule 1)
    fc     Dense  nearest,8,6  nearest,8,6  nearest,8,4  -          weights "" (rule 1), extrinsic "" (rule 1)
"""

from tensorquant.frontend.override_argument import IdleRuleWarning
from tensorquant.frontend.ranges import PlaceRanges
from tensorquant.frontend.summary import LayerSummary
from tensorquant.frontend.tensor_quantizer import TensorQuantizer
from tensorquant.keras.calibration import calibrate
from tensorquant.keras.evaluator import evaluator
from tensorquant.keras.layer_facts import layer_facts
from tensorquant.keras.model import (
    layer_steps,
    quantize_model,
    ranges,
    record_ranges,
    set_inference_step,
    set_layer_steps,
    strip,
    summary,
)
from tensorquant.keras.scope import override

generic_keras_override = override.generic_keras_override

__all__ = [
    "IdleRuleWarning",
    "LayerSummary",
    "PlaceRanges",
    "TensorQuantizer",
    "calibrate",
    "evaluator",
    "generic_keras_override",
    "layer_facts",
    "layer_steps",
    "override",
    "quantize_model",
    "ranges",
    "record_ranges",
    "set_inference_step",
    "set_layer_steps",
    "strip",
    "summary",
]
