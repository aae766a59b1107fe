"""`python -m collabd.cloud.health`: whether the companion of this machine is ready, as containers ask.

Exit status 0: it is. 1: it is not, and standard error says why. It asks over loopback, and takes any certificate there.
"""

from __future__ import annotations

import http.client
import ssl
import sys

from collabd.cloud.__main__ import DEFAULT_CONFIG
from collabd.config import CloudConfig, CloudServerSettings, ConfigError, Source

_TIMEOUT_S = 5.0


def why_not(server: CloudServerSettings) -> str:
    """Why the companion with these settings is not ready; empty: it is."""
    connection = _connection(server)
    try:
        connection.connect()
        if server.client_ca:
            # It asks for a certificate now, and this check has none to show. It is awake.
            return ""
        connection.request("GET", "/v2/health/ready")
        status = connection.getresponse().status
    except OSError as error:
        return str(error)
    finally:
        connection.close()
    return "" if status == http.HTTPStatus.OK else f"it is still loading its models (status {status})"


def _connection(server: CloudServerSettings) -> http.client.HTTPConnection:
    host = "127.0.0.1" if server.host in {"0.0.0.0", "::"} else server.host  # noqa: S104  only compared
    if not server.tls_cert:
        return http.client.HTTPConnection(host, server.port, timeout=_TIMEOUT_S)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(host, server.port, timeout=_TIMEOUT_S, context=context)


def main() -> int:
    """The exit status."""
    try:
        reason = why_not(Source(CloudConfig, None, DEFAULT_CONFIG).load().config.server)
    except ConfigError as error:
        reason = str(error)
    if reason:
        sys.stderr.write(f"collab-cloudd: {reason}\n")
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(main())
