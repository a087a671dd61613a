"""The maps as a front-end's functions take them, and the warnings of rules that do nothing."""

import warnings

from tensorquant.maps.override import KINDS, Override


class IdleRuleWarning(UserWarning):
    """A rule of a map does nothing."""


def make_override(weights, extrinsic, intrinsic, maps, seed, strict, gradients=None):
    """A tensorquant.Override from maps, or from `maps`: all of them in a file or an Override."""
    if maps is None:
        three = (weights, extrinsic, intrinsic)
        return Override(*three, gradients=gradients, seed=seed, strict=strict)
    if (weights, extrinsic, intrinsic, gradients) != (None, None, None, None):
        raise TypeError("give either maps= or single maps, not both")
    if isinstance(maps, Override):
        return maps
    return Override.from_file(maps, seed=seed, strict=strict)


def make_optimizer_override(maps, seed, strict):
    """An Override with an optimizer map alone, from such a map or an Override."""
    if isinstance(maps, Override):
        return Override(optimizer=maps.optimizer, seed=maps.seed, strict=maps.strict)
    return Override(optimizer=maps, seed=seed, strict=strict)


def without_optimizer(override):
    """The same Override without its optimizer map, which is for another function."""
    maps = {kind: getattr(override, kind) for kind in KINDS if kind != "optimizer"}
    return Override(**maps, seed=override.seed, strict=override.strict)


def warn_of_idle(messages, stacklevel):
    for message in messages:
        warnings.warn(message, IdleRuleWarning, stacklevel=stacklevel + 1)
