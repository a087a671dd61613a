"""Runs of a model that leave it as it was."""

import contextlib

import torch

from tensorquant.torch.twin import attach, attached, detach


@contextlib.contextmanager
def in_inference(model):
    """A context in which a model is in inference and nothing is kept for gradients."""
    training = [module for module in model.modules() if module.training]
    try:
        model.eval()
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


@contextlib.contextmanager
def without_quantizers(model):
    """A context in which a model is float; afterwards its modules have what they had."""
    before = [(module, attached(module)) for module in model.modules()]
    try:
        for module, _ in before:
            detach(module)
        yield
    finally:
        put_back(before)


def put_back(plans):
    """Attaches to modules what they had.

    Args:
        plans: Pairs of a module and its ModulePlan or None.
    """
    for module, plan in plans:
        detach(module)
        if plan is not None:
            attach(module, plan)
