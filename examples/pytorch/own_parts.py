"""A layer, a quantizer and a functional operation of one's own, in training, in a file, and back."""

import sys
import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import tensorquant.torch as tqt

sys.path.append(str(Path(__file__).parents[1] / "keras"))
import images

OPTIONS = images.arguments(__doc__)


class Gate(nn.Module):
    """x * sigmoid(a * x + b). Nothing in it knows of quantizers."""

    quantizer_axes = {"output": {"reduction_axis": -1, "channel_axis": -1}}  # noqa: RUF012

    def __init__(self, size):
        super().__init__()
        self.a, self.bias = nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))

    def forward(self, x):
        return x * torch.sigmoid(self.a * x + self.bias)


class Levels(tqt.TensorQuantizer):
    """N equal steps from -1 to 1. Gradients pass where x lies between."""

    def __init__(self, n):
        self.half = (n - 1) / 2

    def quantize(self, tensor):
        clipped = tensor.clamp(-1, 1)
        steps = torch.round(clipped.detach() * self.half) / self.half
        return clipped + (steps - clipped).detach()


class Net(nn.Module):
    """Cosines between an image's features and those of ten classes: functions, and no layer."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 64)
        self.gate = Gate(64)
        self.classes = nn.Parameter(torch.randn(10, 64))

    def forward(self, x):
        x = self.gate(self.fc(x.flatten(1)))
        return 10 * (F.normalize(x) @ F.normalize(self.classes).T)


def main():
    torch.manual_seed(0)
    count = 1200 if OPTIONS.quick else 30000
    train, test = (
        (torch.from_numpy(pictures), torch.from_numpy(labels))
        for pictures, labels in images.load(OPTIONS.data, count)
    )
    model = Net()
    tqt.quantize_model(
        model,
        weights={
            "gate": "nearest,8,5",
            "fc": {"weight": Levels(15)},
            "=classes": "int,8,scale=max",
        },
        extrinsic={
            "gate": "int,8,per=channel,scale=max",
            "normalize": "float,4,3",
            "=matmul": "bf16",
        },
        example_inputs=test[0][:1],
    )
    tqt.summary(model)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for batch in torch.randperm(len(train[0])).split(100):
        optimizer.zero_grad()
        F.cross_entropy(model(train[0][batch]), train[1][batch]).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        wanted = model(test[0])
    print(f"accuracy {(wanted.argmax(1) == test[1]).float().mean():.3f}")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        torch.save(model, path)
        loaded = torch.load(path, weights_only=False)
    with torch.no_grad():
        print("loaded model gives the same bits:", torch.equal(loaded(test[0]), wanted))


if __name__ == "__main__":
    main()
