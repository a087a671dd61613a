"""How a forward goes through the quantizers of a module."""

import functools

import torch

from tensorquant._core import Error
from tensorquant.frontend.layer_error import LayerError
from tensorquant.frontend.layer_quantizers import numbered
from tensorquant.ops.torch import in_transform
from tensorquant.torch import frames, rounded
from tensorquant.torch.axes import axes_around, output_axes, output_axis
from tensorquant.torch.operations import (
    Watching,
    is_float_tensor,
    name_of,
    operation_of,
    run_apart,
)
from tensorquant.torch.scales import keep_with_memory, pass_on, pass_on_in_padding, put_into
from tensorquant.torch.structures import floats_in, map_tensors
from tensorquant.torch.tensor_plan import TensorPlan
from tensorquant.torch.torch_internals import unfolded

_OUTPUTS_PLANNED = 8  # what an LSTM or an attention returns has at most three


class ParameterPlan:
    """How a parameter is quantized when somebody reads it.

    Args:
        name: The parameter's full name.
        tensor: Its TensorPlan.
        quantizers: LayerQuantizers of the layer that it belongs to, or its own.
        layer: The ModulePlan of that layer, or of its owner.
        role: "weight", "weight1", "bias", ...
    """

    def __init__(self, name, tensor, quantizers, layer, role):
        self.name = name
        self._role = role
        self.quantizers = quantizers
        self.layer = layer
        self.key = tensor.key
        self._tensor = tensor

    def quantized(self, parameter, steps):
        """The quantized values of a parameter, which requires a gradient where that does.

        Also where none is computed, and as a tensor that could have one: PyTorch picks kernels by
        it, and their bits differ. A compiler has picked them already.
        """
        if torch.compiler.is_compiling():
            return self._tensor.quantize(parameter, steps)
        if self.layer.model.ranges is not None:
            self._count(self.layer.model.ranges, parameter, steps)
        spare = self.layer.model.spare
        if torch.is_inference_mode_enabled():
            with torch.inference_mode(False), torch.no_grad():
                quantized = self._tensor.quantize(parameter, steps, spare=spare)
        else:
            quantized = self._tensor.quantize(parameter, steps, spare=spare)
        if parameter.requires_grad and not quantized.requires_grad and not in_transform():
            quantized.requires_grad_()
        return quantized

    def _count(self, recorder, parameter, steps):
        content = None if parameter.is_inference() else (id(parameter), parameter._version)
        layer = self.quantizers.layer
        self._tensor.count(recorder, layer, self._role, parameter, steps, content=content)


class OutputPlan:
    """How the tensors that a module returns, or a model gets, are quantized.

    Args:
        module: The module.
        quantizers: LayerQuantizers whose output quantizer is used.
        step: The index of their step.
    """

    role = "output"

    def __init__(self, module, quantizers, step):
        self._quantizer = getattr(quantizers, self.role)
        self._told = output_axes(module, self._quantizer)
        self._axis = output_axis(module)
        self.quantizers = quantizers
        self._step = step
        self._plans = [self._plan(index) for index in range(_OUTPUTS_PLANNED)]

    def quantize(self, value, steps):
        """The tensors of a structure, quantized."""
        count = 0

        def quantized(x):
            nonlocal count
            count += 1
            return self._plan_of(count - 1).quantize(x, steps, self._axes(x))

        return map_tensors(quantized, value)

    def count(self, recorder, value, steps):
        """Lets a RangeRecorder count what quantize() is about to do."""
        for index, x in enumerate(floats_in(value)):
            self.count_one(recorder, index, x, steps)

    def count_one(self, recorder, index, x, steps):
        """The same of one of the tensors."""
        layer, place = self.quantizers.layer, numbered(self.role, index)
        self._plan_of(index).count(recorder, layer, place, x, steps, self._axes(x))

    def quantize_last(self, box, steps):
        """The same of what is in a list, which is emptied: a tensor's memory may be used."""
        value = box[0]
        if type(value) is not torch.Tensor or not value.is_floating_point():
            box.clear()
            return self.quantize(value, steps)
        axes = self._axes(value)
        del value
        return self._plans[0].quantize_last(box, steps, axes)

    def _plan_of(self, index):
        return self._plans[index] if index < _OUTPUTS_PLANNED else self._plan(index)

    def _plan(self, index):
        context = self.quantizers.context(self.role, index)
        # Nothing computes with an error's elements.
        keeps_scales = self.role == "output" and self.quantizers.keeps_scales
        return TensorPlan(self._quantizer, context, self._step, keeps_scales)

    def _axes(self, x):
        if self._told is not None:
            return self._told
        return axes_around(self._axis, x.dim())


