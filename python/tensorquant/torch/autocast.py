"""What torch.autocast does to the arguments of a function before it is computed."""

import torch

from tensorquant.torch.structures import floats_in, map_tensors


def as_autocast_casts(args, kwargs):
    """The arguments of a product of matrices or a convolution, in the type in which it is computed.

    Under autocast that is the lower one; float64 stays.
    """
    found = floats_in(args)
    device = found[0].device.type if found else "cpu"
    if not torch.is_autocast_enabled(device):
        return args, kwargs
    low = torch.get_autocast_dtype(device)

    def cast(x):
        return x if x.dtype == torch.float64 else x.to(low)

    return tuple(map_tensors(cast, list(args))), {
        k: map_tensors(cast, v) for k, v in kwargs.items()
    }
