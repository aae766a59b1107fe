"""Model packages: build them from PyTorch or ONNX, check, read, store and send them."""
