"""The steps of random rounding: which forward of the model in training this is."""

import collections
import threading

import torch

from tensorquant.ops.torch import is_in_backward_pass
from tensorquant.torch.torch_internals import next_node_number, running_node_number

_BITS = 2**32 - 1
_REMEMBERED = 256  # forwards whose backward pass may still come
_counting = threading.Lock()


class Steps:
    """The steps of a model's layers.

    All count together, once for each forward of the model in training, but can be set one by one.
    They are tensors that belong to no module: a number of Python would be compiled into graphs, a
    buffer would be seen in state_dict(). No tensor of them is ever written to: a compiled backward
    pass may look at it again.

    Args:
        names: Of the layers that round at random.

    Attributes:
        training: The steps of the next forward in training.
        inference: Those of forwards in inference.
    """

    def __init__(self, names):
        self.names = list(names)
        self._recent = collections.deque(maxlen=_REMEMBERED)
        with torch.inference_mode(False):  # else nothing could count them outside of it
            self.training = torch.zeros(len(self.names), dtype=torch.int64, device="cpu")
            self.inference = torch.zeros(len(self.names), dtype=torch.int64, device="cpu")

    def of_forward(self, training):
        """The steps of a forward of the model that begins.

        Where a checkpoint computes one again for its gradient, or a part of it, they are those of
        the forward in which autograd made the node that asks for it.
        """
        if not training:
            return self.inference
        if torch.compiler.is_compiling():
            return self._count()
        if is_in_backward_pass():
            return self._of_recomputation()
        with _counting, torch.inference_mode(False):
            # What runs without gradients may be in a checkpoint, whose node is the last.
            first = next_node_number() - (not torch.is_grad_enabled())
            self._recent.append((first, self.training))
            return self._count()

    def _of_recomputation(self):
        node = running_node_number()
        if node is not None:
            for first, numbers in reversed(self._recent):
                if first <= node:
                    return numbers
        return self.training - 1

    def _count(self):
        numbers = self.training
        self.training = numbers + 1
        return numbers

    def __getstate__(self):
        return vars(self) | {
            "_recent": collections.deque(maxlen=_REMEMBERED)
        }  # of graphs elsewhere

    def by_layer(self):
        """A dictionary of LayerStep by name."""
        return {name: LayerStep(self, index) for index, name in enumerate(self.names)}


class LayerStep:
    """The steps of one layer, as integers of 32 bits."""

    def __init__(self, steps, index):
        self._steps, self._index = steps, index

    @property
    def training(self):
        """The number of forwards in training so far, which is the step of the next one."""
        return int(self._steps.training[self._index]) & _BITS

    @training.setter
    def training(self, step):
        self._steps.training = _changed(self._steps.training, self._index, step)

    @property
    def inference(self):
        """The step of forwards in inference."""
        return int(self._steps.inference[self._index]) & _BITS

    @inference.setter
    def inference(self, step):
        self._steps.inference = _changed(self._steps.inference, self._index, step)


def _changed(numbers, index, step):
    with torch.inference_mode(False):
        numbers = numbers.clone()
        numbers[index] = step
    return numbers
