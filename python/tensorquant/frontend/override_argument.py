"""The maps as a front-end's functions take them, and the warnings of rules that do nothing."""

import warnings

from tensorquant.maps.override import Override


class IdleRuleWarning(UserWarning):
    """A rule of a map does nothing."""


def make_override(weights, extrinsic, intrinsic, maps, seed, strict):
    """A tensorquant.Override from three maps, or from `maps`: all of them in a file or an Override."""
    if maps is None:
        return Override(weights, extrinsic, intrinsic, seed=seed, strict=strict)
    if (weights, extrinsic, intrinsic) != (None, None, None):
        raise TypeError("give either maps= or single maps, not both")
    if isinstance(maps, Override):
        return maps
    return Override.from_file(maps, seed=seed, strict=strict)


def warn_of_idle(messages, stacklevel):
    for message in messages:
        warnings.warn(message, IdleRuleWarning, stacklevel=stacklevel + 1)
