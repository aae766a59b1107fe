"""Runs in the box: one call for a random image, and what comes of it as JSON.

`regions`: how many regions of shared memory the daemon then holds for this user.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from collab_sdk import Client, CollabError, UnixTransport
from collab_sdk.transport import DaemonRequest


def main(model: str, side: int, timeout_s: float) -> None:
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    try:
        client = Client(timeout_s=timeout_s)
        result = client.infer(image, "100%", model=model)
        reply = UnixTransport().send(DaemonRequest("GET", "/v2/systemsharedmemory/status"), timeout_s=timeout_s)
        regions = len(json.loads(reply.body))
        print(json.dumps({"scores": result.scores.tolist(), "ran": result.ran, "regions": regions}))
    except CollabError as error:
        print(json.dumps({"error": error.code, "message": str(error)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
