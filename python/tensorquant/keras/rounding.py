"""How rounded operations are run on Keras' tensors."""

import dataclasses
from typing import Any

from keras import ops

from tensorquant.frontend import rounding
from tensorquant.frontend.tensor_scales import TensorScales, known, reshaped
from tensorquant.keras.backend import arithmetic
from tensorquant.keras.marks import scales_of


@dataclasses.dataclass(frozen=True)
class Operand:
    """A tensor that arithmetic reads, and its TensorScales or None."""

    tensor: Any
    scales: TensorScales | None = None

    @classmethod
    def of(cls, x):
        return cls(x, known(scales_of(x)))

    def transposed(self, axes=None):
        scales = self.scales
        if scales is not None:
            scales = scales._replace(scales=ops.transpose(scales.scales, axes))
        return Operand(ops.transpose(self.tensor, axes), scales)

    def reshaped(self, shape):
        tensor, scales = ops.reshape(self.tensor, shape), self.scales
        if scales is not None:
            scales = known(reshaped(scales, self.tensor.shape, tensor.shape, "it itself", ops))
        return Operand(tensor, scales)


class Rounding(rounding.Rounding):
    """What the rounded operations in a call of a layer are told."""

    def run(self, kind, operands, float_function, addends=(), **options):
        """The result of one of tensorquant.ops' operations.

        Args:
            kind: Its name there.
            operands: Operands, as far as elements and scales are seen apart.
            float_function: Computes the same without rounding. The same function for the same
                layer: JAX compiles it once.
            addends: Tensors that follow the operands.
            options: Those of LayerArithmetic.operation().
        """
        known_scales = [operand.scales for operand in operands]
        kernel = tuple(operands[1].tensor.shape[2:]) if kind == "convolution" else ()
        operation = self._operation(kind, known_scales, kernel, **options)
        tensors = [*(operand.tensor for operand in operands), *addends]
        scales = [one and one.scales for one in known_scales]
        return arithmetic(operation, tensors, float_function, self._step, scales)

    def run_on_values(self, kind, tensors, float_function, **options):
        """The same of tensors whose values it works on: their scales do not matter."""
        options = {"has_weights": False, "on_values": True, **options}
        return self.run(kind, (), float_function, tensors, **options)
