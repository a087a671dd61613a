"""What the tests compare with: float networks whose numbers are quantized by hand."""

import copy

import torch

import tensorquant as tq


def quantized_copy(model, weight, bias=None):
    """A float copy of a model, its parameters quantized by NumPy's way into the package."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            spec = weight if bias is None or "bias" not in name.split(".")[-1] else bias
            parameter.copy_(quantized(parameter, spec))
    return model


def tensors(result):
    """All tensors in what a model returns."""
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, (tuple, list)):
        return [x for part in result for x in tensors(part)]
    return []


def same_bits(a, b):
    a, b = tensors(a), tensors(b)
    return len(a) == len(b) > 0 and all(
        (x.dtype, x.shape) == (y.dtype, y.shape) and _bytes(x) == _bytes(y) for x, y in zip(a, b)
    )


def _bytes(x):
    return x.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def run(model, *inputs, **named):
    """What a model returns; random layers such as Dropout do the same each time."""
    torch.manual_seed(5)
    return model(*inputs, **named)


def gradients(model, *inputs, **named):
    """Of the sum of the outputs times fixed integers, by each parameter and float input."""
    inputs = [*map(_leaf, inputs)]
    named = {name: _leaf(x) for name, x in named.items()}
    model.zero_grad()
    loss = 0
    for y in tensors(run(model, *inputs, **named)):
        if y.is_floating_point() and y.requires_grad:
            weights = torch.arange(y.numel()).remainder(7).sub(3).reshape(y.shape)
            loss = loss + (y * weights.to(y.dtype)).sum()
    loss.backward()
    leaves = [x for x in (*inputs, *named.values()) if x.requires_grad]
    found = [leaf.grad for leaf in (*model.parameters(), *leaves)]
    return [torch.zeros(1) if g is None else g for g in found]


def _leaf(x):
    return x.clone().requires_grad_() if x.is_floating_point() else x


def quantized(x, spec, **context):
    """A tensor quantized by NumPy's way into the package; half types by way of float32."""
    x = x.detach()
    if x.dtype in (torch.float16, torch.bfloat16):
        return quantized(x.float(), spec, **context).to(x.dtype)
    return torch.from_numpy(tq.Quantizer(spec)(x.numpy(), **context))
