"""How one tensor is quantized."""

import torch

from tensorquant._core import Error
from tensorquant.frontend.tensor_quantizer import TensorQuantizer
from tensorquant.ops.common import traits
from tensorquant.ops.torch import has_numbers, quantize_in, quantize_last_in
from tensorquant.torch.scales import find, mark
from tensorquant.torch.shards import refuse_shared_out


class TensorPlan:
    """A quantizer with all that it is told beside the tensor, known before the model runs.

    Args:
        quantizer: A Quantizer.
        context: Its Context, at step 0.
        step: The index of its step among the model's; None where it is not random.
        keeps_scales: Whether what it makes keeps the scales that it was made with.
    """

    def __init__(self, quantizer, context, step, keeps_scales=False):
        self.needs_layout = quantizer.needs_layout
        self._own = quantizer if isinstance(quantizer, TensorQuantizer) else None
        self._spec = quantizer.spec  # a compiler looks into no Quantizer
        self._quantizer = quantizer
        self._context = context
        self._step = step
        self._keeps_scales = keeps_scales

    @property
    def is_local(self):
        """Whether a number's result depends on nothing but the number."""
        if self._own is not None:
            return False
        its = traits(self._spec)
        return its.is_elementwise and not its.is_random

    @property
    def key(self):
        """Equal for plans that make one tensor of a parameter; None if each is to make its own.

        So is what autograd keeps something of: a checkpoint counts that.
        """
        if self._own is not None:
            return None
        its = traits(self._spec)
        if its.is_random or not its.is_straight_through:
            return None
        return self._spec, self._context, self._keeps_scales

    def quantize(self, x, steps, axes=None, stream=None, spare=None):
        """A quantized tensor.

        Args:
            x: The tensor.
            steps: A tensor of the steps of the model's layers.
            axes, stream: Those of x, if they are not the Context's.
            spare: A Spare, whose memory the result may have where it keeps no scales.
        """
        if not torch.compiler.is_compiling():
            refuse_shared_out(x)
        if self._own is not None:
            return _quantized_by(self._own, x, self._context.axes if axes is None else axes)
        context = self._context_at(steps, axes)
        if stream is not None:
            context = context._replace(stream=stream)
        if not self._keeps_scales:
            return quantize_in(x, self._spec, context, spare)
        y = quantize_in(x, self._spec, context)
        mark(y, find(x, self._spec, context.axes))
        return y

    def quantize_last(self, box, steps, axes=None):
        """The same of the one tensor in a list, which is taken out and may be overwritten."""
        if not torch.compiler.is_compiling():
            refuse_shared_out(box[0])
        if self._own is not None:
            return _quantized_by(self._own, box.pop(), self._context.axes if axes is None else axes)
        context = self._context_at(steps, axes)
        if not self._keeps_scales:
            return quantize_last_in(box, self._spec, context)
        scales = find(box[0], self._spec, context.axes)
        y = quantize_last_in(box, self._spec, context)
        mark(y, scales)
        return y

    def count(self, recorder, layer, place, x, steps, axes=None, stream=None, content=None):
        """Lets a RangeRecorder count what quantize() is about to do.

        Args:
            recorder: The RangeRecorder.
            layer, place: The names of both.
            x, steps, axes, stream: As quantize() takes them.
            content: Tells a parameter's values apart.
        """
        if not has_numbers(x):
            recorder.has_seen_compiled = True
            return
        context = self._context_at(steps, axes)
        if stream is not None:
            context = context._replace(stream=stream)
        recorder.count(layer, place, self._quantizer, x.detach(), context, content)

    def _context_at(self, steps, axes):
        context = self._context if self._step is None else self._context.at(steps[self._step])
        return context if axes is None else context._replace(axes=axes)


def _quantized_by(quantizer, x, axes):
    """What a TensorQuantizer makes of a tensor of such Axes, which has to be alike."""
    y = quantizer.quantize_in(x, axes)
    if not isinstance(y, torch.Tensor) or (y.dtype, y.shape) != (x.dtype, x.shape):
        raise Error(f"quantizer {quantizer}: quantize() returned {_kind(y)}, expected {_kind(x)}")
    return y


def _kind(x):
    if not isinstance(x, torch.Tensor):
        return f"{type(x).__name__}, which is no tensor"
    return f"a tensor of {x.dtype} and shape {tuple(x.shape)}"
