"""The nodes of an ONNX model, by their places.

A place is a tuple of numbers: that of the node in its graph; of one in a subgraph the place of the
node around it, the number of the subgraph among that node's, and its own in the subgraph.
"""

import onnx

from tensorquant.onnx.session import model_like, runtime_errors


def subgraphs_of(node):
    """The GraphProtos in a node, by the attributes' names."""
    kind = onnx.AttributeProto.GRAPH
    return {attribute.name: attribute.g for attribute in node.attribute if attribute.type == kind}


def nodes_of(graph, around=()):
    """The NodeProtos of a GraphProto by their places, those of subgraphs behind the node around."""
    found = {}
    for i, node in enumerate(graph.node):
        place = (*around, i)
        found[place] = node
        for number, subgraph in enumerate(subgraphs_of(node).values()):
            found |= nodes_of(subgraph, (*place, number))
    return found


def places_around(place):
    """Those of the nodes that a node lies in, the outermost first."""
    return [place[:length] for length in range(1, len(place), 2)]


def is_if(node):
    return (node.domain, node.op_type) == ("", "If")


def title_of(node):
    """What errors call a node."""
    return f"'{node.name or node.output[0]}' ({node.op_type})"


def reads_of(node):
    """The names of all values that a node reads, those of its subgraphs included."""
    names = [name for name in node.input if name]
    for graph in subgraphs_of(node).values():
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
    for place, node in reversed(nodes_of(flat.graph).items()):
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
