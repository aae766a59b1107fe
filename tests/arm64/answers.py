"""`answers.py SOCKET <calls`: make the calls, each a line of JSON, and print each answer as one.

It runs on either side of the emulation, with nothing but the SDK.
"""

from __future__ import annotations

import json
import sys

from collab_sdk import Client


def main() -> None:
    """Until the last line; a call that fails ends it."""
    with Client(sys.argv[1], timeout_s=600) as client:
        for line in sys.stdin:
            result = client.infer(**json.loads(line), fallback="fail")
            answer = {"label": result.label, "scores": result.scores.tolist()}
            print(json.dumps(answer | {"ran": result.ran, "cloud": result.plan.cloud}), flush=True)


if __name__ == "__main__":
    main()
