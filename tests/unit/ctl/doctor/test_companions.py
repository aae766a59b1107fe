"""How far one gets towards a companion, with real sockets."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from collab_sdk.errors import DaemonUnavailable
from collab_sdk.reports import CloudReport, StatusReport
from collabd.config import CloudConfig, CloudServerSettings, CloudSettings, DeviceConfig
from collabd.ctl.doctor.companions import check_companions, check_listening, of_clock, of_packages, of_status
from collabd.ctl.doctor.context import COMPANION, DEVICE, Context, Heard, Settings
from collabd.ctl.doctor.finding import Finding, relevant
from collabd.ctl.doctor.reach import Reached, Unreached, reach
from collabd.ctl.doctor.socket import check_daemon
from collabd.ctl.pair import certificates
from collabd.keys.tls import server_context
from tests.patience import PATIENCE_S, joined
from tests.unit.ctl.conftest import CLOUD, DIGEST, MODEL, STATUS, UNHEARD
from tests.unit.ctl.doctor.conftest import Make

TOKEN = "t" * 43


class Server(HTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who refuses our certificate hangs up."""


@contextmanager
def companion(
    *, live: int = 200, token: str = "", packages: Any = (), location: str = "", tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """The few paths of a companion that are asked for; its url."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def do_GET(self) -> None:
            status, body = live, b""
            if self.path == "/collab/v1/packages":
                admitted = not token or self.headers["Authorization"] == f"Bearer {token}"
                status, body = (200, json.dumps(packages).encode()) if admitted else (401, b"{}")
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if location:
                self.send_header("Location", location)
            self.end_headers()
            self.wfile.write(body)

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        joined(thread)
        server.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_one_that_answers_says_what_it_holds() -> None:
    with companion(packages=[{"name": "net", "digest": DIGEST}]) as url:
        found = reach(CloudSettings(name="pc", url=url))
    assert found.packages == {"net": DIGEST}
    assert found.date is not None


def test_a_name_without_an_address() -> None:
    with pytest.raises(Unreached, match="has no address"):
        reach(CloudSettings(name="pc", url="http://there-is-none.invalid:8470"))


def test_a_port_where_nobody_listens() -> None:
    with pytest.raises(Unreached, match="no program listens") as failure:
        reach(CloudSettings(name="pc", url=f"http://127.0.0.1:{free_port()}"))
    assert "systemctl start collab-cloudd" in failure.value.advice


def test_another_program_on_the_port() -> None:
    with companion(live=404) as url, pytest.raises(Unreached, match="not a companion"):
        reach(CloudSettings(name="pc", url=url))


def test_a_redirection_is_no_companion() -> None:
    with (
        companion() as other,
        companion(live=302, location=f"{other}/v2/health/live") as url,
        pytest.raises(Unreached, match="not a companion"),
    ):
        reach(CloudSettings(name="pc", url=url))


def test_the_way_is_the_daemons_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with companion() as url:
        assert reach(CloudSettings(name="pc", url=url)).packages == {}


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    packages = [{"name": "net", "digest": DIGEST * 10**5}]
    with companion(packages=packages) as url:
        assert reach(CloudSettings(name="pc", url=url)).packages == {}


def test_one_that_speaks_no_tls() -> None:
    with companion() as url, pytest.raises(Unreached, match="TLS fails"):
        reach(CloudSettings(name="pc", url=url.replace("http", "https")))


def test_one_that_hangs_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        port = listener.getsockname()[1]

        def hang_up() -> None:
            listener.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(Unreached, match="does not answer"):
            reach(CloudSettings(name="pc", url=f"http://127.0.0.1:{port}"))
        joined(thread)


@pytest.mark.parametrize(("own", "said"), [("", "has none for it"), ("w" * 43, "does not know the key")])
def test_a_key_that_is_missing_or_wrong(tmp_path: Path, own: str, said: str) -> None:
    with companion(token=TOKEN) as url, pytest.raises(Unreached, match=said) as failure:
        reach(CloudSettings(name="pc", url=url, token_file=token_file(tmp_path, own) if own else ""))
    assert "collabctl pair" in failure.value.advice


def test_the_right_key(tmp_path: Path) -> None:
    with companion(token=TOKEN) as url:
        assert reach(CloudSettings(name="pc", url=url, token_file=token_file(tmp_path, TOKEN))).packages == {}


def token_file(folder: Path, token: str) -> str:
    path = folder / "token"
    path.write_text(token)
    path.chmod(0o400)
    return str(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_a_key_that_only_root_may_read_is_not_measured(machine: Make, tmp_path: Path) -> None:
    context = device(
        machine, CloudSettings(name="pc", url="http://127.0.0.1:1", token_file=token_file(tmp_path, TOKEN))
    )
    os.seteuid(65534)
    try:
        found = list(check_companions(context))
    finally:
        os.seteuid(0)
    assert summary(found) == [("companion", "not-measured")]


def test_a_certificate_that_is_pinned_and_one_that_is_not(tmp_path: Path) -> None:
    issuer = certificates.authority("pc")
    own = certificates.server(issuer, "pc", ["127.0.0.1"])
    files = {"ca": issuer.certificate, "other": certificates.authority("x").certificate}
    for name, content in (files | {"certificate": own.certificate, "key": own.key}).items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o400)
    context = server_context(str(tmp_path / "certificate"), str(tmp_path / "key"), "")
    with companion(tls=context) as url:
        assert reach(CloudSettings(name="pc", url=url, ca_file=str(tmp_path / "ca"))).packages == {}
        for ca_file in (str(tmp_path / "other"), ""):
            with pytest.raises(Unreached, match="its certificate is refused") as failure:
                reach(CloudSettings(name="pc", url=url, ca_file=ca_file))
            assert "collabctl pair" in failure.value.advice


def test_where_the_daemon_found_it_its_certificate_is_for_the_configured_host(tmp_path: Path) -> None:
    issuer = certificates.authority("pc")
    own = certificates.server(issuer, "pc", ["pc.invalid"])
    for name, content in {"ca": issuer.certificate, "certificate": own.certificate, "key": own.key}.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o400)
    context = server_context(str(tmp_path / "certificate"), str(tmp_path / "key"), "")
    with companion(tls=context) as url:
        cloud = CloudSettings(name="pc", url="https://pc.invalid:8470", ca_file=str(tmp_path / "ca"))
        assert reach(cloud, url).packages == {}
        with pytest.raises(Unreached, match="its certificate is refused"):
            reach(replace(cloud, url="https://other.invalid:8470"), url)


def test_where_the_daemon_found_it_is_told(machine: Make) -> None:
    with companion() as url:
        cloud = CloudSettings(name="desktop", url="http://pc.invalid:8470")
        status: StatusReport = {**STATUS, "clouds": [{**CLOUD, "url": cloud.url, "found_at": url}]}
        context = dataclasses.replace(device(machine, cloud), heard=Heard(status))
        found = list(check_companions(context))
    titles = [each.title for each in found if each.code == "companion"]
    assert f"desktop at {url} answers" in titles
    assert any("no longer at http://pc.invalid:8470" in title for title in titles)


def test_a_companion_that_wants_a_certificate(tmp_path: Path) -> None:
    """It answers a device that shows one, and no other."""
    issuer = certificates.authority("pc")
    own, device = certificates.server(issuer, "pc", ["127.0.0.1"]), certificates.client(issuer, "pi")
    files = {"ca": issuer.certificate, "certificate": own.certificate, "key": own.key}
    for name, content in (files | {"device": device.certificate, "device-key": device.key}).items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o400)
    paths = {name: str(tmp_path / name) for name in ("ca", "certificate", "key", "device", "device-key")}
    context = server_context(paths["certificate"], paths["key"], paths["ca"])
    with companion(tls=context) as url:
        bare = CloudSettings(name="pc", url=url, ca_file=paths["ca"])
        shown = replace(bare, client_cert=paths["device"], client_key=paths["device-key"])
        assert reach(shown).packages == {}
        with pytest.raises(Unreached, match="TLS fails") as failure:
            reach(bare)
    assert "does it know this device's certificate" in failure.value.advice


def test_what_the_daemon_makes_of_it() -> None:
    assert of_status(CLOUD).severity == "ok"
    found = of_status(UNHEARD)
    assert (found.severity, "tries it again" in found.title) == ("warning", True)
    down: CloudReport = {**CLOUD, "state": "down", "breaker": "open"}
    assert "leaves it alone" in of_status(down).title


@pytest.mark.parametrize(("seconds", "severity"), [(0, "ok"), (20, "ok"), (-3600, "note"), (86400, "note")])
def test_clocks_that_differ(seconds: int, severity: str) -> None:
    now = datetime.now(UTC)
    reached = Reached(format_datetime(now + timedelta(seconds=seconds), usegmt=True))
    assert of_clock("pc", reached, now).severity == severity


def test_a_companion_without_the_time() -> None:
    assert of_clock("pc", Reached(None), datetime.now(UTC)).severity == "not-measured"
    assert of_clock("pc", Reached("yesterday"), datetime.now(UTC)).severity == "not-measured"


def test_packages_that_it_lacks_or_has_otherwise() -> None:
    cloud = CloudSettings(name="pc", url="http://pc:1", push_packages=False)
    assert [each.severity for each in of_packages(cloud, Reached(packages={"net": DIGEST}), [MODEL])] == ["ok"]
    (other,) = of_packages(cloud, Reached(packages={"net": "sha256:9"}), [MODEL])
    assert (other.severity, "another version of net" in other.title) == ("warning", True)
    (lacking,) = of_packages(cloud, Reached(), [MODEL])
    assert "no net" in lacking.title
    pushing = CloudSettings(name="pc", url="http://pc:1")
    assert [each.severity for each in of_packages(pushing, Reached(), [MODEL])] == ["note"]


def device(machine: Make, *clouds: CloudSettings, **heard: Any) -> Context:
    settings = Settings(DEVICE, Path("/x"), config=DeviceConfig(clouds=clouds))
    return Context(machine(), Path("/x"), heard=Heard(**heard), settings=(settings,))


def summary(found: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.code, finding.severity) for finding in found]


def test_a_companion_that_is_well(machine: Make) -> None:
    with companion(packages=[{"name": model["name"], "digest": model["digest"]} for model in STATUS["models"]]) as url:
        found = list(check_companions(device(machine, CloudSettings(name="desktop", url=url), status=STATUS)))
    assert summary(found) == [
        ("companion", "ok"),
        ("companion", "ok"),
        ("companion-clock", "ok"),
        ("companion-packages", "ok"),
    ]


def test_without_a_daemon_nothing_is_said_of_a_companion_that_is_gone(machine: Make) -> None:
    cloud = CloudSettings(name="desktop", url=f"http://127.0.0.1:{free_port()}")
    context = device(machine, cloud, failure=DaemonUnavailable("nobody there"))
    assert summary(list(check_companions(context))) == [("companion", "error")]
    assert summary(relevant([*check_daemon(context), *check_companions(context)])) == [("daemon", "error")]


def test_no_companion_is_no_fault(machine: Make) -> None:
    assert summary(list(check_companions(device(machine)))) == [("companion", "note")]


def test_keys_that_cannot_be_used_are_said_once(machine: Make, tmp_path: Path) -> None:
    cloud = CloudSettings(name="desktop", url="https://127.0.0.1:1", token_file=str(tmp_path / "none"))
    (found,) = check_companions(device(machine, cloud))
    assert found.severity == "error"
    assert "keys" in found.unless


def test_the_companion_here_listens_for_others_or_not(machine: Make) -> None:
    def here(host: str, port: int) -> list[tuple[str, str]]:
        settings = Settings(COMPANION, Path("/x"), config=CloudConfig(server=CloudServerSettings(host=host, port=port)))
        return summary(list(check_listening(Context(machine(), Path("/x"), roles=(COMPANION,), settings=(settings,)))))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        port = listener.getsockname()[1]
        assert here("127.0.0.1", port) == [("listening", "note")]
        assert here("0.0.0.0", port) == [("listening", "ok")]  # noqa: S104
    assert here("0.0.0.0", free_port()) == [("listening", "error")]  # noqa: S104
