"""What the maps put into one layer."""

import dataclasses

import tensorquant as tq

_PARTS = ("weight", "bias", "output", "product", "accumulator")


@dataclasses.dataclass(frozen=True)
class LayerQuantizers:
    """The quantizers of one layer; None leaves a place alone."""

    layer: str  # the full name, which also names the random streams
    weight: tq.Quantizer | None = None
    bias: tq.Quantizer | None = None
    output: tq.Quantizer | None = None
    product: tq.Quantizer | None = None  # with the accumulator: both are None or none is
    accumulator: tq.Quantizer | None = None
    accumulate: str = "step"
    intrinsic: str = ""  # the intrinsic map's value, for people to read
    rule: str = ""  # which rules chose them, likewise
    seed: int = 0

    @property
    def is_random(self):
        return any(q is not None and q.is_random for q in map(self.__getattribute__, _PARTS))

    def stream(self, role, index=0):
        """The random stream of the first, second, ... array that has a role in the layer."""
        return tq.stream_of(self.layer, numbered(role, index))

    def to_config(self):
        """As plain data that Keras can save.

        Raises:
            tensorquant.Error: A quantizer of the user's own has no string that makes it again.
        """
        config = dataclasses.asdict(dataclasses.replace(self, **dict.fromkeys(_PARTS)))
        for part in _PARTS:
            quantizer = getattr(self, part)
            config[part] = None if quantizer is None else quantizer.spec
        return config

    @classmethod
    def from_config(cls, config):
        quantizers = {part: config[part] and tq.Quantizer(config[part]) for part in _PARTS}
        return cls(**{**config, **quantizers})


def numbered(role, index):
    """`weight`, `weight1`, `weight2`, ..."""
    return role if index == 0 else f"{role}{index}"
