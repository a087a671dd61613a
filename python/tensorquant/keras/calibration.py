"""Maps with numbers in place of the scales that outputs find for themselves."""

import contextlib
import dataclasses
import warnings
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from tensorquant import _core
from tensorquant._core import Error
from tensorquant.frontend.calibration import (
    WatchedOutput,
    calibrated,
    check_batches,
    refuse_nothing,
    run_pass,
)
from tensorquant.frontend.override_argument import make_override, warn_of_idle
from tensorquant.keras.application import Application
from tensorquant.keras.backend import has_numbers, not_compiled, without_gradients
from tensorquant.keras.container import split_inputs
from tensorquant.keras.inference import without_quantizers
from tensorquant.keras.keras_internals import every_layer
from tensorquant.keras.layers import walk
from tensorquant.keras.plan import is_float_tensor
from tensorquant.keras.twin import attach, settled
from tensorquant.maps.override import Override
from tensorquant.numbers.checks import checked, wrong

_BATCH = 32  # what predict() makes of an array


@checked
def calibrate(model: keras.layers.Layer, data: Any, maps: Any, method: str = "minmax") -> Override:
    """Runs data through a model and puts numbers in place of the scales that its outputs find.

    Extrinsic rules that find one scale in a whole output, such as `int,8,scale=max` or
    `int,8,unsigned,scale=range`, become one rule for each layer that they hit, with numbers. All
    other rules stay as they are: the scale of a weight is a function of the weight.

    The model runs in inference, call by call and without quantizers; afterwards it is as it was.
    But for the method `average` the result depends on the outputs alone, not on batches or their
    order.

    Args:
        model: A Keras model or layer, quantized or not.
        data: An array, which is cut into batches of 32; or batches in a list, a generator, a
            `tf.data.Dataset` or a `keras.utils.PyDataset`. A batch is what `fit` takes for one:
            inputs, or a tuple of inputs and targets, which are left alone. `entropy` goes through
            all batches twice.
        maps: A `tensorquant.Override`, or the path of a file with all three maps.
        method: "minmax", "average[=c]", "percentile[=p]", "mse" or "entropy": see
            docs/calibration.md.

    Returns:
        A new `tensorquant.Override`. Warnings name the outputs that had NaN or infinities, which
        are left out, and those whose rule stays: there was nothing but zeros, or no number to be
        seen, as inside a function that the framework traces.

    Raises:
        TypeError: The data is no such thing, or a generator where a method goes through it twice.
        tensorquant.Error: No output has such a rule, or the method does not suit one: before the
            model runs. An output had no finite number.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> import tensorquant as tq
        >>> import tensorquant.keras as tqk
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.ReLU(name="relu")])
        >>> maps = tq.Override(extrinsic={"relu": "int,8,scale=max"})
        >>> maps = tqk.calibrate(model, np.array([[-9, 2], [254, 0]], np.float32), maps)
        >>> print(maps.to_json())
        {"extrinsic":{"=relu":"int,8,scale=2"}}
        >>> model = tqk.quantize_model(model, maps=maps)
    """
    override = make_override(None, None, None, maps, 0, False)
    for layer in every_layer(model):
        settled(layer)
    application = Application(model, override)
    outputs = _outputs_hit(model, application, method)
    passes = _core.Calibrator(method).passes
    _check_data(data, passes, method)
    warn_of_idle(application.idle, stacklevel=3)

    with _watched(model, outputs), without_gradients():
        for number in range(passes):
            run_pass(number, outputs, _batches(data), lambda batch: _run(model, batch))
    if [found.names for found in walk(model)] != [found.names for found, _ in application.layers]:
        raise Error(f"'{model.name}' made layers while it ran; build the model first")

    result, texts = calibrated(override, outputs)
    for text in texts:
        warnings.warn(text, stacklevel=3)
    return result


@dataclasses.dataclass
class _Output(WatchedOutput):
    layer: keras.layers.Layer | None = None
    observer: type | None = None


def _outputs_hit(model, application, method):
    outputs = []
    if application.input is not None:
        quantizer = application.input.output
        outputs.append(
            _Output(["input"], "the model's input", quantizer, layer=model, observer=_InputObserver)
        )
    for found, quantizers in application.layers:
        if quantizers is not None and quantizers.output is not None:
            outputs.append(
                _Output(
                    found.names,
                    f"the output of {found.name}",
                    quantizers.output,
                    layer=found.layer,
                    observer=_OutputObserver,
                )
            )
    for output in outputs:
        output.watch(method)
    refuse_nothing(outputs)
    return outputs


class _OutputObserver:
    """Attached to a layer: lets a calibrator see what the output quantizer would get."""

    step = None

    def __init__(self, calibrator):
        self._calibrator = calibrator

    def settle(self, layer):
        pass

    @not_compiled
    def call(self, layer, base_call, args, kwargs):
        outputs = base_call(layer, *args, **kwargs)
        _observe(outputs, self._calibrator)
        return outputs


class _InputObserver(_OutputObserver):
    """Attached to a model, for what the quantizer of its input would get."""

    @not_compiled
    def call(self, layer, base_call, args, kwargs):
        inputs, others = split_inputs(layer, args, kwargs)
        _observe(inputs, self._calibrator)
        return base_call(layer, inputs, *others, **kwargs)


def _observe(tensors, calibrator):
    for x in tree.flatten(tensors):
        # A model that is built by its first call runs with symbols before that.
        if is_float_tensor(x) and has_numbers(x):
            if ops.dtype(x) != "float64":
                x = ops.cast(x, "float32")
            calibrator.observe(np.ascontiguousarray(ops.convert_to_numpy(x)))


@contextlib.contextmanager
def _watched(model, outputs):
    """The model without quantizers, its outputs watched; in the end all is as before."""
    with without_quantizers(model):
        for output in outputs:
            if output.calibrator is not None:
                attach(output.layer, output.observer(output.calibrator))
        yield


def _run(model, batch):
    inputs, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
    for x in tree.flatten(inputs):
        if not _is_array(x):
            raise wrong("data", "batches of arrays", x)
    model(inputs, training=False)


def _batches(data):
    if _is_array(data):
        return (data[i : i + _BATCH] for i in range(0, data.shape[0], _BATCH))
    if isinstance(data, keras.utils.PyDataset):
        return (data[i] for i in range(data.num_batches))
    return data


def _is_array(x):
    return hasattr(x, "shape") and hasattr(x, "dtype")


def _check_data(data, passes, method):
    if _is_array(data):
        if len(data.shape) == 0:
            raise wrong("data", "an array or batches", data)
        return
    if isinstance(data, keras.utils.PyDataset):
        if data.num_batches is None:
            raise Error("data: a PyDataset without end; its num_batches is None")
        return
    check_batches(data, passes, method)
