"""Write files so that nobody sees them half written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

# The names of unfinished files begin with this. A process that dies while it writes leaves one.
UNFINISHED = ".new-"


def replace_file(target: Path, content: bytes, *, mode: int = 0o600, owner: int | None = None) -> None:
    """Replace the file `target` by one with this `content`. Raises `OSError`.

    A reader finds the old file or the new one. The new one never has more rights than `mode` says. `owner` is a uid;
    None stands for the user of this process.
    """
    descriptor, scratch = tempfile.mkstemp(dir=target.parent, prefix=UNFINISHED)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(descriptor, mode)
            if owner is not None:
                os.fchown(descriptor, owner, -1)
            file.flush()
            os.fsync(descriptor)
        Path(scratch).replace(target)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
