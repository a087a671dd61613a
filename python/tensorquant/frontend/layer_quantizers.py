"""What the maps put into one layer."""

import dataclasses

from tensorquant._core import Error
from tensorquant.frontend.tensor_quantizer import TensorQuantizer
from tensorquant.numbers.checks import check_integer
from tensorquant.numbers.context import NO_AXES, Context
from tensorquant.numbers.quantizer import Quantizer, stream_of

_PARTS = ("weight", "bias", "output", "product", "accumulator")
_INTRINSIC = ("product", "accumulator")


@dataclasses.dataclass(frozen=True)
class LayerQuantizers:
    """The quantizers of one layer; None leaves a place alone."""

    layer: str  # the full name, which also names the random streams
    weight: Quantizer | None = None
    bias: Quantizer | None = None
    output: Quantizer | None = None
    product: Quantizer | None = None  # with the accumulator: both are None or none is
    accumulator: Quantizer | None = None
    accumulate: str = "step"
    outer: str | None = None  # the string of a second accumulator, if there is one
    every: int = 0  # after how many products it adds; 0: at the end
    order: str = "channel"
    intrinsic: str = ""  # the intrinsic map's value, for people to read
    rule: str = ""  # which rules chose them, likewise
    seed: int = 0
    keeps_scales: bool = False  # whether some layer's arithmetic is rounded, and wants to see them

    def __post_init__(self):
        check_integer("seed", self.seed, 0, 2**64 - 1)
        for part in _PARTS:
            quantizer = getattr(self, part)
            if quantizer is None:
                continue
            if not isinstance(quantizer, TensorQuantizer):
                check_has_string(quantizer)
            elif part in _INTRINSIC:
                raise Error(
                    f"layer '{self.layer}': the intrinsic map cannot take {quantizer}, which is "
                    "written in framework operations; use a quantizer string"
                )

    @classmethod
    def of(cls, core, seed, keeps_scales):
        """What the core's assign() chose."""
        quantizers = {part: Quantizer._of(getattr(core, part)) for part in _PARTS}
        texts = {"accumulate": core.accumulate, "intrinsic": core.intrinsic, "rule": core.rule}
        outer, every = core.outer or (None, 0)
        sums = {"outer": outer and outer.spec, "every": every, "order": core.order}
        return cls(core.layer, **quantizers, **texts, **sums, seed=seed, keeps_scales=keeps_scales)

    @property
    def is_random(self):
        places = (self.weight, self.bias, self.output)
        return self.is_random_inside or any(q is not None and q.is_random for q in places)

    @property
    def is_random_inside(self):
        """Whether its arithmetic is rounded at random."""
        inside = (self.product, self.accumulator, self.outer and Quantizer(self.outer))
        return any(q is not None and q.is_random for q in inside)

    def stream(self, role, index=0):
        """The random stream of the first, second, ... array that has a role in the layer."""
        return stream_of(self.layer, numbered(role, index))

    def context(self, role, index=0, axes=NO_AXES):
        """The Context of that array at step 0."""
        return Context(self.seed, self.stream(role, index), axes=axes)

    def to_config(self, save):
        """As plain data; save() makes such of a quantizer."""
        config = dataclasses.asdict(dataclasses.replace(self, **dict.fromkeys(_PARTS)))
        for part in _PARTS:
            quantizer = getattr(self, part)
            config[part] = None if quantizer is None else save(quantizer)
        return config

    @classmethod
    def from_config(cls, config, load):
        """What to_config() told; load() undoes save()."""
        quantizers = {part: config[part] and load(config[part]) for part in _PARTS}
        return cls(**{**config, **quantizers})


def check_has_string(quantizer):
    """Raises an Error where a quantizer has no string: the frameworks' ops know it by that."""
    try:
        Quantizer(quantizer.spec)
    except Error:
        raise Error(
            f"the quantizer {quantizer!r} has no string: give its class a name by "
            "tensorquant.register_quantizer and use that in maps"
        ) from None


def numbered(role, index):
    """`weight`, `weight1`, `weight2`, ..."""
    return role if index == 0 else f"{role}{index}"
