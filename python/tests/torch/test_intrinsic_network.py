"""A network whose arithmetic is rounded everywhere has the bits of the other front-ends."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import tensorquant.torch as tqt

GOLDEN = Path(__file__).parents[3] / "tests" / "golden" / "intrinsic_network" / "network.json"


class Network(nn.Module):
    def __init__(self, needs_weights):
        super().__init__()
        self.needs_weights = needs_weights
        self.conv = nn.Conv2d(2, 8, 3, padding=1)
        self.bn = nn.BatchNorm2d(8)
        self.norm = nn.LayerNorm(8)
        self.gelu = nn.GELU()
        self.attention = nn.MultiheadAttention(8, 2)
        self.fc = nn.Linear(8, 4)
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, x):
        x = self.bn(self.conv(x)).flatten(2).permute(2, 0, 1)  # (places, batch, channels)
        x = self.gelu(self.norm(x))
        x, _ = self.attention(x, x, x, need_weights=self.needs_weights)
        return self.softmax(self.fc(x))


def outputs(network, name):
    """The bytes of (places, batch, classes) under the maps of a name."""
    shapes, numbers = network["shapes"], network["sixty_fourths"]
    tensors = {n: torch.tensor(numbers[n]).reshape(shapes[n]) / 64 for n in shapes}
    x = tensors.pop("x")
    model = Network(network["with_weights"][name]).eval()
    model.load_state_dict(tensors, strict=False)
    tqt.quantize_model(model, **network["maps"][name])
    with torch.no_grad():
        return model(x).contiguous().numpy().tobytes()


NAMES = ["fixed_point", "floats", "integers", "at_random"]
NAMES += ["fixed_point_with_weights", "at_random_with_weights"]


@pytest.mark.parametrize("name", NAMES)
def test_a_network_has_the_golden_bits(name):
    network = json.loads(GOLDEN.read_text())
    assert set(network["y"]) == set(NAMES)
    assert outputs(network, name).hex() == network["y"][name]
