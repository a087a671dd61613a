"""Rules that do nothing, for all that they hit is parameters that belong to no layer."""

from tensorquant.maps.explain import IdleRule

_REASONS = {
    "weights": "for which it has no quantizer",
    "extrinsic": "which have no outputs",
    "intrinsic": "which have no arithmetic",
    "gradients": "for which it has no quantizer",
}


def idle_on_parameters(explanation, places, operations):
    """An IdleRule for each of them.

    Args:
        explanation: What the maps say about the names of the places.
        places: The FoundPlaces of a model.
        operations: The OperationRules: what may yet hit an operation is not idle.
    """
    parameters = {name: place for place in places if place.is_parameter for name in place.names}
    if not parameters:
        return []
    acting, others = set(), {}
    for row in explanation.layers:
        for kind in _REASONS:
            rule = getattr(row, kind)
            if rule is None or rule.text == "null":
                continue
            if row.layer not in parameters or _acts(kind, rule, parameters[row.layer]):
                acting.add((kind, rule.origin))
            else:
                others[kind, rule.origin] = rule
    return [
        _idle(kind, rule)
        for (kind, origin), rule in others.items()
        if (kind, origin) not in acting and not operations.may_hit(kind, rule.key)
    ]


def _acts(kind, rule, place):
    """Whether a rule of a map does something to a parameter."""
    is_bias = place.parameters[0].is_bias
    if kind == "weights":
        return (rule.bias if is_bias else rule.weight) is not None
    if kind == "gradients":
        return (rule.bias_gradient if is_bias else rule.weight_gradient) is not None
    return False


def _idle(kind, rule):
    reason = f"hits only parameters that belong to no layer, {_REASONS[kind]}"
    return IdleRule(kind, rule, None, "", f"{rule.origin}: {kind} key '{rule.key}' {reason}")
