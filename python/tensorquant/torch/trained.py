"""The parameters that training changes: what has a gradient, and what an optimizer steps."""

import dataclasses

from torch import nn

from tensorquant._core import Error, is_bias
from tensorquant.torch.axes import parameter_axes
from tensorquant.torch.names import is_scripted, join
from tensorquant.torch.tensor_plan import TensorPlan


@dataclasses.dataclass
class TrainedParameter:
    """A floating-point parameter of a layer, or of what makes one of its tensors."""

    owner: nn.Module
    attribute: str
    name: str  # the full one, which names its random streams
    is_bias: bool

    @property
    def tensor(self):
        """The parameter, which may be another object than before; None where it is gone."""
        return self.owner._parameters.get(self.attribute)

    def plan(self, quantizer, quantizers, role):
        """The TensorPlan of what belongs to it and has its shape, with step 0 of its steps."""
        axes = parameter_axes(self.owner, self.attribute, quantizer)
        context = quantizers.parameter_context(self.name, role, axes)
        return TensorPlan(quantizer, context, 0 if quantizer.is_random else None)


class Tied:
    """The parameters of a model, each with the first layer that has it."""

    def __init__(self):
        self._first = {}

    def new(self, place, parameters, text_of):
        """Those of a layer that no layer before it has.

        Args:
            place: The FoundPlace.
            parameters: Its TrainedParameters.
            text_of: Tells of one of them what becomes of it.

        Raises:
            tensorquant.Error: Another layer has one of them and says something else of it.
        """
        found = []
        for parameter in parameters:
            text = text_of(parameter)
            first, its = self._first.setdefault(id(parameter.tensor), (place, text))
            if first is place:
                found.append(parameter)
            elif its != text:
                raise Error(
                    f"it shares its parameter '{parameter.attribute}' with '{first.name}', but their"
                    f" quantizers for it differ: {its or 'none'} in '{first.name}', {text or 'none'}"
                    f" in '{place.name}'; give both the same rule"
                )
        return found


def trained_parameters(place):
    """The TrainedParameters of a FoundPlace."""
    module = place.layer
    if is_scripted(module):
        return []
    held = module.named_parameters(remove_duplicate=False)
    if place.is_parameter:
        its = place.parameters[0].attribute
        prefix = place.name.removesuffix(its).removesuffix(".")
        inside = f"parametrizations.{its}."
        held = [pair for pair in held if pair[0] == its or pair[0].startswith(inside)]
    else:
        prefix = place.name
    return [
        TrainedParameter(*_owner(module, path), join(prefix, path), _is_bias(path))
        for path, parameter in held
        if parameter.dtype.is_floating_point
    ]


def _owner(module, path):
    inner, _, attribute = path.rpartition(".")
    return module.get_submodule(inner), attribute


def _is_bias(path):
    """Of what makes a tensor, whether that is a bias: `parametrizations.bias.original`."""
    parts = path.split(".")
    if "parametrizations" in parts:
        return is_bias(parts[parts.index("parametrizations") + 1])
    return is_bias(path)
