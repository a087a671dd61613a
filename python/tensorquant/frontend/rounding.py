"""What the rounded functions in a call of a layer are told."""


class Rounding:
    """How a function of a layer rounds; a front-end derives what runs one in its framework.

    Args:
        of_layer: The layer's LayerArithmetic.
        index: Which of the functions in the call it is.
        step: Of random rounding.
        name: The name that the streams have, if it is not the layer's.
    """

    def __init__(self, of_layer, index, step, name=None):
        self._of_layer = of_layer
        self._index = index
        self._step = step
        self._name = name

    def part(self, name):
        """A Rounding of a part of the function, which has random numbers of its own."""
        of_whole = self._name or self._of_layer.name
        return type(self)(self._of_layer, self._index, self._step, f"{of_whole}.{name}")

    def _operation(self, kind, known, kernel, /, **options):
        """One of tensorquant.ops' operations.

        Args:
            kind: Its name there.
            known: The TensorScales, or None, of its operands that have such.
            kernel: The kernel's sizes, of a convolution.
            options: Those of LayerArithmetic.operation().
        """
        for name, scales in zip(("x_format", "w_format"), known):
            if scales is not None:
                options[name] = scales.spec
                if kind == "convolution" and not scales.is_one:
                    self._of_layer.refuse_blocks(scales.spec, scales.per, kernel)
        return self._of_layer.operation(kind, self._index, layer=self._name, **options)
