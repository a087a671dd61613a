"""Parameters that several layers hold: tied weights."""

import dataclasses

from tensorquant._core import Error


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a layer reads one of its parameters."""

    layer: str
    attribute: str
    quantizer: str  # "none" where it is left alone
    rule: str
    stream: int

    def __str__(self):
        return f"{self.quantizer} in '{self.layer}' by {self.rule or 'no rule'}"


class Readings:
    """All parameters of a model, and for each the layer that reads it first.

    Layers that share one quantize it alike, with the random numbers of the first.
    """

    def __init__(self):
        self._first = {}

    def stream(self, place, parameter, quantizers):
        """The random stream with which a layer reads a parameter.

        Args:
            place: The FoundPlace.
            parameter: Its FoundParameter.
            quantizers: Its LayerQuantizers; None where no rule hits it.

        Raises:
            tensorquant.Error: A layer before it has another quantizer for the same parameter.
        """
        reading = _reading(place, parameter, quantizers)
        held = parameter.owner.named_parameters(recurse=False, remove_duplicate=False)
        tensor = dict(held).get(parameter.attribute)
        if tensor is None:  # made anew at each reading
            return reading.stream
        first = self._first.setdefault(id(tensor), reading)
        if first.quantizer != reading.quantizer:
            raise Error(
                f"it shares its parameter '{reading.attribute}' with '{first.layer}' (there"
                f" '{first.attribute}'), but their quantizers for it differ: {first}, {reading};"
                " give both the same rule"
            )
        return first.stream


def _reading(place, parameter, quantizers):
    if quantizers is None:
        return Reading(place.name, parameter.attribute, "none", "", 0)
    quantizer = quantizers.bias if parameter.is_bias else quantizers.weight
    return Reading(
        place.name,
        parameter.attribute,
        "none" if quantizer is None else quantizer.spec,
        quantizers.rule,
        quantizers.stream(parameter.role),
    )
