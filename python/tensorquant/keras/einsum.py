"""EinsumDense's equations as products of two matrices."""

import dataclasses
import functools
import math

from keras import ops

from tensorquant._core import Error
from tensorquant.numbers.context import Axes

_ELLIPSIS = "."  # as a label: all dimensions that have no letter


def _parts(equation):
    operands, output = equation.replace(" ", "").replace("...", _ELLIPSIS).split("->")
    inputs, kernel = operands.split(",")
    return inputs, kernel, output


def is_matrix_product(equation, bias_axes):
    """Whether each output is one sum over the inputs with a row of weights, and perhaps a bias.

    Args:
        equation: EinsumDense's, such as "abc,cde->abde".
        bias_axes: EinsumDense's: the output's letters that the bias has, or None.
    """
    inputs, kernel, output = _parts(equation)
    if any(len(set(part)) != len(part) for part in (inputs, kernel, output)):
        return False
    shared = set(inputs) & set(kernel)
    own = set(kernel) - shared
    return (
        not shared & set(output)
        and own <= set(output)
        and set(inputs) - shared <= set(output)
        and set(bias_axes or "") <= own
    )


def kernel_axes(equation):
    """The Axes of an equation's kernel: all axes of the outputs as one, all others, too.

    Raises:
        tensorquant.Error: They are no neighbours.
    """
    _, kernel, output = _parts(equation)
    made = [i for i, letter in enumerate(kernel) if letter in output]
    summed = [i for i, letter in enumerate(kernel) if letter not in output]
    return Axes(_neighbours(equation, made, "outputs"), _neighbours(equation, summed, "sum"))


def kernel_channels(equation, shape):
    """How many outputs have weights of their own in a kernel of that shape."""
    _, kernel, output = _parts(equation)
    return math.prod(size for letter, size in zip(kernel, shape) if letter in output)


def _neighbours(equation, axes, what):
    """The range of some axes; an empty one of none."""
    if not axes:
        return 0, 0
    if axes[-1] - axes[0] != len(axes) - 1:
        raise Error(
            f"the axes of the {what} in the kernel of '{equation}' are no neighbours; a format with"
            " blocks, rows or channels needs them side by side"
        )
    return axes[0], axes[-1] + 1


@functools.lru_cache(maxsize=1024)
def matrix_form(equation, rank):
    """How the tensors of an equation become matrices.

    Args:
        equation: One of which is_matrix_product() holds.
        rank: Number of dimensions of the inputs.

    Returns:
        A MatrixForm.
    """
    inputs, kernel, output = _parts(equation)
    if _ELLIPSIS in inputs:
        letters = (chr(ord("\u0100") + i) for i in range(rank))  # none that a user would take
        elided = "".join(next(letters) for _ in range(rank - len(inputs) + 1))
        inputs, output = inputs.replace(_ELLIPSIS, elided), output.replace(_ELLIPSIS, elided)
    return MatrixForm(inputs, kernel, output)


@dataclasses.dataclass(frozen=True)
class MatrixForm:
    """The letters of the inputs, the kernel and the output.

    The sum runs over the letters that inputs and kernel share, in the order of the inputs.
    """

    inputs: str
    kernel: str
    output: str

    @property
    def _summed(self):
        return [a for a in self.inputs if a in self.kernel]

    @property
    def _kept(self):  # of the inputs
        return [a for a in self.inputs if a not in self.kernel]

    @property
    def _made(self):  # by the kernel
        return [a for a in self.kernel if a not in self.inputs]

    def flat_inputs(self, x):
        """(kept..., summed) from the layer's inputs, an object that is transposed and reshaped."""
        shape = ops.shape(x.tensor)
        kept = tuple(shape[self.inputs.index(a)] for a in self._kept)
        x = x.transposed([self.inputs.index(a) for a in self._kept + self._summed])
        return x.reshaped((*kept, math.prod(x.tensor.shape[len(kept) :])))

    def flat_kernel(self, w):
        """(made, summed) from the layer's kernel, likewise."""
        w = w.transposed([self.kernel.index(a) for a in self._made + self._summed])
        return w.reshaped((math.prod(w.tensor.shape[: len(self._made)]), -1))

    def flat_bias(self, bias, kernel_shape):
        """(made) from the layer's bias, which is shaped like the output's last dimensions."""
        sizes = self._made_sizes(kernel_shape)
        letters = self.output[len(self.output) - len(bias.shape) :]
        own = {a: size for a, size in zip(letters, bias.shape, strict=True) if a in self._made}
        bias = ops.reshape(bias, tuple(own.values()))  # the others have size 1
        bias = ops.transpose(bias, [list(own).index(a) for a in self._made if a in own])
        bias = ops.reshape(bias, [own.get(a, 1) for a in self._made])
        return ops.reshape(ops.broadcast_to(bias, sizes), (-1,))

    def outputs(self, y, kernel_shape):
        """The layer's outputs from (kept..., made)."""
        shape = ops.shape(y)[:-1]
        y = ops.reshape(y, (*shape, *self._made_sizes(kernel_shape)))
        order = self._kept + self._made
        return ops.transpose(y, [order.index(a) for a in self.output])

    def _made_sizes(self, kernel_shape):
        return tuple(kernel_shape[self.kernel.index(a)] for a in self._made)
