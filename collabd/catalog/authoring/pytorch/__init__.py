"""PyTorch modules become ONNX graphs. Needs the extra `author`."""
