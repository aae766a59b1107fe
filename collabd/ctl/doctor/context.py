"""The input of the checks: the machine, the daemon's reports, and the configurations of the installed daemons."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from collabd.ctl.doctor.machine import ExaminedMachine

if TYPE_CHECKING:
    from collab_sdk import UnixTransport
    from collab_sdk.errors import CollabError
    from collab_sdk.reports import StatusReport
    from collabd.config import CloudConfig, DeviceConfig

UNIT_FOLDERS = (
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
# The longest wait for an answer of the daemon.
_DAEMON_S = 10.0


@dataclass(frozen=True)
class Role:
    """One of the two daemons. `program` is also the name of its user, its unit and its folder of state."""

    program: str

    @property
    def unit(self) -> str:
        """Its service."""
        return f"{self.program}.service"

    @property
    def file(self) -> str:
        """Its configuration."""
        return f"/etc/collabd/{self.program}.toml"

    def installed(self, machine: ExaminedMachine) -> bool:
        """Whether it is installed as a service."""
        places = (self.file, *(f"{folder}/{self.unit}" for folder in UNIT_FOLDERS))
        return any(_exists(machine.path(place)) for place in places)


DEVICE, COMPANION = Role("collabd"), Role("collab-cloudd")


@dataclass(frozen=True)
class Heard:
    """The reports of the device's daemon; `failure`: why it gave none. `file`: its configuration."""

    status: StatusReport | None = None
    file: str | None = None
    failure: CollabError | None = None


@dataclass(frozen=True)
class Settings:
    """A configuration file; `config` None: the file has `problems`, or this user may not read it."""

    role: Role
    path: Path
    _: KW_ONLY
    config: DeviceConfig | CloudConfig | None = None
    problems: tuple[str, ...] = ()
    forbidden: bool = False


@dataclass(frozen=True)
class Context:
    """All input of the checks."""

    machine: ExaminedMachine
    socket: Path
    _: KW_ONLY
    roles: tuple[Role, ...] = (DEVICE,)
    heard: Heard = field(default_factory=Heard)
    settings: tuple[Settings, ...] = ()

    @property
    def device(self) -> DeviceConfig | None:
        """The device's configuration, where it can be read."""
        from collabd.config import DeviceConfig

        return next((each.config for each in self.settings if isinstance(each.config, DeviceConfig)), None)

    @property
    def companion(self) -> CloudConfig | None:
        """The companion's configuration, where it can be read."""
        from collabd.config import CloudConfig

        return next((each.config for each in self.settings if isinstance(each.config, CloudConfig)), None)


def gather(machine: ExaminedMachine, transport: UnixTransport) -> Context:
    """Ask the daemon and read the configurations; if nothing is installed, examine this machine as a device."""
    heard = _heard(transport)
    roles = tuple(role for role in (DEVICE, COMPANION) if role.installed(machine))
    if heard.status is not None and DEVICE not in roles:
        roles = (DEVICE, *roles)
    roles = roles or (DEVICE,)
    files = {role: machine.path(role.file) for role in roles}
    if heard.status is not None:
        files[DEVICE] = Path(heard.file) if heard.file else files[DEVICE]
    settings = tuple(_settings(role, files[role]) for role in roles)
    return Context(machine, transport.path, roles=roles, heard=heard, settings=settings)


def _heard(transport: UnixTransport) -> Heard:
    from collab_sdk import CollabError, ControlClient

    with ControlClient(timeout_s=_DAEMON_S, transport=transport) as client:
        try:
            return Heard(client.status(), client.config()["file"])
        except CollabError as error:
            return Heard(failure=error)


def _settings(role: Role, path: Path) -> Settings:
    from collabd.config import CloudConfig, ConfigError, DeviceConfig, load

    try:
        there = path if path.exists() else None
        if there is not None:
            there.open("rb").close()  # `load` does not distinguish a file without read permission from a broken file
        config = (load(DeviceConfig, there) if role == DEVICE else load(CloudConfig, there)).config
        return Settings(role, path, config=config)
    except PermissionError:
        return Settings(role, path, forbidden=True)
    except ConfigError as error:
        return Settings(role, path, problems=tuple(error.problems))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False
