"""Tensors of which each process holds a part: those of fully_shard()."""

from tensorquant._core import Error
from tensorquant.torch.torch_internals import distributed_tensor


def is_shared_out(x):
    """Whether a tensor is a DTensor."""
    kind = distributed_tensor()
    return kind is not None and isinstance(x, kind)


def refuse_shared_out(x):
    """Raises an Error of a DTensor, of which a quantizer in a forward would see one part alone."""
    if is_shared_out(x):
        raise Error(
            "a tensor is shared out among processes (DTensor, tensor parallel), and a quantizer needs"
            " it whole; of what shares models out, DistributedDataParallel and fully_shard() work"
        )


def quantize_in_place(x, plan, steps):
    """Writes a tensor's quantized values into it; all processes that hold parts of it take part.

    The bits are those of one process. So a part is quantized alone only where a number depends on
    nothing but itself.

    Args:
        x: The tensor, without a graph.
        plan: Its TensorPlan.
        steps: As TensorPlan takes them.
    """
    if not is_shared_out(x):
        x.copy_(plan.quantize(x, steps))
    elif plan.is_local:
        part = x.to_local()
        part.copy_(plan.quantize(part, steps))
    else:
        whole = plan.quantize(x.full_tensor(), steps)
        share_out = type(x).from_local  # of parts that are alike everywhere: no message is needed
        replicated = share_out(whole, x.device_mesh, run_check=False)
        x.copy_(replicated.redistribute(placements=x.placements))
