"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

# Files that begin so are not finished; who dies in the middle leaves one.
UNFINISHED = ".new-"


def replace_file(target: Path, content: bytes, mode: int = 0o600, owner: int | None = None) -> None:
    """Put `content` at `target` in one go; who looks finds the old or the new, and at no time a more open mode.

    `owner`: a uid; None: whoever does it. Raises `OSError`.
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
