"""Quantization-aware fine-tuning of a residual network: train in float, quantize, train on.

The additions around the blocks are no layers; their names are `blocks.0.add` and so on.
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


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.norm2(self.conv2(self.relu(self.norm1(self.conv1(x))))) + x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 4, stride=4)
        self.blocks = nn.Sequential(Block(16), Block(16))
        self.fc = nn.Linear(16 * 7 * 7, 10)

    def forward(self, x):
        return self.fc(self.blocks(self.stem(x)).flatten(1))


def tensors(part):
    pictures, labels = part
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels)


def fit(model, train, rate):
    optimizer = torch.optim.Adam(model.parameters(), rate)
    model.train()
    for _ in range(2):
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
    model = Net()
    fit(model, train, 1e-3)
    print(f"float                     {accuracy(model, test):.3f}")

    # Two bits for each weight of a block. Clipped gradients keep weights in range.
    tqt.quantize_model(
        model,
        weights={"re:blocks.*conv.": "nearest,2,2,grad=clipped", "fc": {"weight": "nearest,2,3"}},
        extrinsic={"relu": "nearest,6,3,grad=clipped", "add": "nearest,8,4"},
        example_inputs=test[0][:1],
    )
    tqt.summary(model)
    print(f"quantized                 {accuracy(model, test):.3f}")

    fit(model, train, 3e-4)
    print(f"quantized and fine-tuned  {accuracy(model, test):.3f}")

    tqt.strip(model)
    print(f"the same weights in float {accuracy(model, test):.3f}")


if __name__ == "__main__":
    main()
