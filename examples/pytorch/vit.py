"""Fine-tuning of a ViT: train in float, quantize weights, outputs and attention, train on.

Parameters that no layer owns have names of their own: `cls_token` and `pos_embed`.
"""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import tensorquant.torch as tqt

sys.path.append(str(Path(__file__).parents[1] / "keras"))
import images

OPTIONS = images.arguments(__doc__)
WIDTH, HEADS, PATCH = 48, 4, 7


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        n, length, _ = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        weights = (q @ k.mT * (WIDTH // HEADS) ** -0.5).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(n, length, WIDTH))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(WIDTH), Attention(), nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH)
        )

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch_embed = nn.Conv2d(1, WIDTH, PATCH, PATCH)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.randn(1, (28 // PATCH) ** 2 + 1, WIDTH) * 0.02)
        self.blocks = nn.Sequential(Block(), Block())
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 10)

    def forward(self, x):
        x = self.patch_embed(x).flatten(2).mT
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


def tensors(part):
    pictures, labels = part
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels)


def fit(model, train, rate, epochs):
    optimizer = torch.optim.AdamW(model.parameters(), rate)
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(train[0])).split(100):
            optimizer.zero_grad()
            F.cross_entropy(model(train[0][batch]), train[1][batch]).backward()
            optimizer.step()


@torch.no_grad()
def accuracy(model, test):
    model.eval()
    right = sum((model(x).argmax(1) == y).sum() for x, y in zip(*(t.split(500) for t in test)))
    return right.item() / len(test[0])


def main():
    torch.manual_seed(0)
    train, test = map(tensors, images.load(OPTIONS.data, 600 if OPTIONS.quick else 30000))
    model = ViT()
    fit(model, train, 2e-3, 3)
    print(f"float                     {accuracy(model, test):.3f}")

    four = "int,4,scale=max"
    tqt.quantize_model(
        model,
        weights={
            "norm": None,  # few numbers, and much depends on them
            "re:cls_token|pos_embed": "nearest,8,6",
            "": {"weight": "int,3,per=channel,scale=max"},
        },
        extrinsic={"input": None, "head": None, "": four, "matmul": four, "softmax": four},
        example_inputs=test[0][:1],
    )
    tqt.summary(model)
    print(f"quantized                 {accuracy(model, test):.3f}")

    fit(model, train, 5e-4, 2)
    print(f"quantized and fine-tuned  {accuracy(model, test):.3f}")


if __name__ == "__main__":
    main()
