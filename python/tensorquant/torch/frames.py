"""The forwards that run now: a stack of frames in each thread.

While a forward of a quantized model runs, whoever reads a parameter gets its quantized values: the
layer itself, or a module around it that computes with the weights of what it holds.
"""

import contextlib
import threading

import torch
from torch.overrides import handle_torch_function

from tensorquant.ops.torch import in_transform
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
        below: The frame of the model's forward around it; None for the outermost, the root.
        has_mode: Whether functions are watched already.

    Attributes:
        is_quiet: Whether what runs belongs to a quantizer.
        reads_float: Whether parameters are read as they are.
    """

    def __init__(self, plan, numbers, steps, below, has_mode):
        self.plan = plan
        self.numbers = numbers
        self.steps = steps
        self.is_root = below is None
        self._root = self if below is None else below._root
        self.has_mode = has_mode
        self.is_quiet = False
        self.reads_float = False
        self.counts = {}  # of the operations so far, by name
        self._quantized = {}  # by the plans of parameters: the one read, and its quantized values
        self._kept = {}  # of a root: what is read in several frames, and what of it is still as it was

    def read(self, plan, parameter):
        """The quantized values of a parameter: the same tensor at each reading."""
        if self.reads_float:
            return parameter
        found = self._quantized.get(plan)
        if found is None or found[0] is not parameter:
            found = self._quantized[plan] = self._read(plan, parameter)
            self.notice_reading(plan.layer)
        return found[1]

    def _read(self, plan, parameter):
        """Quantizes a parameter, but once in all for one that several layers read: tied weights."""
        key = plan.key
        if key is None or torch.compiler.is_compiling() or in_transform():
            return self.run_unseen(_read, plan, parameter, self.steps)
        kept, read_again = self._root._kept, plan.layer.model.read_again
        state = _version(parameter), torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        if key in kept:
            read_again.add(key)
            found, its_state = kept[key]
            if found is not None and found[0] is parameter and its_state == state:
                return found
        found = self.run_unseen(_read, plan, parameter, self.steps)
        kept[key] = found if key in read_again else None, state
        return found

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
    around = below if below is not None and below.plan.model is plan.model else None
    if steps is None:
        numbers = mine = None
    else:
        numbers = steps.of_forward(training) if around is None else around.numbers
        mine = numbers if training else steps.inference
    frame = Frame(plan, numbers, mine, around, _has_mode(below))
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
