"""A ResNet built as torchvision's: the accuracy in several formats, and what calibration makes of it.

Models of torchvision have the same names: `conv1`, `layer1.0.bn2`, `layer1.0.add`, `fc`.
"""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import tensorquant as tq
import tensorquant.torch as tqt

sys.path.append(str(Path(__file__).parents[1] / "keras"))
import images

OPTIONS = images.arguments(__doc__)


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(BasicBlock(16, 16, 1))
        self.layer2 = nn.Sequential(BasicBlock(16, 32, 2))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(32, 10)

    def forward(self, x):
        x = self.layer2(self.layer1(self.relu(self.bn1(self.conv1(x)))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def tensors(part):
    pictures, labels = part
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels)


def fit(model, train):
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(2):
        for batch in torch.randperm(len(train[0])).split(100):
            optimizer.zero_grad()
            F.cross_entropy(model(train[0][batch]), train[1][batch]).backward()
            optimizer.step()


@torch.no_grad()
def accuracy(model, test):
    right = sum((model(x).argmax(1) == y).sum() for x, y in zip(*(t.split(500) for t in test)))
    return right.item() / len(test[0])


def main():
    torch.manual_seed(0)
    train, test = map(tensors, images.load(OPTIONS.data, 600 if OPTIONS.quick else 20000))
    model = ResNet()
    fit(model, train)
    model.eval()
    print(f"{'float32':30}{accuracy(model, test):.3f}")

    # Outputs of layers, and of the additions around blocks, find their scale in each batch.
    for bits in (8, 6, 5, 4, 3):
        spec = f"int,{bits},scale=max"
        weights = f"int,{bits},per=channel,scale=max"
        tqt.quantize_model(model, weights=weights, extrinsic={"": spec, "add": spec})
        print(f"{f'{bits} bits, scales found':30}{accuracy(model, test):.3f}")

    # The same with scales that a few images tell, as hardware has them.
    for bits in (8, 6, 4):
        spec = f"int,{bits},scale=max"
        maps = tq.Override(
            weights=f"int,{bits},per=channel,scale=max", extrinsic={"": spec, "add": spec}
        )
        maps = tqt.calibrate(model, train[0][:200], maps, "percentile")
        tqt.quantize_model(model, maps=maps)
        print(f"{f'{bits} bits, calibrated':30}{accuracy(model, test):.3f}")


if __name__ == "__main__":
    main()
