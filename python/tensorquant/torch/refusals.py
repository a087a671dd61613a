"""What cannot be quantized, told before anything is changed."""

from torch import nn
from torch.nn.utils.prune import BasePruningMethod

from tensorquant._core import Error
from tensorquant.torch.names import is_scripted

_NORM_HOOKS = ("WeightNorm", "SpectralNorm")  # of the functions that hang tensors into modules


def refuse_model(root):
    """Raises an Error where a model holds what takes its parameters away."""
    for name, module in root.named_modules():
        where = f"'{name}' ({type(module).__name__})"
        if isinstance(module, nn.DataParallel):
            raise Error(
                f"{where}: quantize the model inside and use DistributedDataParallel instead"
            )
        if type(module).__name__ == "FullyShardedDataParallel":
            raise Error(f"{where}: quantize the model inside and use fully_shard() instead")


def refuse_scripted(place):
    """Raises an Error where a layer was compiled by torch.jit.script."""
    if is_scripted(place.layer):
        raise Error("it is compiled by torch.jit.script; quantize the model before")


def refuse_place(place, quantizers):
    """Raises an Error where a layer, or a parameter, cannot be quantized.

    Args:
        place: The FoundPlace.
        quantizers: Its LayerQuantizers; None where its errors alone are quantized.
    """
    module = place.layer
    refuse_scripted(place)
    if "forward" in vars(module):
        raise Error("its forward() is an attribute of the object and not of its class")
    if quantizers is None:
        return
    hooks = module._forward_pre_hooks.values()
    if any(isinstance(hook, BasePruningMethod) for hook in hooks):
        raise Error("its weight is made by a hook; call torch.nn.utils.prune.remove() first")
    if any(type(hook).__name__ in _NORM_HOOKS for hook in hooks):
        raise Error(
            "its weight is made by a hook; use torch.nn.utils.parametrizations.weight_norm() or"
            " spectral_norm() instead"
        )
    if quantizers.weight is not None and getattr(module, "max_norm", None) is not None:
        raise Error("it writes to its weight in forward() because of max_norm; set that to None")
