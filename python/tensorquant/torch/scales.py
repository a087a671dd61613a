"""The scales of tensors that quantizers made, kept with the tensors as long as their values are moved."""

import torch

from tensorquant.frontend.tensor_scales import TensorScales, known, lost, over_space, reshaped
from tensorquant.ops.torch import has_scales, not_compiled, scales_in
from tensorquant.ops.torch.compiler import in_transform
from tensorquant.ops.torch.library import traits

_SCALES = "_tensorquant_scales"  # an attribute of tensors, and of the memory of those made first

# By the names of PyTorch's functions; those in place give the same tensor.
_IN_PLACE = {
    *("relu", "relu_", "contiguous", "clone", "detach", "detach_", "data", "requires_grad_"),
    *("to", "cpu", "float", "double"),
}
_DROPOUTS = {*("dropout", "dropout1d", "dropout2d", "dropout3d"), *("dropout_", "feature_dropout")}
_CLAMPING = {  # to numbers that need be no elements
    *("relu6", "hardtanh", "threshold", "clamp", "clamp_min", "clamp_max", "clip"),
    *("relu6_", "hardtanh_", "threshold_", "clamp_", "clamp_min_", "clamp_max_", "clip_"),
}
_RESHAPING = {
    *("flatten", "unflatten", "view", "view_as", "reshape", "reshape_as", "squeeze", "unsqueeze"),
}
_TRANSPOSING = {
    *("permute", "transpose", "t", "T", "mT", "movedim", "moveaxis", "swapaxes", "swapdims"),
}
_OVER_SPACE = {
    *(f"{kind}max_pool{n}d" for kind in ("", "adaptive_") for n in (1, 2, 3)),
    *("pad", "constant_pad_nd"),
}
_SELECTING = {
    *("__getitem__", "narrow", "select", "index_select", "chunk", "split", "unbind", "flip"),
    *("roll", "repeat", "repeat_interleave", "tile", "expand", "expand_as", "broadcast_to"),
    *(
        "take_along_dim",
        "pixel_shuffle",
        "pixel_unshuffle",
        "unfold",
        "diagonal",
        "gather",
        "amax",
        "as_strided",
    ),
}


PADDINGS = tuple(
    getattr(torch.nn, f"{kind}Pad{n}d")
    for kind in ("Reflection", "Replication", "Zero", "Constant", "Circular")
    for n in (1, 2, 3)
)


def find(x, spec, axes):
    """The TensorScales of what a quantizer makes of a tensor; None for one without."""
    if not has_scales(spec, x.dtype):
        return None
    return TensorScales(spec, traits(spec).per, scales_in(x, spec, axes))


def mark(x, scales):
    """Notes the TensorScales, or None, of a tensor that a quantizer made."""
    if scales is None and scales_of(x) is None:
        return
    setattr(x, _SCALES, scales)
    if not torch.compiler.is_compiling():
        _mark_memory(x, scales)


def put_into(target, y):
    """A tensor that is overwritten with the values of another one; with its scales."""
    target.copy_(y)
    mark(target, scales_of(y))
    return target


def scales_of(x):
    """The TensorScales of a tensor, or None."""
    scales = getattr(x, _SCALES, None)
    if scales is not None or torch.compiler.is_compiling() or not _has_memory(x):
        return scales
    # Another tensor of the same memory, such as a checkpoint makes.
    scales, place = getattr(x.untyped_storage(), _SCALES, (None, None))
    return scales if place is not None and place == _place(x) else None


@not_compiled
def keep_with_memory(x):
    """Takes the scales off a tensor that leaves the model, which may be saved; its memory has them."""
    scales = x.__dict__.pop(_SCALES, None)
    if scales is not None:
        _mark_memory(x, scales)


