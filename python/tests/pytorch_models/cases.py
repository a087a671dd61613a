"""The models of all libraries that are installed."""

import functools
import importlib

import pytest
import torch

LIBRARIES = ("torchvision", "timm", "transformers", "diffusers")
LACKS = "{} is not installed, which scripts/setup.sh models does"


def make(name):
    """A model in training whose parameters lie on no grid, and its inputs by name."""
    source, name = name.split(" ")
    model, inputs = _cases(source)[name]
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


def library(name):
    """A library; the test is skipped where it is not installed."""
    missing = _missing(name)
    return importlib.import_module(name) if missing is None else pytest.skip(LACKS.format(missing))


def _parameters():
    for library in LIBRARIES:
        missing = _missing(library)
        if missing is None:
            yield from (f"{library} {name}" for name in _cases(library))
        else:
            skip = pytest.mark.skip(reason=LACKS.format(missing))
            yield pytest.param(f"{library} -", marks=skip)


def _cases(library):
    return importlib.import_module(f"{library}_cases").CASES


def _missing(name):
    """Which library is not installed, that of this name or one that it needs; or None."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in (name, *LIBRARIES):
            raise
        return missing
    return None


@functools.cache
def declare_torchvision_ops():
    """Lets torchvision be imported where its own library cannot be: with PyTorch for CPUs alone."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library  # else they are gone
