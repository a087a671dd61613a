"""The scales that a tensor was made with, and what becomes of them where its values are moved."""

import math
from typing import Any, NamedTuple

from tensorquant._core import Error


class TensorScales(NamedTuple):
    """What a tensor is made of beside its elements.

    Attributes:
        spec: The quantizer that made it.
        per: What shares a scale: see tensorquant.ops.common.Traits.
        scales: What tensorquant.ops' scales() gives, of as many axes as the tensor.
        loss: Why they are not known, for people to read; "" where they are.
    """

    spec: str
    per: str
    scales: Any
    loss: str = ""

    @property
    def is_one(self):
        """Whether all elements share a scale, wherever they go."""
        return all(size == 1 for size in self.scales.shape)


def lost(place):
    """Those of a tensor whose groups a layer or function has mixed."""
    reason = f"it reads what {place} made of a tensor with scales, whose groups are mixed there"
    return TensorScales("", "", None, reason)


def known(scales):
    """TensorScales, or None, for arithmetic, which needs them.

    Raises:
        tensorquant.Error: They are lost.
    """
    if scales is not None and scales.loss:
        raise Error(
            f"{scales.loss}; rounded arithmetic sees elements and scales apart: quantize what the"
            " layer reads, by a rule of the extrinsic map"
        )
    return scales


def over_space(scales, before, after, place, ops):
    """Those of what takes elements from the axes that are not the channels', or adds zeros there.

    Args:
        scales: Of a tensor.
        before, after: Its shape, and the new one.
        place: Where this is, for people.
        ops: Has reshape(tensor, shape) and broadcast_to(tensor, shape).
    """
    if scales.loss:
        return scales
    if scales.is_one:
        return scales._replace(scales=ops.reshape(scales.scales, (1,) * len(after)))
    is_kept = len(before) == len(after) and all(
        size == 1 or old == new for size, old, new in zip(scales.scales.shape, before, after)
    )
    return scales if is_kept and scales.per == "channel" else lost(place)


def reshaped(scales, before, after, place, ops):
    """Those of a tensor in another shape; see over_space()."""
    if scales.loss:
        return scales
    if scales.is_one:
        return scales._replace(scales=ops.reshape(scales.scales, (1,) * len(after)))
    groups = _groups(tuple(before), tuple(after))
    if groups is None:
        return lost(place)
    sizes = tuple(scales.scales.shape)
    wide, shape = [], []  # of the scales, as they are taken for, and in the end
    for (begin, end), (new_begin, new_end) in groups:
        own, full = sizes[begin:end], tuple(before[begin:end])
        count = new_end - new_begin
        if all(size == 1 for size in own):
            wide += own
            shape += [1] * count
        elif count == 1 and (len(own) == 1 or own == full):
            wide += own
            shape.append(math.prod(own))
        elif count == 1 and scales.per == "channel" and None not in full:
            # Neighbours behind the last axis with scales of its own share one.
            last = max(d for d, size in enumerate(own) if size != 1) + 1
            wide += [*full[:last], *own[last:]]
            shape.append(math.prod(full[:last]))
        else:
            return lost(place)
    moved = scales.scales
    if tuple(wide) != sizes:
        moved = ops.broadcast_to(moved, tuple(wide))
    return scales._replace(scales=ops.reshape(moved, tuple(shape)))


def _groups(before, after):
    """Which axes of a shape become which of another: pairs of ranges; None where that is unknown."""
    groups = []
    i = j = 0
    while i < len(before) or j < len(after):
        old = before[i] if i < len(before) else 1
        new = after[j] if j < len(after) else 1
        end, new_end = i + (i < len(before)), j + (j < len(after))
        if old != new and 1 in (old, new):  # an axis that comes or goes
            end, new_end = (end, j) if old == 1 and i < len(before) else (i, new_end)
        elif old != new:
            while old != new:
                if None in (old, new):
                    return None
                is_shorter = old < new
                if (end if is_shorter else new_end) >= len(before if is_shorter else after):
                    return None
                size = before[end] if is_shorter else after[new_end]
                if size is None:
                    return None
                if is_shorter:
                    old, end = old * size, end + 1
                else:
                    new, new_end = new * size, new_end + 1
        groups.append(((i, end), (j, new_end)))
        i, j = end, new_end
    return groups
