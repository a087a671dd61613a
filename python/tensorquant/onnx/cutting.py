"""How a model is cut into pieces."""

import dataclasses
from typing import NamedTuple

import onnx

from tensorquant._core import Error
from tensorquant.onnx.graph import nodes_of, places_around, reads_of, subgraphs_of, title_of
from tensorquant.onnx.pieces import Pieces, Step, in_session
from tensorquant.onnx.session import KINDS, NUMPY_TYPES, model_like, runtime_errors, value_info

# Operators that several threads are for. Each piece has threads of its own.
_LARGE = {
    *("Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum", "LSTM", "GRU", "RNN", "Attention", "If"),
    *("Loop", "Scan", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "Resize"),
    *("LinearAttention", "CausalConvWithState"),
}
# Operators that ONNX Runtime computes only where it knows shapes before it runs.
_SHAPED = {"Scan", "LinearAttention", "CausalConvWithState"}


@dataclasses.dataclass
class Changes:
    """What is other than in the file. Nodes go by their places: see tensorquant.onnx.graph.

    Attributes:
        inputs: New names of nodes' inputs, by the pair of a node and the input's place.
        constants: Arrays of such names.
        computed: Functions for nodes that ONNX Runtime does not compute. They take the Run and the
            arrays of the node's inputs, None for one that is left out, and give the array of its
            output.
        more_inputs: By such nodes the names of further inputs of the functions.
        merged: By such a node another one that is computed with it, whose output it is then.
        cuts: By nodes the names of values that are looked at as soon as they are there.
        branching: If nodes that are cut as well. So are those around nodes that are computed or
            make what is looked at.
    """

    inputs: dict = dataclasses.field(default_factory=dict)
    constants: dict = dataclasses.field(default_factory=dict)
    computed: dict = dataclasses.field(default_factory=dict)
    more_inputs: dict = dataclasses.field(default_factory=dict)
    merged: dict = dataclasses.field(default_factory=dict)
    cuts: dict = dataclasses.field(default_factory=dict)
    branching: set = dataclasses.field(default_factory=set)


def cuts_of(nodes, names):
    """What Changes has as `cuts` for values of a model's nodes."""
    own = {place: [name for name in node.output if name in names] for place, node in nodes.items()}
    return {place: found for place, found in own.items() if found}


def cut(flat, changes, make_session, source):
    """The Pieces of a model.

    Args:
        flat: The model as _core.OnnxFile has it, a ModelProto.
        changes: The Changes.
        make_session: Makes an InferenceSession of a ModelProto.
        source: What errors call the model.

    Raises:
        tensorquant.Error: ONNX Runtime refuses a piece, or a value between two of them is of a type
            that NumPy has not.
    """
    graph = onnx.GraphProto(node=flat.graph.node, output=flat.graph.output)
    nodes = nodes_of(graph)
    for (place, i), name in changes.inputs.items():
        nodes[place].input[i] = name
    return _Cutter(flat, changes, make_session, source).pieces(graph, (), flat.graph.input)


class _Value(NamedTuple):
    """What ONNX Runtime knows of a value before it runs.

    Attributes:
        kind: NumPy's name of its type; ONNX Runtime's where NumPy has no such type.
        shape: A number, a name or None for each axis; None where it was not asked for, or is not
            known.
    """

    kind: str
    shape: tuple | None


