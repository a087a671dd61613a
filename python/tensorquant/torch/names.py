"""Which parts of a model are its layers, which of its parameters have names of their own, and what
all are called."""

import dataclasses

import torch
from torch import nn
from torch.nn.utils import parametrize

from tensorquant._core import is_bias
from tensorquant.frontend.found_layer import FoundLayer
from tensorquant.frontend.layer_quantizers import numbered

# One layer each, whatever they are made of: their own forward() reads the weights of what they hold.
_WHOLE = (nn.MultiheadAttention, torch.jit.ScriptModule)
# Nobody calls these: they hold what others call and read.
HOLDERS = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)
_CONTAINERS = (*HOLDERS, nn.Sequential)


@dataclasses.dataclass
class FoundParameter:
    """A floating-point parameter: an attribute of a module, in a role of a layer."""

    owner: nn.Module
    attribute: str
    role: str  # weight, weight1, bias, ...

    @property
    def is_bias(self):
        return self.role.startswith("bias")


@dataclasses.dataclass
class FoundPlace(FoundLayer):
    """A layer, or a parameter that belongs to none: `layer` is then the module that owns it."""

    parameters: list[FoundParameter] = dataclasses.field(default_factory=list)
    is_parameter: bool = False

    @property
    def type(self):
        return "Parameter" if self.is_parameter else super().type


def is_whole(module):
    """Whether the modules inside belong to this one and are no layers of their own."""
    return isinstance(module, _WHOLE)


def is_scripted(module):
    """Whether torch.jit.script has compiled a module, whose class cannot change any more."""
    return isinstance(module, torch.jit.ScriptModule)


def is_layer(module):
    """Whether a module is a layer as a whole: it has no modules inside that are layers."""
    if is_whole(module):
        return True
    return not isinstance(module, _CONTAINERS) and not list(children(module))


def children(module):
    """Names and modules that a module holds, one that it holds twice twice.

    What makes a parametrized tensor belongs to the module itself.
    """
    for name, child in module._modules.items():
        makes_tensors = name == "parametrizations" and parametrize.is_parametrized(module)
        if child is not None and not makes_tensors:
            yield name, child


def walk(root):
    """Finds the layers of a model, and the parameters of modules that hold layers.

    Names are those of `named_modules()` and `named_parameters()`.

    Args:
        root: A module.

    Returns:
        A list of FoundPlace in the order in which the model holds them.
    """
    found = {}

    def add(key, *place):
        name, *place = place
        found.setdefault(key, FoundPlace(place[0], [], *place[1:])).names.append(name)

    def visit(module, name):
        if is_layer(module):
            add(id(module), name, module, _parameters(module))
            return
        for attribute in own_parameters(module):
            role = "bias" if is_bias(attribute) else "weight"
            parameter = FoundParameter(module, attribute, role)
            add((id(module), attribute), join(name, attribute), module, [parameter], True)
        for child_name, child in children(module):
            visit(child, join(name, child_name))

    visit(root, "")
    return list(found.values())


def containers(root):
    """The modules in a model that hold layers and are called: pairs of the first name and the module.

    They may read the parameters of what they hold, and call functions that are no layers.
    """
    seen = set()

    def visit(module, name):
        if is_layer(module) or id(module) in seen:
            return
        seen.add(id(module))
        if not isinstance(module, HOLDERS):
            yield name, module
        for child_name, child in children(module):
            yield from visit(child, join(name, child_name))

    return list(visit(root, ""))


def join(name, child):
    """The name of what a module holds."""
    return f"{name}.{child}" if name else child


def own_parameters(module):
    """The names of the floating-point tensors that a module reads as its own parameters."""
    names = [
        name
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False)
        if parameter.dtype.is_floating_point
    ]
    return names + parametrized(module)


def parametrized(module):
    """The names of the tensors that torch.nn.utils.parametrize makes for a module."""
    if not parametrize.is_parametrized(module):
        return []
    return list(module.parametrizations)


def _parameters(layer):
    """The parameters of a layer, first its own and then those of what it holds."""
    found = []
    count = {"weight": 0, "bias": 0}
    for module in [layer, *(child for _, child in children(layer))]:
        for attribute in own_parameters(module):
            role = "bias" if is_bias(attribute) else "weight"
            found.append(FoundParameter(module, attribute, numbered(role, count[role])))
            count[role] += 1
    return found
