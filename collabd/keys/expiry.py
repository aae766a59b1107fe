"""`python -m collabd.keys.expiry FILE...`: when certificates expire, as JSON: seconds since 1970, by file.

Of several certificates in a file the first to expire counts. Files that hold none are left out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography import x509


def expiries(paths: Sequence[str]) -> Iterator[tuple[str, float]]:
    """The files that hold certificates, and when the first of these expires."""
    for path in paths:
        try:
            certificates = x509.load_pem_x509_certificates(Path(path).read_bytes())
        except (OSError, ValueError):
            continue
        yield path, min(each.not_valid_after_utc for each in certificates).timestamp()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(dict(expiries(sys.argv[1:]))))