class _Cutter:
    """Cuts graphs of a model. The arguments are those of cut()."""

    def __init__(self, flat, changes, make_session, source):
        self._flat = flat
        self._changes = changes
        self._make_session = make_session
        self._source = source
        self._initializers = {tensor.name: tensor for tensor in flat.graph.initializer}
        inside = (place for own in (changes.cuts, changes.computed) for place in own)
        self._branching = changes.branching.union(*map(places_around, inside))

    def pieces(self, graph, around, inputs):
        """The Pieces of a graph.

        Args:
            graph: A GraphProto.
            around: What the places of its nodes begin with.
            inputs: ValueInfoProtos of what it reads that is neither its own nor a constant.
        """
        nodes = {(*around, i): node for i, node in enumerate(graph.node)}
        outputs = [port.name for port in graph.output]
        steps = self._steps(nodes, outputs)
        values = self._values(graph, inputs, steps, nodes)
        for step in steps:
            place = step.nodes[0]
            node = nodes[place]
            if place in self._changes.computed:
                step.run = _of_one(self._changes.computed[place])
                step.inputs = [*node.input, *self._changes.more_inputs.get(place, ())]
            elif place in self._branching:
                step.run = self._of_branches(place, node, step, values)
                step.inputs = [node.input[0], *step.inputs]
            else:
                step.run = self._in_session([nodes[i] for i in step.nodes], step, values)
        read = {name for step in steps for name in step.inputs}
        return Pieces(steps, outputs, self._arrays(read.union(outputs)))

    def _is_apart(self, place):
        return place in self._changes.computed or place in self._branching

    def _is_constant(self, name):
        return name in self._initializers or name in self._changes.constants

    def _steps(self, nodes, outputs):
        """The Steps, but for what they run. Nodes that nobody needs are in none."""
        steps, wanted = [], set(outputs)
        for group in reversed(self._groups(nodes, outputs)):
            made = [name for place in group for name in nodes[place].output if name]
            read = {name for place in group for name in reads_of(nodes[place])}
            looked_at = [name for place in group for name in self._changes.cuts.get(place, ())]
            given = [name for name in made if name in wanted or name in looked_at]
            taken = sorted(name for name in read.difference(made) if not self._is_constant(name))
            steps.insert(0, Step(group, taken, given, looked_at))
            wanted |= read
        return steps

    def _groups(self, nodes, outputs):
        """The places of the nodes of each step."""
        merged, cuts = self._changes.merged, self._changes.cuts
        needed, live = set(outputs), []
        first_of = {last: first for first, last in merged.items()}
        for place, node in reversed(nodes.items()):
            if place in cuts or place in self._branching or needed.intersection(node.output):
                live.insert(0, place)
                first = first_of.get(place)
                needed.update(reads_of(node) if first is None else nodes[first].output)
        groups, group = [], []
        for place in live:
            if place in first_of:
                continue
            if self._is_apart(place) and group:
                groups.append(group)
                group = []
            group.append(place)
            if place in merged:
                group.append(merged[place])
            if self._is_apart(place) or place in cuts:
                groups.append(group)
                group = []
        return [*groups, group] if group else groups

    def _in_session(self, nodes, step, values):
        inputs, outputs = (
            [self._info(name, values) for name in names] for names in (step.inputs, step.outputs)
        )
        tensors = self._tensors({name for node in nodes for name in reads_of(node)})
        model = model_like(self._flat, nodes, inputs, outputs, tensors)
        is_large = any(node.op_type in _LARGE for node in nodes)
        session = self._make_session(model) if is_large else self._make_session(model, threads=1)
        return in_session(session, step, self._source)

    def _of_branches(self, place, node, step, values):
        """Runs one of an If's branches. Its condition comes before the Step's inputs."""
        names = step.inputs
        inputs = [self._info(name, values) for name in names]
        branches = {}
        for number, (branch, graph) in enumerate(subgraphs_of(node).items()):
            given = [port.name for port in graph.output]
            pieces = self.pieces(graph, (*place, number), inputs)
            branches[branch] = pieces, dict(zip(node.output, given))

        def run(run, condition, *arrays):
            if condition.size != 1:
                text = "its condition is not one truth value"
                raise Error(f"{self._source}: node {title_of(node)}: {text}")
            pieces, given = branches["then_branch" if condition.item() else "else_branch"]
            found = pieces.run(dict(zip(names, arrays)), run)
            if run.scales is not None:
                for name in step.outputs:
                    run.scales.pass_on(given[name], name)
            return [found[given[name]] for name in step.outputs]

        return run

    def _info(self, name, values):
        kind, shape = values[name]
        if kind not in KINDS:
            raise Error(f"{self._source}: '{name}' is of type {kind}, which NumPy has not")
        return value_info(name, kind, shape)

    def _values(self, graph, inputs, steps, nodes):
        """The _Values between the steps, by name."""
        names, shaped = set(), set()
        for step in steps:
            names.update(step.inputs, step.outputs)
            if any(_wants_shapes(nodes[place]) for place in step.nodes):
                shaped.update(step.inputs)
        ports = self._ports(graph, graph.node, inputs, names)
        kinds = {name: NUMPY_TYPES.get(port.type, port.type) for name, port in ports.items()}
        # ONNX Runtime tells the same of no axes and of axes that it does not know.
        unclear = {name for name in shaped if not ports[name].shape}
        arrays = {name for name in unclear if kinds[name] in NUMPY_TYPES.values()}
        shaped -= unclear - self._scalars(graph, inputs, arrays)
        return {
            name: _Value(kinds[name], tuple(ports[name].shape) if name in shaped else None)
            for name in names
        }

    def _scalars(self, graph, inputs, names):
        """Those of the names of arrays that have no axes."""
        if not names:
            return set()
        asked = {f"{name}@shape": name for name in names}
        nodes = [onnx.helper.make_node("Shape", [name], [shape]) for shape, name in asked.items()]
        ports = self._ports(graph, [*graph.node, *nodes], inputs, set(asked))
        return {name for shape, name in asked.items() if ports[shape].shape == [0]}

    def _ports(self, graph, nodes, inputs, names):
        """What ONNX Runtime knows of values by these names, and of what the graph reads and gives."""
        told = {port.name for port in (*inputs, *graph.output)}
        more = [onnx.ValueInfoProto(name=name) for name in sorted(names - told)]
        outputs = [*graph.output, *more]
        read = {name for node in nodes for name in reads_of(node)}
        tensors = self._tensors(read.union(port.name for port in outputs))
        session = self._make_session(model_like(self._flat, nodes, inputs, outputs, tensors))
        return {port.name: port for port in (*session.get_inputs(), *session.get_outputs())}

    def _tensors(self, names):
        """TensorProtos of those of the names that are constants."""
        constants = self._changes.constants
        return [
            onnx.numpy_helper.from_array(constants[name], name)
            if name in constants
            else self._initializers[name]
            for name in sorted(names)
            if self._is_constant(name)
        ]

    def _arrays(self, names):
        """Arrays of those of the names that are constants."""
        with runtime_errors(self._source):
            own = {
                name: onnx.numpy_helper.to_array(self._initializers[name])
                for name in names
                if name in self._initializers
            }
        given = self._changes.constants
        return own | {name: given[name] for name in names if name in given}


def _wants_shapes(node):
    inner = [one for graph in subgraphs_of(node).values() for one in graph.node]
    return node.op_type in _SHAPED or any(map(_wants_shapes, inner))


def _of_one(function):
    def run(its_run, *arrays):
        return (function(its_run, *arrays),)

    return run
