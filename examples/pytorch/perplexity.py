"""A small GPT trained on Python's own documentation, and its perplexity in several formats.

Weights alone; weights and the outputs of layers; and with them the products and the softmax of
attention, which are no layers.
"""

import argparse
import math
from pydoc_data.topics import topics

import torch
from torch import nn
from torch.nn import functional as F

import tensorquant.torch as tqt

CONTEXT, WIDTH, HEADS, BLOCKS, TOKENS = 64, 64, 4, 2, 128
# A scale is found for each output channel, block of 32 or 16 numbers, or tensor.
FORMATS = (
    "bf16",
    "float,4,3",
    "float,5,2",
    "int,8,scale=max",
    "int,6,scale=max",
    "int,4,scale=max",
    "int,4,block=32,scale=max",
    "mxfp8",
    "mxfp4",
    "nvfp4",
)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.register_buffer("future", torch.ones(CONTEXT, CONTEXT, dtype=torch.bool).triu(1))

    def forward(self, x):
        n, length, _ = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        scores = q @ k.mT * (WIDTH // HEADS) ** -0.5
        hidden = self.future[:length, :length]
        weights = scores.masked_fill(hidden, -math.inf).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(n, length, WIDTH))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(WIDTH), Attention(), nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """Its head has the weight of its embedding."""

    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(TOKENS, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, TOKENS, bias=False)
        self.head.weight = self.wte.weight
        nn.init.normal_(self.wte.weight, std=0.1)

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        return self.head(self.norm(self.blocks(x)))


def loss(model, rows):
    logits = model(rows[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())


def train(model, text, steps):
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    places = torch.arange(CONTEXT + 1)
    for _ in range(steps):
        starts = torch.randint(len(text) - CONTEXT - 1, (32, 1))
        optimizer.zero_grad()
        loss(model, text[starts + places]).backward()
        optimizer.step()
        schedule.step()


@torch.no_grad()
def perplexity(model, text):
    rows = text[: len(text) // (CONTEXT + 1) * (CONTEXT + 1)].view(-1, CONTEXT + 1)
    parts = rows.split(64)
    return math.exp(sum(loss(model, part).item() * len(part) for part in parts) / len(rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few steps: shows that it runs")
    options = parser.parse_args()

    torch.manual_seed(0)
    letters = "".join(topics[name] for name in sorted(topics)).encode("ascii", "replace")
    text = torch.tensor(list(letters))
    size = 4000 if options.quick else 40000
    learned, held_out = text[:-size], text[-size:]
    model = GPT()
    train(model, learned, 40 if options.quick else 500)
    model.eval()
    print(f"{'':25}{'weights':>10}{'+ outputs':>11}{'+ attention':>13}")
    print(f"{'float32':25}{perplexity(model, held_out):10.3f}")
    for spec in FORMATS[:2] if options.quick else FORMATS:
        found = []
        for outputs in (None, {"": spec}, {"": spec, "matmul": spec, "softmax": spec}):
            tqt.quantize_model(model, weights=spec, extrinsic=outputs)
            found.append(perplexity(model, held_out))
        print(f"{spec:25}{found[0]:10.3f}{found[1]:11.3f}{found[2]:13.3f}")


if __name__ == "__main__":
    main()
