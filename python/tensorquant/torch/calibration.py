"""Maps with numbers in place of the scales that outputs find for themselves."""

import contextlib
import warnings
from typing import Any

import numpy as np
import torch
from torch import nn

from tensorquant import _core
from tensorquant.frontend.calibration import (
    WatchedOutput,
    calibrated,
    check_batches,
    refuse_nothing,
    run_pass,
)
from tensorquant.frontend.override_argument import (
    make_override,
    warn_of_idle,
    without_optimizer,
)
from tensorquant.maps.override import Override
from tensorquant.numbers.checks import checked, wrong
from tensorquant.ops.torch import has_numbers
from tensorquant.torch.application import Application, input_name
from tensorquant.torch.inference import in_inference, without_quantizers
from tensorquant.torch.observation import observe
from tensorquant.torch.structures import floats_in

_BATCH = 32


@checked
def calibrate(model: nn.Module, data: Any, maps: Any, method: str = "minmax") -> Override:
    """Runs data through a model and puts numbers in place of the scales that its outputs find.

    Extrinsic rules that find one scale in a whole output, such as `int,8,scale=max` or
    `int,8,unsigned,scale=range`, become one rule for each layer and operation that they hit, with
    numbers. All other rules stay as they are: the scale of a weight is a function of the weight.

    The model runs in inference and without quantizers; afterwards it is as it was. But for the
    method `average` the result depends on the outputs alone, not on batches or their order.

    Args:
        model: A module, quantized or not.
        data: A tensor, which is cut into batches of 32; or batches in a list, a generator or a
            `DataLoader`. A batch is the model's argument; a tuple or list, whose first item is that
            and whose others, the targets, are left alone; or a dictionary of arguments by name.
            `entropy` goes through all batches twice.
        maps: A `tensorquant.Override`, or the path of a file with all three maps.
        method: "minmax", "average[=c]", "percentile[=p]", "mse" or "entropy": see
            docs/calibration.md.

    Returns:
        A new `tensorquant.Override`. Warnings name the outputs that had NaN or infinities, which
        are left out, and those whose rule stays: there was nothing but zeros, or no number to be
        seen, as in compiled code.

    Raises:
        TypeError: The data is no such thing, or a generator where a method goes through it twice.
        tensorquant.Error: No output has such a rule, or the method does not suit one. An output had
            no finite number.

    Example:
        >>> import torch
        >>> import tensorquant as tq
        >>> import tensorquant.torch as tqt
        >>> model = torch.nn.Sequential(torch.nn.ReLU())
        >>> maps = tq.Override(extrinsic={"=0": "int,8,scale=max"})
        >>> maps = tqt.calibrate(model, torch.tensor([[-9.0, 2], [254, 0]]), maps)
        >>> print(maps.to_json())
        {"extrinsic":{"=0":"int,8,scale=2"}}
        >>> model = tqt.quantize_model(model, maps=maps)
    """
    override = make_override(None, None, None, maps, 0, False)
    application = Application(model, without_optimizer(override))
    passes = _core.Calibrator(method).passes
    watch = _Watch(application, method)
    if not isinstance(data, torch.Tensor):
        check_batches(data, passes, method)
    elif data.dim() == 0:
        raise wrong("data", "a tensor with batches or batches", data)
    warn_of_idle(application.idle, stacklevel=3)

    with without_quantizers(model), in_inference(model), watch.on(model):
        for number in range(passes):
            batches = data.split(_BATCH) if isinstance(data, torch.Tensor) else data
            run_pass(number, watch.outputs, batches, lambda batch: _run(model, batch))
    refuse_nothing(watch.outputs)

    result, texts = calibrated(override, watch.outputs)
    for text in texts:
        warnings.warn(text, stacklevel=3)
    return result


class _Watch:
    """The outputs that the extrinsic map hits: those of layers at once, operations as they come."""

    def __init__(self, application, method):
        self._operations = application.operations
        self._method = method
        self._has_input = application.input is not None
        self._by_name = {}
        if self._has_input:
            self._add(["input"], "the model's input", application.input.output)
        for place, quantizers in application.places:
            if quantizers is not None and quantizers.output is not None and not place.is_parameter:
                self._add(place.names, f"the output of {place.name}", quantizers.output)
        self._layers = {name for place, _ in application.places for name in place.names}
        if not self._operations.any:
            refuse_nothing(self.outputs)

    @property
    def outputs(self):
        return list(self._by_name.values())

    @contextlib.contextmanager
    def on(self, model):
        """A context in which runs of the model are watched."""
        hook = None
        if self._has_input:
            hook = model.register_forward_pre_hook(self._look_at_input, with_kwargs=True)
        try:
            with observe(model, self._look):
                yield
        finally:
            if hook is not None:
                hook.remove()

    def _add(self, names, what, quantizer):
        output = self._by_name[names[0]] = WatchedOutput(names, what, quantizer)
        output.watch(self._method)
        return output

    def _look_at_input(self, model, args, kwargs):
        for x in floats_in(args[0] if args else kwargs.get(input_name(model))):
            _show(self._by_name["input"], x)

    def _look(self, name, x):
        output = self._by_name.get(name)
        if output is None and name not in self._layers:
            quantizer = self._operations.quantizer_of_output(name)
            if quantizer is not None:
                output = self._add([name], f"the result of {name}", quantizer)
        if output is not None:
            _show(output, x)


def _show(output, x):
    if output.calibrator is not None and has_numbers(x):
        x = x.detach() if x.dtype == torch.float64 else x.detach().float()
        output.calibrator.observe(np.ascontiguousarray(x.numpy()))


def _run(model, batch):
    if isinstance(batch, dict):
        model(**batch)
        return
    inputs = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
    if not isinstance(inputs, torch.Tensor):
        raise wrong("data", "batches of tensors", inputs)
    model(inputs)
