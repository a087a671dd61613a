"""A network with scales everywhere gives the bits of the command line."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tensorquant.torch as tqt

sys.path.append(str(Path(__file__).parents[3] / "tests" / "golden" / "scaled_network"))
import network


class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(1, 6, 5, padding=2), nn.ReLU()
        self.conv2, self.relu2 = nn.Conv2d(6, 16, 5), nn.ReLU()
        self.conv3, self.relu3 = nn.Conv2d(16, 120, 5), nn.ReLU()
        self.fc1, self.relu4 = nn.Linear(120, 84), nn.ReLU()
        self.fc2 = nn.Linear(84, 10)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        x = self.pool(self.relu1(self.conv1(x)))
        x = self.pool(self.relu2(self.conv2(x)))
        x = self.relu3(self.conv3(x)).flatten(1)
        return self.fc2(self.relu4(self.fc1(x)))


def images():
    pixels = np.frombuffer(network.pixels(), np.uint8).reshape(network.IMAGES, 1, 28, 28)
    return pixels.astype(np.float32) / np.float32(255)


@pytest.mark.parametrize("name", network.MAPS)
def test_a_network_has_the_bits_of_the_command_line(name):
    model = LeNet5().eval()
    numbers = network.parameters()
    state = {n: torch.tensor(numbers[n]).reshape(network.SHAPES[n]) for n in network.SHAPES}
    model.load_state_dict(state)
    tqt.quantize_model(model, **network.MAPS[name])
    with torch.no_grad():
        found = model(torch.from_numpy(images()))
    assert found.numpy().tobytes() == network.logits()[name]
