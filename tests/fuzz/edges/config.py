"""Configuration files of both daemons."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

from collabd.config import CloudConfig, ConfigError, DeviceConfig, Source, model_roots
from collabd.device.companions.credentials import problems
from tests.fuzz.scratch import new_directory

ETC = Path(__file__).parents[3] / "etc"
DAEMONS = (
    # The companion's own check of its keys would look up the address of any name in them.
    ("collabd.toml", lambda path: Source(DeviceConfig, path, path, problems=problems).load()),
    ("collab-cloudd.toml", lambda path: Source(CloudConfig, path, path).load()),
)
WORDS = tuple(
    f"{word}"
    for kind in (DeviceConfig, CloudConfig)
    for section in msgspec.structs.fields(kind)
    for word in (f"[{section.name}]", *(getattr(section.type, "__struct_fields__", ())))
)


@cache
def _file() -> Path:
    return new_directory("config") / "collabd.toml"


def check(data: bytes) -> None:
    """`ConfigError` that names its problems, or a configuration that says where each value is from."""
    path = _file()
    path.write_bytes(data)
    for name, load in DAEMONS:
        try:
            loaded = load(path)
        except ConfigError as error:
            assert len(error.problems) > 0  # noqa: PT017  it is the other half of the promise
            continue
        assert model_roots(loaded.config, name)
        assert {setting["origin"] for setting in loaded.report().values()} <= {str(path), "default"}


def seeds() -> list[bytes]:
    """The installed files, as they are and with every default uncommented."""
    texts = [(ETC / name).read_text() for name, _ in DAEMONS]
    bare = ["\n".join(line for line in text.splitlines() if not line.startswith("# ")) for text in texts]
    return [text.encode() for text in (*bare, *(text.replace("\n#", "\n") for text in bare))]