def pass_on(function, args, kwargs, result):
    """Notes those of the result of a function of PyTorch that only moves the values of a tensor."""
    x = args[0] if args else kwargs.get("input")
    scales = scales_of(x) if isinstance(x, torch.Tensor) else None
    if scales is None:
        return
    if result is x and not _keeps_elements(_name(function), args, kwargs):
        mark(x, _moved(scales, function, args, kwargs, x, x))  # changed in place
        return
    if isinstance(result, (tuple, list)):
        results = () if torch.compiler.is_compiling() else result  # which has no place for them
    else:
        results = (result,)
    for y in results:
        is_new = isinstance(y, torch.Tensor) and y.is_floating_point() and scales_of(y) is None
        if is_new:
            moved = _moved(scales, function, args, kwargs, x, y)
            if moved is not None:
                setattr(y, _SCALES, moved)


def pass_on_in_padding(module, args, y):
    """The same for a module that pads, whose function a compiler does not show."""
    scales = scales_of(args[0]) if args and isinstance(module, PADDINGS) else None
    if scales is not None and scales_of(y) is None:
        place = f"a {type(module).__name__}"
        has_number = bool(getattr(module, "value", 0))
        moved = (
            lost(place) if has_number else over_space(scales, args[0].shape, y.shape, place, torch)
        )
        setattr(y, _SCALES, moved)


def moved(move, x):
    """move(x), which brings axes into another order or adds or takes some of size 1."""
    y = move(x)
    scales = scales_of(x)
    if scales is not None:
        scales = scales if scales.loss else scales._replace(scales=move(scales.scales))
        setattr(y, _SCALES, scales)
    return y


def followed(function, *args):
    """What a function of PyTorch gives that only moves a tensor's values; the scales go with them."""
    y = function(*args)
    pass_on(function, args, {}, y)
    return y


def needed(x):
    """The TensorScales of what rounded arithmetic reads, or None.

    Raises:
        tensorquant.Error: They are lost.
    """
    return None if x is None else known(scales_of(x))


def _keeps_elements(name, args, kwargs):
    """Whether a function gives the elements of a tensor in their places."""
    return name in _IN_PLACE or (name in _DROPOUTS and not _drops(*args[1:], **kwargs))


def _drops(p=0.5, training=True, inplace=False, **others):
    return p > 0 and others.get("train", training)


def _moved(scales, function, args, kwargs, x, y):
    name = _name(function)
    if _keeps_elements(name, args, kwargs):
        return scales if x.shape == y.shape and x.dtype == y.dtype else None
    if scales.loss and name in _RESHAPING | _TRANSPOSING | _OVER_SPACE | _SELECTING | _CLAMPING:
        return scales
    place = f"'{name}'"
    if name in _CLAMPING or (name == "pad" and _pads_with_a_number(*args[2:], **kwargs)):
        return lost(place)
    if name in _TRANSPOSING:
        return scales._replace(scales=function(scales.scales, *args[1:], **_others(kwargs)))
    if name in _RESHAPING:
        return reshaped(scales, x.shape, y.shape, place, torch)
    if name in _OVER_SPACE:
        return over_space(scales, x.shape, y.shape, place, torch)
    if name in _SELECTING:
        return over_space(scales, x.shape, y.shape, place, torch) if scales.is_one else lost(place)
    return None


def _pads_with_a_number(mode="constant", value=None, **others):
    return mode == "constant" and bool(value)


def _others(kwargs):
    return {name: value for name, value in kwargs.items() if name != "input"}


@torch.compiler.assume_constant_result
def _name(function):
    """That of a function or method, or of an attribute such as `T`."""
    name = function.__name__
    return function.__self__.__name__ if name == "__get__" else name


def _mark_memory(x, scales):
    if _has_memory(x):
        setattr(x.untyped_storage(), _SCALES, (scales, _place(x)))


def _has_memory(x):
    is_plain = type(x) in (torch.Tensor, torch.nn.Parameter) and x.layout == torch.strided
    return is_plain and not in_transform()


def _place(x):
    return tuple(x.shape), x.stride(), x.storage_offset()
