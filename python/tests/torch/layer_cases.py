"""Each layer of torch.nn that has parameters, tiny."""

import torch
from torch import nn


def _indices(*shape):
    return torch.randint(5, shape)


_IMAGES = {1: (2, 4, 7), 2: (2, 4, 5, 6), 3: (1, 4, 3, 4, 5)}

LAYERS = {
    "Linear": (lambda: nn.Linear(4, 3), lambda: [torch.randn(2, 5, 4)]),
    "Linear without a bias": (lambda: nn.Linear(4, 3, bias=False), lambda: [torch.randn(2, 4)]),
    "LazyLinear": (lambda: nn.LazyLinear(3), lambda: [torch.randn(2, 4)]),
    "Bilinear": (lambda: nn.Bilinear(3, 4, 2), lambda: [torch.randn(2, 3), torch.randn(2, 4)]),
    "Embedding": (lambda: nn.Embedding(5, 3, padding_idx=0), lambda: [_indices(2, 4)]),
    "EmbeddingBag": (lambda: nn.EmbeddingBag(5, 3), lambda: [_indices(2, 4)]),
    "PReLU": (lambda: nn.PReLU(4), lambda: [torch.randn(2, 4, 3)]),
    "LayerNorm": (lambda: nn.LayerNorm((3, 4)), lambda: [torch.randn(2, 3, 4)]),
    "RMSNorm": (lambda: nn.RMSNorm(4), lambda: [torch.randn(2, 3, 4)]),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), lambda: [torch.randn(2, 4, 3)]),
    "RNN": (lambda: nn.RNN(3, 4, nonlinearity="relu"), lambda: [torch.randn(5, 2, 3)]),
    "LSTM": (lambda: nn.LSTM(3, 4, batch_first=True), lambda: [torch.randn(2, 5, 3)]),
    "GRU": (lambda: nn.GRU(3, 4, bidirectional=True), lambda: [torch.randn(5, 2, 3)]),
    "RNNCell": (lambda: nn.RNNCell(3, 4), lambda: [torch.randn(2, 3)]),
    "LSTMCell": (lambda: nn.LSTMCell(3, 4), lambda: [torch.randn(2, 3)]),
    "GRUCell": (lambda: nn.GRUCell(3, 4), lambda: [torch.randn(2, 3)]),
    "MultiheadAttention": (
        lambda: nn.MultiheadAttention(4, 2, add_bias_kv=True),
        lambda: [torch.randn(5, 2, 4)] * 3,
    ),
    "MultiheadAttention of other widths": (
        lambda: nn.MultiheadAttention(4, 2, kdim=3, vdim=5, batch_first=True),
        lambda: [torch.randn(2, 6, 4), torch.randn(2, 5, 3), torch.randn(2, 5, 5)],
    ),
    "TransformerEncoderLayer": (
        lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
        lambda: [torch.randn(2, 5, 4)],
    ),
    "TransformerDecoderLayer": (
        lambda: nn.TransformerDecoderLayer(4, 2, 8),
        lambda: [torch.randn(5, 2, 4), torch.randn(6, 2, 4)],
    ),
    "Transformer": (
        lambda: nn.Transformer(4, 2, 1, 1, 8),
        lambda: [torch.randn(5, 2, 4), torch.randn(6, 2, 4)],
    ),
    "AdaptiveLogSoftmaxWithLoss": (
        lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 5, [2]),
        lambda: [torch.randn(6, 4), _indices(6)],
    ),
}
for size, shape in _IMAGES.items():
    one = lambda shape=shape: [torch.randn(shape)]
    for name, more in (
        ("Conv{}d", {"kernel_size": 3, "padding": 1}),
        (
            "Conv{}d of groups",
            {"kernel_size": 2, "groups": 2, "padding_mode": "circular", "padding": 1},
        ),
        ("Conv{}d by depth", {"kernel_size": 2, "groups": 4}),
        ("ConvTranspose{}d", {"kernel_size": 2, "stride": 2, "groups": 2}),
    ):
        kind = getattr(nn, name.format(size).split()[0])
        LAYERS[name.format(size)] = (
            lambda kind=kind, more=more: kind(4, 8, **more),
            one,
        )
    batch_norm, instance_norm = (getattr(nn, f"{k}Norm{size}d") for k in ("Batch", "Instance"))
    LAYERS[f"BatchNorm{size}d"] = (lambda kind=batch_norm: kind(4), one)
    LAYERS[f"InstanceNorm{size}d"] = (lambda kind=instance_norm: kind(4, affine=True), one)
    lazy = getattr(nn, f"LazyConv{size}d")
    LAYERS[f"LazyConv{size}d"] = (lambda kind=lazy: kind(3, 2), one)
