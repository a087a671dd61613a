"""How one layer rounds its products and sums."""

import functools

from tensorquant._core import Error
from tensorquant.frontend.layer_quantizers import numbered
from tensorquant.numbers.quantizer import Quantizer, stream_of
from tensorquant.ops import (
    Operation,
    average_pool,
    batch_norm,
    convolution,
    elementwise,
    group_norm,
    layer_norm,
    linear,
    matmul,
    rms_norm,
    softmax,
)

_KINDS = {
    "average_pool": average_pool,
    "batch_norm": batch_norm,
    "convolution": convolution,
    "elementwise": elementwise,
    "group_norm": group_norm,
    "layer_norm": layer_norm,
    "linear": linear,
    "matmul": matmul,
    "rms_norm": rms_norm,
    "softmax": softmax,
}


class LayerArithmetic:
    """What tensorquant.ops' operations are told of a layer.

    Args:
        quantizers: The layer's LayerQuantizers.

    Attributes:
        is_random: Whether it rounds at random.
        name: The layer's.

    Raises:
        tensorquant.Error: The formats cannot round arithmetic.
    """

    def __init__(self, quantizers):
        self.is_random = quantizers.is_random_inside
        weight = quantizers.weight if isinstance(quantizers.weight, Quantizer) else None
        self._w_format = weight and weight.spec
        self.name = quantizers.layer
        self._has_taps_first = quantizers.order == "tap"
        self._settings = (  # texts and numbers, which compilers take for constants
            ("product", quantizers.product.spec),
            ("accumulator", quantizers.accumulator.spec),
            ("accumulate", quantizers.accumulate),
            ("outer", quantizers.outer),
            ("every", quantizers.every),
            ("order", quantizers.order),
            ("seed", quantizers.seed),
        )
        self.operation("linear")

    def operation(
        self,
        kind,
        index=0,
        has_weights=True,
        on_values=False,
        parts=None,
        layer=None,
        **options,
    ):
        """One of tensorquant.ops' operations with the layer's quantizers.

        Args:
            kind: Its name there.
            index: Which one it is of those in a call of the layer: they differ in their streams.
            has_weights: Whether it has weights, of the format of the layer's.
            on_values: Whether it adds up values, no elements: of two accumulators with the outer
                one alone.
            parts: operation_parts(), as a compiler wants it.
            layer: Whose streams it has, if not those of the layer itself.
            options: Further arguments of tensorquant.ops' function; also some in place of the
                layer's.
        """
        settings = self._settings
        if has_weights and self._w_format is not None:
            settings = (*settings, ("w_format", self._w_format))
        if on_values:
            settings = _of_values(settings)
        names = (layer or self.name, index)
        return Operation(*(parts or operation_parts)(kind, names, settings, tuple(options.items())))

    def refuse_blocks(self, spec, per, kernel):
        """Refuses scales of a convolution that change along the channels of a position.

        Args:
            spec: Of the quantizer that made the data or the weights.
            per: What shares a scale there.
            kernel: The kernel's sizes.

        Raises:
            tensorquant.Error: Another channel's products are added up before the next one's.
        """
        if self._has_taps_first or all(size == 1 for size in kernel):
            return
        if per in ("row", "block"):
            raise Error(
                f"the scales of '{spec}', of blocks and rows, need the order \"tap\", which adds up"
                " all channels of a kernel position"
            )


def _of_values(settings):
    settings = dict(settings)
    if settings["outer"]:
        settings.update(accumulator=settings["outer"], outer=None, every=0)
    return tuple(settings.items())


@functools.lru_cache(maxsize=4096)
def operation_parts(kind, names, settings, options):
    """The fields of an Operation, of texts, numbers and tuples."""
    layer, index = names
    settings = {**dict(settings), **dict(options)}
    outer, every = settings.pop("outer"), settings.pop("every")
    operation = _KINDS[kind](
        **settings,
        outer=outer and {"accumulator": outer, **({"every": every} if every else {})},
        product_stream=stream_of(layer, numbered("product", index)),
        accumulator_stream=stream_of(layer, numbered("accumulator", index)),
    )
    return operation.text, operation.is_random, operation.clips_gradient
