"""The models of all libraries that are installed."""

import functools
import importlib

import pytest
import torch

LIBRARIES = ("torchvision", "timm", "transformers", "diffusers")
LACKS = "{} is not installed, which scripts/setup.sh models does"


def make(name):
    """A model in training whose parameters lie on no grid, and its inputs by name."""
    library, name = name.split(" ")
    model, inputs = _cases(library)[name]
    model = model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return model.train(), inputs()


def every():
    """Parameters of a test: the name of each model, and one that is skipped of a library not there."""
    return list(_parameters())


def some(*names):
    """The same of some models."""
    return [one for one in _parameters() if not isinstance(one, str) or one in names]


def _parameters():
    for library in LIBRARIES:
        try:
            names = list(_cases(library))
        except ImportError:
            skip = pytest.mark.skip(reason=LACKS.format(library))
            yield pytest.param(f"{library} -", marks=skip)
            continue
        for name in names:
            yield f"{library} {name}"


@functools.cache
def _cases(library):
    if library in ("torchvision", "timm"):  # the latter imports the former
        _declare_torchvision_ops()
    importlib.import_module(library)
    return importlib.import_module(f"{library}_cases").CASES


@functools.cache
def _declare_torchvision_ops():
    """Lets torchvision be imported where its own library cannot be: with PyTorch for CPUs alone."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library  # else they are gone
