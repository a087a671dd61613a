"""What layers, parameters and operations of well-known models are called."""

import pathlib

import cases
import pytest
import torch

import tensorquant.torch as tqt

LISTS = pathlib.Path(__file__).parent / "names"
MODELS = (
    "torchvision resnet",
    "torchvision swin_v2",
    "torchvision vit",
    "timm beit",
    "timm efficientnet",
    "transformers bert",
    "transformers gpt2",
    "transformers llama",
    "transformers qwen3_moe",
    "transformers mamba",
    "transformers t5",
    "diffusers unet",
)


def names(name):
    """Lines of the kind and the name, as the model holds them, and operations as they are called."""
    model, inputs = cases.make(name)
    rows = tqt.summary(model, print_fn=None)
    layers = {row.layer for row in rows}
    operations = {}
    with torch.no_grad(), tqt.observe(model, operations.setdefault):
        model(**inputs)
    lines = [f"{row.type} {row.layer}" for row in rows]
    return lines + [f"operation {name}" for name in operations if name not in layers]


@pytest.mark.parametrize("name", cases.some(*MODELS))
def test_names_are_those_of_the_list(name):
    wanted = (LISTS / f"{name.replace(' ', '_')}.txt").read_text().splitlines()
    assert names(name) == wanted
    assert names(name) == wanted
