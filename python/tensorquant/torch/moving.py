"""Layers and functions of PyTorch that only select or move values: they have nothing to round."""

import re

import torch
from torch import nn

_SIZES = (1, 2, 3)
_OF_SIZES = (
    *("MaxPool", "AdaptiveMaxPool", "FractionalMaxPool", "MaxUnpool", "Dropout"),
    *("ReflectionPad", "ReplicationPad", "ZeroPad", "ConstantPad", "CircularPad"),
)
LAYERS = {
    *(nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.Hardshrink, nn.Threshold, nn.Embedding),
    *(nn.Identity, nn.Dropout),
    *(nn.Flatten, nn.Unflatten, nn.Unfold, nn.PixelShuffle, nn.PixelUnshuffle),
    *(nn.ChannelShuffle, nn.UpsamplingNearest2d),
    *(
        getattr(nn, f"{kind}{n}d")
        for kind in _OF_SIZES
        for n in _SIZES
        if hasattr(nn, f"{kind}{n}d")
    ),
}

# The names of PyTorch's functions; those in place end in `_`.
_FUNCTIONS = re.compile(
    "(?:__get__|__getitem__|__setitem__|__set__|as_strided|broadcast_to|broadcast_tensors|cat|chunk"
    "|clone|concat|concatenate|contiguous|data|detach|diagonal|dstack|expand|expand_as|flatten|flip"
    "|gather|hstack|index_select|masked_select|meshgrid|movedim|moveaxis|narrow|permute"
    "|pixel_shuffle|pixel_unshuffle|repeat|repeat_interleave|requires_grad|reshape|reshape_as|roll"
    "|select|split|squeeze|stack|swapaxes|t|take|take_along_dim|tile|transpose|tril|triu|unbind"
    "|unflatten|unfold|unsqueeze|view|view_as|vstack"
    "|double|float|half|bfloat16|to|type|type_as|cpu|copy"
    "|empty|empty_like|full|full_like|new_empty|new_full|new_ones|new_tensor|new_zeros|ones"
    "|ones_like|tensor|zeros|zeros_like|fill|zero"
    "|abs|clamp|clamp_max|clamp_min|clip|dropout[123]?d?|hardshrink|hardtanh|relu|relu6|threshold|maximum"
    "|minimum|max|min|amax|amin|neg|negative|__neg__|where|masked_fill|topk|sort"
    "|(?:adaptive_)?max_pool[123]d|embedding|one_hot|pad|constant_pad_nd)_?"
)


@torch.compiler.assume_constant_result
def is_moving(name):
    """Whether the function of PyTorch of that name has no arithmetic."""
    return _FUNCTIONS.fullmatch(name) is not None
