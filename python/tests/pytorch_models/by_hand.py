"""Float models whose numbers are quantized by hand: parameters in place, outputs by hooks."""

import copy

import hands
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.utils import _pytree

import tensorquant as tq


class _Quantized(torch.autograd.Function):
    """Lets gradients through."""

    @staticmethod
    def forward(ctx, x, spec, context):
        return _numpys(x, spec, **context)

    @staticmethod
    def backward(ctx, dy):
        return dy, None, None


class _Effective(nn.Module):
    """Behind what makes a weight."""

    def __init__(self, spec, context):
        super().__init__()
        self.spec = spec
        self.context = context

    def forward(self, x):
        return _Quantized.apply(x, self.spec, self.context)


def with_weights(model, spec, **seed):
    """A float copy of a model, its parameters quantized by NumPy's way into the package.

    Args:
        model: The model.
        spec: A quantizer string.
        seed: That of random rounding, if it is random.
    """
    model = copy.deepcopy(model)
    places = _places(model)

    def context(name, owner, x):
        stream = {"stream": tq.stream_of(*places[name])} if seed else {}
        axes = _axes(owner, x.dim()) if "per=" in spec or "block=" in spec else {}
        return {**seed, **stream, **axes}

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".parametrizations." not in name and parameter.is_floating_point():
                owner = model.get_submodule(name.rpartition(".")[0])
                parameter.copy_(_numpys(parameter, spec, **context(name, owner, parameter)))
    for layer, module in list(model.named_modules()):
        if parametrize.is_parametrized(module):
            for name in module.parametrizations:
                told = context(f"{layer}.{name}", module, getattr(module, name))
                behind = _Effective(spec, told)
                parametrize.register_parametrization(module, name, behind, unsafe=True)
    return model


def layers(model):
    """Names and modules of the layers: those without modules inside, and attention as a whole."""
    inside = []  # how the names of what belongs to a layer begin
    for name, module in model.named_modules():
        if any(name.startswith(beginning) for beginning in inside):
            continue
        if _is_leaf(module) or isinstance(module, nn.MultiheadAttention):
            inside.append(f"{name}.")
            yield name, module


def with_outputs(model, spec, inputs):
    """A float copy of a model that quantizes its first input and what its layers return."""
    model = copy.deepcopy(model)

    def quantized(value):
        return _pytree.tree_map(
            lambda x: _Quantized.apply(x, spec, {}) if _is_float(x) else x, value
        )

    first = next(iter(inputs))
    model.register_forward_pre_hook(
        lambda module, args, named: (args, {**named, first: quantized(named[first])}),
        with_kwargs=True,
    )
    for _, layer in layers(model):
        layer.register_forward_hook(lambda module, args, y: quantized(y))
    return model


def _numpys(x, spec, **context):
    y = hands.quantized(x.contiguous().reshape(x.shape or (1,)), spec, **context)
    return torch.empty_like(x).copy_(y.reshape(x.shape))  # in x's layout


def _is_float(x):
    return isinstance(x, torch.Tensor) and x.is_floating_point()


def _is_leaf(module):
    holds = [child for name, child in module.named_children() if name != "parametrizations"]
    kinds = (nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)
    return not holds and not isinstance(module, kinds)


def _places(model):
    """By the names of parameters: the layer and the role that the random stream is made of."""
    found = {}
    for layer, module in layers(model):
        counts = {"weight": 0, "bias": 0}
        for name in (*dict(module.named_parameters()), *getattr(module, "parametrizations", ())):
            if name.startswith("parametrizations."):
                continue
            role = _role(name)
            number, counts[role] = counts[role], counts[role] + 1
            found[f"{layer}.{name}" if layer else name] = layer, f"{role}{number or ''}"
    for name, _ in model.named_parameters():
        found.setdefault(name, (name, _role(name)))
    return found


def _role(name):
    return "bias" if "bias" in name.split(".")[-1] else "weight"


def _axes(owner, rank):
    """Where channels lie and what a product sums over, as docs/pytorch.md has it."""
    if rank < 2:
        return {"channel_axis": 0, "reduction_axis": 0}
    channel = int(isinstance(owner, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)))
    return {"channel_axis": channel, "reduction_axis": 1 - channel}
