"""The forwards that run now: a stack of frames in each thread.

While a forward of a quantized model runs, whoever reads a parameter gets its quantized values: the
layer itself, or a module around it that computes with the weights of what it holds.
"""

import contextlib
import threading

import torch
from torch.overrides import handle_torch_function

from tensorquant.torch.torch_internals import is_watched


class _Stack(threading.local):
    def __init__(self):
        self.frames = []


_stack = _Stack()


class Frame:
    """A forward that runs.

    Args:
        plan: The ModulePlan of the module.
        numbers: The steps of the model's forward in training, or in inference if it is one.
        steps: Those of this module, which may be in inference alone.
        is_root: Whether no other forward of the model runs around it.
        has_mode: Whether functions are watched already.

    Attributes:
        is_quiet: Whether what runs belongs to a quantizer.
        reads_float: Whether parameters are read as they are.
    """

    def __init__(self, plan, numbers, steps, is_root, has_mode):
        self.plan = plan
        self.numbers = numbers
        self.steps = steps
        self.is_root = is_root
        self.has_mode = has_mode
        self.is_quiet = False
        self.reads_float = False
        self.counts = {}  # of the operations so far, by name
        self._quantized = {}  # by the plans of parameters: the one read, and its quantized values

    def read(self, plan, parameter):
        """The quantized values of a parameter: the same tensor at each reading."""
        if self.reads_float:
            return parameter
        found = self._quantized.get(plan)
        if found is None or found[0] is not parameter:
            found = self.run_unseen(_read, plan, parameter, self.steps)
            self._quantized[plan] = found
            self.notice_reading(plan.layer)
        return found[1]

    def notice_reading(self, layer):
        """Remembers in whose forward a parameter of a layer is read, if not in its own."""
        if layer is not self.plan and not torch.compiler.is_compiling():
            layer.read_in = f"'{self.plan.name}'" if self.plan.name else "the model itself"

    def run_unseen(self, function, *arguments):
        """What a function gives that belongs to a quantizer: nobody watches what it calls."""
        was_quiet, self.is_quiet = self.is_quiet, True
        try:
            if self.has_mode and not torch.compiler.is_compiling() and is_watched():
                return handle_torch_function(function, (), *arguments)  # takes the mode away
            return function(*arguments)
        finally:
            self.is_quiet = was_quiet

    def written(self):
        """The plans of the parameters whose quantized values the forward has overwritten."""
        return [
            plan
            for plan, (_, quantized, version) in self._quantized.items()
            if _version(quantized) != version
        ]


def unseen(function, *arguments):
    """What a function gives that belongs to a quantizer, whether a forward runs or not."""
    frame = top()
    return function(*arguments) if frame is None else frame.run_unseen(function, *arguments)


def push(plan, training):
    """A frame for a forward that begins."""
    below = top()
    steps = plan.model.steps
    is_root = below is None or below.plan.model is not plan.model
    if steps is None:
        numbers = mine = None
    else:
        numbers = steps.of_forward(training) if is_root else below.numbers
        mine = numbers if training else steps.inference
    frame = Frame(plan, numbers, mine, is_root, _has_mode(below))
    _stack.frames.append(frame)
    return frame


def pop():
    """Ends the innermost forward."""
    _stack.frames.pop()


@contextlib.contextmanager
def float_reads():
    """A context in which the running forward reads parameters as they are."""
    frame = top()
    if frame is None:
        yield
        return
    before, frame.reads_float = frame.reads_float, True
    try:
        yield
    finally:
        frame.reads_float = before


def top():
    """The frame of the innermost forward, or None."""
    return _stack.frames[-1] if _stack.frames else None


def _has_mode(frame):
    """Whether what runs in a frame is watched: a checkpoint may have taken the mode away."""
    if frame is None or not frame.has_mode:
        return False
    return torch.compiler.is_compiling() or is_watched()


def _read(plan, parameter, steps):
    quantized = plan.quantized(parameter, steps)
    return parameter, quantized, _version(quantized)


def _version(x):
    """How often a tensor has been written; None where nobody counts."""
    return None if torch.compiler.is_compiling() or x.is_inference() else x._version
