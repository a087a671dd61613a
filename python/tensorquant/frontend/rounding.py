"""What the rounded functions in a call of a layer are told, and what they share."""

from tensorquant._core import Error

# By exponents: functions that are rounded once.
ROOTS = {0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}
_MOST_FACTORS = 4


def factors_of(exponent):
    """How many factors a power has that is a product, each of which is rounded.

    Raises:
        tensorquant.Error: The power is no such product. Those of ROOTS are none.
    """
    if exponent not in range(1, _MOST_FACTORS + 1):
        raise Error(
            f"a power of {exponent} cannot be rounded: only 1 to 4, -1, 0.5 and -0.5 can be"
        )
    return int(exponent)


def same_padding(sizes, kernel, stride, dilation):
    """How many zeros give as many windows as there are strides: the smaller halves, and the larger.

    Args:
        sizes: Of the spatial dimensions; None where they are unknown.
        kernel, stride, dilation: A number for each.

    Raises:
        tensorquant.Error: A size is unknown and counts.
    """
    totals = []
    for size, k, s, d in zip(sizes, kernel, stride, dilation):
        extent = (k - 1) * d + 1
        if size is None and s > 1:
            raise Error("padding 'same' with strides needs inputs of known size")
        # With stride 1 the size does not matter.
        totals.append(max((-(-size // s) - 1) * s + extent - size if size else extent - 1, 0))
    return tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)


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
