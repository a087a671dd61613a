"""A model in pieces: what ONNX Runtime computes in one go, and what is computed between."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import onnx

from tensorquant._core import Error
from tensorquant.onnx.session import NUMPY_TYPES, model_like, runtime_errors, value_info

# Operators that several threads are for. Each piece has threads of its own.
_LARGE = {
    *("Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum", "LSTM", "GRU", "RNN", "Attention", "If"),
    *("Loop", "Scan", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "Resize"),
}


@dataclasses.dataclass
class Changes:
    """What is other than in the file. Nodes go by their places in it.

    Attributes:
        inputs: New names of nodes' inputs, by the pair of a node and the input's place.
        constants: Arrays of such names.
        computed: Functions for nodes that ONNX Runtime does not compute. They take the Run and the
            arrays of the node's inputs, None for one that is left out, and give the array of its
            output.
        more_inputs: By such nodes the names of further inputs of the functions.
        merged: By such a node another one that is computed with it, whose output it is then.
        cuts: By nodes the names of values that are looked at as soon as they are there.
    """

    inputs: dict = dataclasses.field(default_factory=dict)
    constants: dict = dataclasses.field(default_factory=dict)
    computed: dict = dataclasses.field(default_factory=dict)
    more_inputs: dict = dataclasses.field(default_factory=dict)
    merged: dict = dataclasses.field(default_factory=dict)
    cuts: dict = dataclasses.field(default_factory=dict)


class Run(NamedTuple):
    """What functions of computed nodes are given.

    Attributes:
        step: Of random rounding.
        scales: The RunScales; None where nobody wants them.
    """

    step: int
    scales: Any = None


@dataclasses.dataclass
class _Step:
    """Makes values of values."""

    nodes: list  # their places
    inputs: list
    outputs: list
    looked_at: list
    run: Callable | None = None  # of the Run and the inputs' arrays; gives the outputs'
    dead: list = dataclasses.field(default_factory=list)  # values that nobody reads behind it


class Pieces:
    """A model in pieces.

    Args:
        flat: The model as _core.OnnxFile has it, a ModelProto.
        outputs: The names of its outputs.
        changes: The Changes.
        make_session: Makes an InferenceSession of a ModelProto.
        source: What errors call the model.

    Raises:
        tensorquant.Error: ONNX Runtime refuses a piece, or a value between two of them is of a type
            that NumPy has not.
    """

    def __init__(self, flat, outputs, changes, make_session, source):
        self._outputs = outputs
        self._source = source
        self._initializers = {tensor.name: tensor for tensor in flat.graph.initializer}
        self._changes = changes
        nodes = [_changed(node, i, changes.inputs) for i, node in enumerate(flat.graph.node)]
        self._steps = _steps(nodes, {port.name for port in flat.graph.input}, outputs, changes)
        crossing = {name for step in self._steps for name in (*step.inputs, *step.outputs)}
        kinds = _types_of(flat, crossing, make_session)
        self._constants = self._arrays(outputs)
        for step in self._steps:
            place = step.nodes[0]
            if place in changes.computed:
                step.run = _of_one(changes.computed[place])
                step.inputs = [*nodes[place].input, *changes.more_inputs.get(place, ())]
                self._constants |= self._arrays(step.inputs)
            else:
                own = [nodes[i] for i in step.nodes]
                model = self._model_of(flat, own, step, kinds)
                is_large = any(node.op_type in _LARGE for node in own)
                session = make_session(model) if is_large else make_session(model, threads=1)
                step.run = _runner(session, step, source)
        _find_dead(self._steps, {*outputs, *self._constants})

    @classmethod
    def of_session(cls, session, source):
        """The whole model in one piece."""
        pieces = cls.__new__(cls)
        pieces._outputs = [port.name for port in session.get_outputs()]
        pieces._constants = {}
        step = _Step([], [port.name for port in session.get_inputs()], pieces._outputs, [])
        step.run = _runner(session, step, source)
        pieces._steps = [step]
        return pieces

    def run(self, values, run, look=None):
        """The outputs, by name.

        Args:
            values: Arrays of the model's inputs, by name.
            run: The Run.
            look: Called with the name and array of each value that is looked at; gives what stands
                in its place.
        """
        values = {**self._constants, **values}
        for step in self._steps:
            results = step.run(run, *(values[name] if name else None for name in step.inputs))
            values.update(zip(step.outputs, results))
            for name in step.looked_at:
                values[name] = look(name, values[name])
            for name in step.dead:
                del values[name]
        return {name: values[name] for name in self._outputs}

    def _model_of(self, flat, nodes, step, kinds):
        for name in (*step.inputs, *step.outputs):
            if kinds[name] not in NUMPY_TYPES.values():
                kind = kinds[name]
                raise Error(f"{self._source}: '{name}' is of type {kind}, which NumPy has not")
        inputs, outputs = (
            [value_info(name, kinds[name]) for name in names]
            for names in (step.inputs, step.outputs)
        )
        read = sorted({name for node in nodes for name in reads_of(node)})
        tensors = [
            onnx.numpy_helper.from_array(self._changes.constants[name], name)
            if name in self._changes.constants
            else self._initializers[name]
            for name in read
            if name in self._changes.constants or name in self._initializers
        ]
        return model_like(flat, nodes, inputs, outputs, tensors)

    def _arrays(self, names):
        """Those of the names that are constants."""
        with runtime_errors(self._source):
            own = {
                name: onnx.numpy_helper.to_array(self._initializers[name])
                for name in names
                if name in self._initializers
            }
        given = self._changes.constants
        return own | {name: given[name] for name in names if name in given}


def _steps(nodes, inputs, outputs, changes):
    """The _Steps, but for what they run. Nodes that nobody needs are in none."""
    groups = _groups(nodes, outputs, changes)
    made = [[name for i in group for name in nodes[i].output if name] for group in groups]
    reads = [{name for i in group for name in reads_of(nodes[i])} for group in groups]
    makers = inputs.union(*made)
    steps, wanted = [], set(outputs)
    for group, own, read in reversed(list(zip(groups, made, reads))):
        looked_at = [name for i in group for name in changes.cuts.get(i, ())]
        given = [name for name in own if name in wanted or name in looked_at]
        taken = sorted((read & makers).difference(own))
        steps.insert(0, _Step(group, taken, given, looked_at))
        wanted |= read
    return steps


def _groups(nodes, outputs, changes):
    """The places of the nodes of each step."""
    needed, live = set(outputs), []
    first_of = {last: first for first, last in changes.merged.items()}
    for i in reversed(range(len(nodes))):
        if i in changes.cuts or needed.intersection(nodes[i].output):
            live.insert(0, i)
            needed.update(nodes[first_of[i]].output if i in first_of else reads_of(nodes[i]))
    groups, group = [], []
    for i in live:
        if i in first_of:
            continue
        is_apart = i in changes.computed
        if is_apart and group:
            groups.append(group)
            group = []
        group.append(i)
        if i in changes.merged:
            group.append(changes.merged[i])
        if is_apart or i in changes.cuts:
            groups.append(group)
            group = []
    return [*groups, group] if group else groups


def _find_dead(steps, kept):
    read = set(kept)
    for step in reversed(steps):
        names = dict.fromkeys((*step.inputs, *step.outputs))
        step.dead = [name for name in names if name and name not in read]
        read.update(names)


def cuts_of(flat, names):
    """What Changes has as `cuts` for values of a model, a ModelProto."""
    own = [[name for name in node.output if name in names] for node in flat.graph.node]
    return {place: found for place, found in enumerate(own) if found}


def reads_of(node):
    """The names of all values that a node reads, those of its subgraphs included."""
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            graph = attribute.g
            inner = {name for one in graph.node for name in one.output}
            inner |= {port.name for port in graph.input}
            read = [name for one in graph.node for name in reads_of(one)]
            read += [port.name for port in graph.output]
            names += [name for name in read if name not in inner]
    return list(dict.fromkeys(names))


def constant_values(flat, names, opaque, make_session):
    """Arrays of values that depend on constants alone, by name.

    Args:
        flat: The model, a ModelProto.
        names: Of the values.
        opaque: OpaqueQuantizers by the places of nodes that stand for them.
        make_session: Makes an InferenceSession of a ModelProto.

    Raises:
        tensorquant.Error: One of them stands on the way.
    """
    initializers = {tensor.name: tensor for tensor in flat.graph.initializer}
    found = {
        name: onnx.numpy_helper.to_array(initializers[name])
        for name in names
        if name in initializers
    }
    rest = [name for name in dict.fromkeys(names) if name not in initializers]
    if not rest:
        return found
    needed, nodes = set(rest), []
    for place, node in reversed([*enumerate(flat.graph.node)]):
        if needed.intersection(node.output):
            if place in opaque:
                opaque[place].refuse_constants()
            nodes.insert(0, node)
            needed.update(reads_of(node))
    outputs = [onnx.ValueInfoProto(name=name) for name in rest]
    tensors = [tensor for name, tensor in initializers.items() if name in needed]
    session = make_session(model_like(flat, nodes, [], outputs, tensors))
    with runtime_errors("the model's constants"):
        return found | dict(zip(rest, session.run(rest, {})))


def _changed(node, place, inputs):
    new = {i: name for (its, i), name in inputs.items() if its == place}
    if not new:
        return node
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for i, name in new.items():
        copy.input[i] = name
    return copy


def _types_of(flat, names, make_session):
    """The types of values, as NumPy calls them, or ONNX Runtime where NumPy has no such type."""
    ports = {port.name for port in (*flat.graph.input, *flat.graph.output)}
    probe = onnx.ModelProto()
    probe.CopyFrom(flat)
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(names - ports))
    session = make_session(probe)
    found = (*session.get_inputs(), *session.get_outputs())
    return {port.name: NUMPY_TYPES.get(port.type, port.type) for port in found}


def _of_one(function):
    def run(its_run, *arrays):
        return (function(its_run, *arrays),)

    return run


def _runner(session, step, source):
    def run(_, *arrays):
        with runtime_errors(source):
            return session.run(step.outputs, dict(zip(step.inputs, arrays)))

    return run
