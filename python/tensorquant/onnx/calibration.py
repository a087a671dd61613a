"""Maps with numbers in place of the scales that outputs of ONNX models find for themselves."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from tensorquant import _core
from tensorquant.frontend.calibration import (
    WatchedOutput,
    calibrated,
    check_batches,
    refuse_nothing,
    run_pass,
)
from tensorquant.frontend.override_argument import make_override, warn_of_idle
from tensorquant.maps.override import Override
from tensorquant.numbers.checks import checked, wrong
from tensorquant.onnx.application import Application
from tensorquant.onnx.maps import watching
from tensorquant.onnx.model import OnnxModel


@checked
def calibrate(model: OnnxModel, data: Any, maps: Any, method: str = "minmax") -> Override:
    """Runs data through a model and puts numbers in place of the scales that its outputs find.

    Extrinsic rules that find one scale in a whole output, such as `int,8,scale=max`, become one
    rule for each layer that they hit, with numbers. All other rules stay as they are. The model
    runs without quantizers; afterwards it is as it was.

    Args:
        model: What `load` returned.
        data: Batches in a list or a generator: what `OnnxModel.run` takes. `entropy` goes through
            all of them twice.
        maps: A `tensorquant.Override`, or the path of a file with all three maps.
        method: "minmax", "average[=c]", "percentile[=p]", "mse" or "entropy": see
            docs/calibration.md.

    Returns:
        A new `tensorquant.Override`.

    Raises:
        TypeError: The data is no such thing, or a generator where a method goes through it twice.
        tensorquant.Error: No output has such a rule, or the method does not suit one. An output had
            no finite number.
    """
    override = make_override(None, None, None, maps, 0, False)
    application = Application(model, override)
    passes = _core.Calibrator(method).passes
    if isinstance(data, np.ndarray):
        raise wrong("data", "batches of arrays or of dictionaries", data)
    check_batches(data, passes, method)
    outputs, names = _watched(application, method)
    refuse_nothing(outputs.values())
    warn_of_idle(application.idle, stacklevel=3)

    def run(batch):
        if not isinstance(batch, (Mapping, np.ndarray)):
            raise wrong("data", "batches of arrays or of dictionaries", batch)
        values = model.check_inputs(batch)
        for name in application.inputs:
            _show(outputs[application.inputs[name].layer], values[name])
        model.run(values)

    with watching(model, names, lambda layer, array: _show(outputs[layer], array)):
        for number in range(passes):
            run_pass(number, outputs.values(), data, run)
    result, texts = calibrated(override, outputs.values())
    for text in texts:
        warnings.warn(text, stacklevel=3)
    return result


def _watched(application, method):
    """A WatchedOutput by the name of each layer, and the layers' names by those of values."""
    outputs = {}
    for name, output in application.inputs.items():
        what = f"the model's input '{name}'"
        outputs[output.layer] = WatchedOutput([output.layer], what, output.quantizer)
    for output in application.outputs.values():
        layer = output.layer
        outputs.setdefault(
            layer, WatchedOutput([layer], f"the output of {layer}", output.quantizer)
        )
    for output in outputs.values():
        output.watch(method)
    return outputs, {name: output.layer for name, output in application.outputs.items()}


def _show(output, array):
    if output.calibrator is not None:
        array = array if array.dtype == np.float64 else array.astype(np.float32, copy=False)
        output.calibrator.observe(np.ascontiguousarray(array))
