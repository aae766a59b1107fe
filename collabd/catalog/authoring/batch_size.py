"""The size of the batch, read where it is used.

Exporters read it once, from the image. It would then be alive at every cut up to its last use, and it cannot be joined
as features are, since it has no entry for each image.
"""

from __future__ import annotations

import onnx

from collabd.partition import Graph, TensorInfo, annotate


def localise(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with the size of the batch read anew before each use, from the nearest tensor whose first axis it is.

    PartitionError if the shapes of the graph cannot be inferred.
    """
    inputs = {value.name for value in model.graph.input}
    if not any(_reads_batch(node, inputs) for node in model.graph.node):
        return model
    annotated = annotate(model)
    nodes = _Localised(annotated).nodes
    del annotated.graph.node[:], annotated.graph.value_info[:]
    annotated.graph.node.extend(nodes)
    return annotated


def _reads_batch(node: onnx.NodeProto, inputs: set[str]) -> bool:
    sides = {attribute.name: attribute.i for attribute in node.attribute}
    return node.op_type == "Shape" and node.input[0] in inputs and (sides.get("start", 0), sides.get("end")) == (0, 1)


class _Localised:
    """`nodes`: those of a graph. What follows from the size of the batch alone is computed anew for each use."""

    def __init__(self, model: onnx.ModelProto) -> None:
        weights = [weight.name for weight in model.graph.initializer]
        inputs = [value.name for value in model.graph.input if value.name not in weights]
        outputs = [value.name for value in model.graph.output]
        self._constants = Graph(model.graph.node, inputs=inputs, outputs=outputs, weights=weights).constants
        values = (*model.graph.input, *model.graph.value_info)
        self._stacks = {value.name for value in values if TensorInfo.of(value).stacks}
        self._sizes: dict[str, onnx.NodeProto] = {}
        self._known: set[str] = set()
        self._nearest = inputs[0]
        self.nodes: list[onnx.NodeProto] = []
        for node in model.graph.node:
            if self._is_size(node, {*inputs}) and not {*node.output} & {*outputs}:
                self._sizes |= dict.fromkeys(node.output, node)
            else:
                self._use(node)

    def _is_size(self, node: onnx.NodeProto, inputs: set[str]) -> bool:
        known = self._sizes.keys() | self._constants
        return _reads_batch(node, inputs) or (
            not self._sizes.keys().isdisjoint(node.input) and known >= {*filter(None, node.input)}
        )

    def _use(self, node: onnx.NodeProto) -> None:
        for place, name in enumerate(node.input):
            if name in self._sizes:
                node.input[place] = self._again(name)
        self.nodes.append(node)
        self._nearest = next((name for name in node.output if name in self._stacks), self._nearest)

    def _again(self, name: str) -> str:
        """The name of the value that was called `name`, computed anew from the nearest tensor."""
        made = f"{name}:{self._nearest}"
        if made not in self._known:
            self._known.add(made)
            copy = onnx.NodeProto()
            copy.CopyFrom(self._sizes[name])
            copy.name = made
            for place, read in enumerate(copy.input):
                copy.input[place] = self._again(read) if read in self._sizes else read
            if copy.op_type == "Shape":
                copy.input[0] = self._nearest
            copy.output[:] = [made]
            self.nodes.append(copy)
        return made
