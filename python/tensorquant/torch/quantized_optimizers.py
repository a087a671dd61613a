"""Which optimizers have quantizers, for the models that they step: an optimizer knows its model, not
the other way round."""

import weakref

from tensorquant.torch.twin import attached

_plans = weakref.WeakSet()  # the OptimizerPlans of optimizers that are there


def add(plan):
    """Notes an OptimizerPlan that is attached."""
    _plans.add(plan)


def remove(plan):
    """Forgets one that is no longer attached."""
    _plans.discard(plan)


def exists_for(model_plan):
    """Whether some optimizer quantizes the gradients of a model, which has this ModelPlan."""
    return any(_model_plan_of(plan) is model_plan for plan in list(_plans))


def of_parts(model):
    """The OptimizerPlans of a module and of what it holds."""
    parts = set(model.modules())
    return [plan for plan in list(_plans) if plan.model in parts]


def _model_plan_of(plan):
    its = attached(plan.model)
    return None if its is None else its.model
