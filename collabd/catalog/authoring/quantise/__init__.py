"""From a network in float32 to one that computes with 8-bit integers: which tensors, with which scales, at what loss.

`quantize_static` of ONNX Runtime is not used: it reads and writes files, names tensors anew and depends on its version.
Here every tensor of the network keeps its name, so a part of either graph fits a part of the other at any cut.
"""
