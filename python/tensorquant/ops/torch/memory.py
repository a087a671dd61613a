"""Tensors' memory: whether PyTorch sees nothing else in a tensor, and who holds it."""

import sys
from collections.abc import Callable

import torch

from tensorquant.ops import common

with torch.inference_mode():
    _KEYS_IN_INFERENCE_MODE = torch._C._dispatch_keys(torch.empty(0))
_PLAIN_KEYS = (torch._C._dispatch_keys(torch.empty(0)), _KEYS_IN_INFERENCE_MODE)


def is_plain(x: torch.Tensor) -> bool:
    """Whether PyTorch's dispatcher would see nothing but a tensor with memory of its own on the CPU."""
    return (
        type(x) in (torch.Tensor, torch.nn.Parameter) and torch._C._dispatch_keys(x) in _PLAIN_KEYS
    )


def version(x: torch.Tensor) -> tuple | None:
    """A value that changes when PyTorch changes a tensor; None where that cannot be told."""
    if torch.compiler.is_compiling() or not is_plain(x) or x.is_inference():
        return None
    # An assignment to x.data counts nothing: it may be another look at the same memory.
    return x._version, x.data_ptr(), x.dtype, x.shape, x.stride()


_storage_use_count = getattr(torch._C, "_storage_Use_Count", None)  # no public function tells


def holders(x: torch.Tensor) -> tuple | None:
    """How often a tensor, the tensor of which it is a view, and their memory are held.

    None where that cannot be told.
    """
    if _storage_use_count is None or type(x) is not torch.Tensor or not is_plain(x):
        return None
    storage = x.untyped_storage()
    if not storage.resizable():  # another library's memory
        return None
    base = x._base
    return (
        sys.getrefcount(x),
        None if base is None else sys.getrefcount(base),
        sys.getrefcount(storage),
        _storage_use_count(storage._cdata),
    )


def _holders_of_unseen(make: Callable[[], torch.Tensor]) -> tuple | None:
    box = [make()]
    x = box.pop()
    return holders(x)


# What holders() tells where nobody else holds anything, by whether the tensor is a view.
UNSEEN = {
    False: _holders_of_unseen(lambda: torch.empty(1, 2)),
    True: _holders_of_unseen(lambda: torch.empty(1, 2).t()),
}


class Spare:
    """Memory for one large result after the other, as long as nobody holds the one before.

    Fresh memory of such a size comes from the operating system each time, page by page, which takes
    longer than a quantizer. A tensor that somebody still holds, or looks at in whatever way PyTorch
    counts, is never overwritten: then the next has fresh memory, and that is kept instead.
    """

    LEAST = 2**25  # bytes; what is smaller the C library keeps for the next one itself

    def __init__(self):
        self._kept = []  # nothing or a tensor, which nobody gets; taken by one thread at a time

    def __reduce__(self):  # copies have memory of their own
        return Spare, ()

    def like(self, x: torch.Tensor) -> torch.Tensor | None:
        """A tensor without numbers, alike and in C order; None for those that get none."""
        size = x.numel() * x.element_size()
        if size < self.LEAST or not x.is_contiguous() or x.is_neg() or _counts_nothing():
            return None
        try:
            kept = self._kept.pop()
        except IndexError:
            kept = None
        if kept is None or kept.numel() < size or not _is_unseen(kept):
            kept = torch.empty(size, dtype=torch.uint8)
        # Its own tensor, and no view: counted by PyTorch with the memory, of which it is the second.
        y = torch.empty(0, dtype=x.dtype)
        y.set_(kept.untyped_storage(), 0, x.shape, x.stride())
        self._kept[:] = [kept]
        return y


def _counts_nothing() -> bool:
    return _storage_use_count is None or torch.is_inference_mode_enabled()


def _is_unseen(kept: torch.Tensor) -> bool:
    storage = kept.untyped_storage()
    if storage.is_shared() or not storage.resizable() or vars(storage):
        return False
    return (sys.getrefcount(storage), _storage_use_count(storage._cdata)) == _UNSEEN_KEPT


def _holders_of_kept() -> tuple:
    kept = torch.empty(4, dtype=torch.uint8)
    storage = kept.untyped_storage()
    return sys.getrefcount(storage), _storage_use_count(storage._cdata)


_UNSEEN_KEPT = None if _storage_use_count is None else _holders_of_kept()


def is_in_any_order(x: torch.Tensor, traits: common.Traits) -> bool:
    """Whether the core can take x's memory from its begin to its end."""
    if x.is_neg():
        return False
    if traits.is_elementwise and not x.is_contiguous():
        x = x.permute(sorted(range(x.dim()), key=x.stride, reverse=True))
    return x.is_contiguous()


def is_dense(x: torch.Tensor) -> bool:
    """Whether a tensor's elements fill its memory from begin to end, in any order of its axes."""
    return x.permute(sorted(range(x.dim()), key=x.stride, reverse=True)).is_contiguous()
