"""Collaborative CNN inference for the Raspberry Pi: the two daemons and their command line."""

import os

from collab_sdk import __version__ as __version__

# ONNX Runtime's official builds (1.32, on Linux too) send trace events and a device identifier to their maker unless
# this is set before they are imported. What runs on a device is its owner's business.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
