"""Which rules hit which layers of a model, for people to read."""

from tensorquant.maps.explain import Explanation, LayerExplanation, explain


def explain_model(override, names, has_input, later=()):
    """The Explanation of a model.

    Args:
        override: A tensorquant.Override.
        names: Of its layers.
        has_input: Whether the name `input` stands for the model's input, in the extrinsic map.
        later: Messages of rules that only a call of the model shows to do nothing.
    """
    found = explain(override, names)
    if has_input and "input" not in names:
        found = _with_input(override, names, found)
    return found._replace(idle=[idle for idle in found.idle if idle.message not in later])


def _with_input(override, names, found):
    seen = explain(override, ["input", *names])
    row = LayerExplanation("input", None, seen.layers[0].extrinsic, None)
    before = [idle for idle in found.idle if idle.kind == "weights"]
    behind = [idle for idle in found.idle if idle.kind not in ("weights", "extrinsic")]
    extrinsic = [idle for idle in seen.idle if idle.kind == "extrinsic"]
    return Explanation([row, *found.layers], [*before, *extrinsic, *behind])