class ModulePlan:
    """What is attached to a module of a quantized model.

    Args:
        model: The ModelPlan.
        name: The module's name.
        kind: The name of its class.
        is_container: Whether it holds layers and is none.
    """

    def __init__(self, model, name, kind, is_container):
        self.model = model
        self.name = name
        self.quantizers = None  # LayerQuantizers of a layer that a rule hits
        self.parameters = {}  # ParameterPlans by the attributes
        self.training = {}  # TrainingQuantizers of the layer, or of the module's own parameters
        self.output = None  # an OutputPlan
        self.error = None  # an ErrorPlan
        self.input = None  # another, of a whole model
        self.input_name = None  # the name of that argument
        self.arithmetic = None  # a LayerArithmetic
        self.arithmetic_step = None  # the index of its step
        self.is_container = is_container
        self.was_called = False
        self.read_in = None  # another module, for people, in whose forward its weights were read
        self._naming = LayerError(name, kind)

    @property
    def acts_on_forward(self):
        """Whether a rule does nothing unless the module is called."""
        return any(part is not None for part in (self.output, self.error, self.arithmetic))

    def call(self, module, base_forward, args, kwargs):
        """What the module's forward() gives with the quantizers in their places."""
        frame = frames.push(self, module.training)
        try:
            self._check(module)
            if self.input is not None and frame.is_root:
                args, kwargs = self._quantized_input(frame, args, kwargs)
            box = [self._run(frame, module, base_forward, args, kwargs)]
            if self.model.keeps_scales:
                frame.run_unseen(pass_on_in_padding, module, args, box[0])
            if not torch.compiler.is_compiling():
                self._after_forward(module, frame)
            elif frame.is_root and self.model.ranges is not None:
                self.model.ranges.has_seen_compiled = True
            if self.output is not None:
                self._count(frame, self.output, box[0])
                box.append(frame.run_unseen(self.output.quantize_last, box, frame.steps))
            if self.error is not None:
                box.append(self._with_errors(frame, box.pop(), (args, kwargs)))
            if self.model.observer is not None and not self.is_container:
                self._show(self.name, box[0])
            if frame.is_root and self.model.keeps_scales and not torch.compiler.is_compiling():
                for x in floats_in(box[0]):
                    frame.run_unseen(keep_with_memory, x)
            return box.pop()
        except Error as error:
            if self.is_container and self.name == "":
                raise
            raise self._naming.named(error) from None
        finally:
            frames.pop()

    def _run(self, frame, module, base_forward, args, kwargs):
        model = self.model
        wants_mode = model.watches or model.keeps_scales or self.arithmetic is not None
        if frame.has_mode or not wants_mode:
            return base_forward(module, *args, **kwargs)
        frame.has_mode = True
        try:
            with Watching():
                return base_forward(module, *args, **kwargs)
        finally:
            frame.has_mode = False

    def run_function(self, frame, function, args, kwargs):
        """What a function of PyTorch gives that the module's forward() calls."""
        if self.arithmetic is not None:
            if name_of(function) in rounded.COMPOSED:
                with Watching():
                    return unfolded(function)(*args, **kwargs)
            return self._run_rounded(frame, function, args, kwargs)
        is_watched = self.is_container and self.model.watches
        operation = operation_of(function) if is_watched else None
        if operation is None:
            y = function(*args, **kwargs)
            self._pass_on_scales(frame, function, args, kwargs, y)
            return y
        operations = self.model.operations
        compute = function
        if operations.rounds:
            name = operations.name(self.name, operation, dict(frame.counts))
            rounding = operations.rounding(name, self.name, frame.steps)
            if rounding is not None:
                compute = functools.partial(rounded.compute, function, rounding)
        y, target = run_apart(function, compute, args, kwargs)
        self._pass_on_scales(frame, function, args, kwargs, y)
        if not is_float_tensor(y):
            return y if target is None else frame.run_unseen(put_into, target, y)
        name = operations.name(self.name, operation, frame.counts)
        if operation == "add" and not torch.compiler.is_compiling():
            self.model.look_for_masks(name, self.name, args)
        if self.model.ranges is not None and not torch.compiler.is_compiling():
            counted = (self.model.ranges, name, self.name, operation, y, frame.steps)
            frame.run_unseen(operations.count, *counted)
        y = operations.quantized(name, self.name, operation, y, frame.steps)
        if self.model.observer is not None:
            self._show(name, y)
        return y if target is None else frame.run_unseen(put_into, target, y)

    def _pass_on_scales(self, frame, function, args, kwargs, y):
        if self.model.keeps_scales:
            frame.run_unseen(pass_on, function, args, kwargs, y)

    def _run_rounded(self, frame, function, args, kwargs):
        def rounding():
            index = frame.counts.get("rounded", 0)
            frame.counts["rounded"] = index + 1
            step = 0 if self.arithmetic_step is None else frame.steps[self.arithmetic_step]
            return rounded.Rounding(self.arithmetic, index, step)

        frame.is_quiet = True
        try:
            return rounded.run_function(function, rounding, args, kwargs)
        finally:
            frame.is_quiet = False

    def _count(self, frame, plan, value):
        if self.model.ranges is not None and not torch.compiler.is_compiling():
            frame.run_unseen(plan.count, self.model.ranges, value, frame.steps)

    def _with_errors(self, frame, value, inputs):
        return self.error.watch(value, inputs, frame.steps, self.model.ranges)

    def _show(self, name, value):
        if not torch.compiler.is_compiling():
            for x in floats_in(value):
                self.model.observer(name, x)

    def _check(self, module):
        for attribute in self.parameters:
            if (
                attribute not in module._parameters
                and attribute not in module._tensorquant_properties
            ):
                raise Error(
                    f"'{attribute}' is no parameter of it any more. Of FullyShardedDataParallel and"
                    " DataParallel, which take parameters away, use fully_shard() and"
                    " DistributedDataParallel instead; after other changes call quantize_model()"
                    " again"
                )

    def _quantized_input(self, frame, args, kwargs):
        def quantized(value):
            self._count(frame, self.input, value)
            return frame.run_unseen(self.input.quantize, value, frame.steps)

        if args:
            return (quantized(args[0]), *args[1:]), kwargs
        if self.input_name not in kwargs:
            return args, kwargs
        return args, {**kwargs, self.input_name: quantized(kwargs[self.input_name])}

    def _after_forward(self, module, frame):
        self.was_called = True
        if frame.is_root and self.name == "":
            self.model.after_forward(module)
        for plan in frame.run_unseen(frame.written):
            raise Error(
                f"its forward() writes to the parameter '{plan.name}', which would be lost: what it"
                " reads are quantized values; write to it outside of forward()"
            )
