"""Count people into a CSV file: `python count_people.py SOURCE FILE.csv`. A row for each change: when, and how many.

With `-` in place of FILE.csv it prints lines of JSON instead, with the boxes.
"""

from __future__ import annotations

import csv
import json
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from collab_sdk import Client
from collab_sdk.camera import Camera

SURE = 0.5


def main(source: str, path: str) -> None:
    before = None
    with Camera(source) as camera, Client(channels="bgr") as client:
        for result in client.stream(camera, latest=camera.is_live, model="nanodet_g", stream="people"):
            now = datetime.now().astimezone().isoformat(timespec="milliseconds")
            people = [each for each in result.detections if each.class_name == "person" and each.confidence >= SURE]
            if path == "-":
                print(json.dumps({"at": now, "people": [each.xyxy for each in people]}), flush=True)
            elif len(people) != before:
                with Path(path).open("a", newline="") as file:
                    csv.writer(file).writerow([now, len(people)])
            before = len(people)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
