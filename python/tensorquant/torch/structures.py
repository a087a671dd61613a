"""The tensors in what a layer returns."""

import copy
import dataclasses

import torch

from tensorquant._core import Error

_NO_TENSORS = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device)


def floats_in(value):
    """The floating-point tensors in a structure, as far as it shows them."""
    if isinstance(value, torch.Tensor):
        return [value] if value.is_floating_point() else []
    if isinstance(value, dict):
        value = value.values()
    elif dataclasses.is_dataclass(value):
        value = vars(value).values()
    elif not isinstance(value, (tuple, list)):
        return []
    return [x for part in value for x in floats_in(part)]


def map_tensors(function, value):
    """The same structure with function(tensor) in place of each floating-point tensor.

    Structures are tuples, with names or without, lists, dictionaries and dataclasses, nested as
    they come. None of them is changed.

    Raises:
        tensorquant.Error: Something else is in it: nothing tells where its tensors are.
    """

    def mapped(value):
        return map_tensors(function, value)

    if isinstance(value, torch.Tensor):
        return function(value) if value.is_floating_point() else value
    if isinstance(value, (*_NO_TENSORS, torch.Size)):
        return value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(mapped, value))
    if isinstance(value, (tuple, list)):
        return type(value)(list(map(mapped, value)))
    if isinstance(value, dict):
        result = copy.copy(value)
        for key in value:
            result[key] = mapped(value[key])
        return result
    if dataclasses.is_dataclass(value):
        fields = [field.name for field in dataclasses.fields(value)]
        return dataclasses.replace(value, **{name: mapped(getattr(value, name)) for name in fields})
    raise Error(
        f"it returns an object of {type(value).__name__}, in which nothing tells where the tensors"
        " are; an extrinsic rule needs a tensor, tuple, list, dictionary or dataclass"
    )
