"""Runs in the box: one call for a random image, what comes of it as JSON."""

from __future__ import annotations

import json
import sys

import numpy as np

from collab_sdk import Client, CollabError


def main(model: str, side: int, timeout_s: float) -> None:
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    try:
        result = Client(timeout_s=timeout_s).infer(image, model=model)
        print(json.dumps({"scores": result.scores.tolist(), "ran": result.ran}))
    except CollabError as error:
        print(json.dumps({"error": error.code, "message": str(error)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
