"""The typed configuration of both daemons: TOML in, one checked structure out, every mistake named at once."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from collab_sdk.budget import Budget
from collab_sdk.errors import InvalidBudget
from collab_sdk.vocabulary import DoorKind, Fallback, Provider
from collabd import shipped_packages
from collabd.did_you_mean import did_you_mean
from collabd.http.listening import is_ipc
from collabd.keys.files import locate
from collabd.shipped_packages import DEFAULT_MODEL

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Layers = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Hex = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?\Z")]
IndexPlace = Annotated[str, msgspec.Meta(pattern=r"^(|(https?|file)://[^\s@]+|/.*)\Z")]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\Z")]
HttpUrl = Annotated[str, msgspec.Meta(pattern=r"^https?://[\w.:\[\]%~-]+/?\Z")]
# HOST:PORT, with brackets around an address of IPv6; or ipc:///PATH, a Unix socket, whose path the kernel keeps short.
Listen = Annotated[str, msgspec.Meta(pattern=r"^((\[[0-9A-Fa-f:.%\w]+\]|[\w.-]+):[0-9]{1,5}|ipc:///[!-~]{1,100})\Z")]


class ModelSettings(msgspec.Struct, frozen=True):
    """Where model packages lie. The first root gets new packages."""

    roots: tuple[str, ...] = ()


class DeviceModelSettings(ModelSettings, frozen=True):
    """The models of the device, and the one for calls that name none."""

    # If this one ships with collabd and is not loaded, the only loaded model serves such calls; if there are several,
    # the daemon refuses them.
    default: str = DEFAULT_MODEL
    # The weights of the models in memory take at most so many MB together. The least recently used model is put away
    # first, and loaded again when a call needs it. Those of `keep` stay.
    loaded_mb: Count = 512
    keep: tuple[Name, ...] = ()
    # Where `collabctl models pull` and `run` find models: the path or URL of an index; "": nowhere. One that comes over
    # a network must have this sha256, or be signed with this key (ed25519, base64).
    index: IndexPlace = ""
    index_digest: Hex = ""
    index_key: str = ""


class CloudModelSettings(ModelSettings, frozen=True):
    """The models of a companion, and those that it shares with others."""

    # A directory that several companions mount, or s3://BUCKET/PREFIX. A package that a device pushed to one is found
    # there by the others. "": none. The directory takes at most so many MB; the least recently used package goes.
    shared: Annotated[str, msgspec.Meta(pattern=r"^(|/.*|s3://[a-z0-9][a-z0-9.-]+(/[A-Za-z0-9._/-]*)?)\Z")] = ""
    shared_mb: Count = 16384


class EngineSettings(msgspec.Struct, frozen=True):
    """How the engine runs graphs. threads 0: on the device as many as are fastest, on a companion one for each core.

    cache_mb 0: an eighth of the memory that the daemon may use, and no more than 128.
    """

    threads: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0
    cache_mb: Annotated[int, msgspec.Meta(ge=0)] = 0
    # What computes the networks, the best first. "cpu" is the last resort even where it is not named. The others need
    # another ONNX Runtime, start slower and take more memory, so nobody gets them unasked.
    providers: tuple[Provider, ...] = (Provider.CPU,)


class CloudEngineSettings(EngineSettings, frozen=True):
    """How a companion's engine runs graphs. Under load it makes `lanes` runs at once, which share `threads`.

    lanes 0: one for each thread.
    """

    lanes: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0


class DeviceServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The Unix socket. Empty: the one systemd hands over, else $XDG_RUNTIME_DIR/collabd/collabd.sock."""

    socket: str = ""
    max_request_mb: Count = 64
    # `max_inside` calls are served at once; one user has at most three quarters of them. The bodies of one user's calls
    # take at most `max_inside_mb`, those of all users `max_request_mb` more. `max_waiting` more calls may wait; one
    # user has at most half of them.
    max_inside: Count = 16
    max_inside_mb: Count = 128
    max_waiting: Count = 256
    # The group whose members may add and remove models, besides root and the daemon's own user.
    administrators: str = ""


class PlanningSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the planner chooses where the call's budget does not say."""

    # For calls that state no fidelity: how often a plan's answer must equal the unsplit network's answer, for images of
    # which that network is sure.
    min_fidelity: Share = 0.99
    # The planner holds caps against this quantile of the prediction; for objectives it uses the median.
    cap_quantile: Annotated[float, msgspec.Meta(ge=0.5, lt=1)] = 0.98
    # A new plan must be better than the last one by both of these. 40 ms against 39 ms is 1 ms and 2.5 %: not worth it.
    switch_gain_ms: NotNegative = 0.5
    switch_gain_ratio: Share = 0.03
    # Now and then calls try a companion that looks too slow. Such tries may cost this share of the latency.
    explore_share: Share = 0.02
    # While no call is under way, audits compare lossy answers about pictures of calls with the unsplit network's. They
    # take at most this share of one core, and nothing on battery. 0: there are none.
    audit_share: Share = 0.01
    # Where calls name their `stream`, a picture that is like the last one may inherit its answer, if that is no older
    # than so many seconds. 0: every picture is answered anew.
    inherit_s: NotNegative = 60.0
    # How many of the first and of the last layers of every model never run on a companion.
    pin_first: Layers = 0
    pin_last: Layers = 0


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How collabd estimates the link to a companion."""

    # How much of its spread the estimate keeps when the next transfer comes.
    memory: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.7
    # While calls come, a probe refreshes an estimate older than `stale_s`. Probes take at most `probe_share` of a link.
    stale_s: Positive = 0.3
    probe_share: Annotated[float, msgspec.Meta(gt=0, le=0.1)] = 0.01
    probe_kb: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 4


class FailoverSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When collabd gives a companion up."""

    connect_timeout_s: Positive = 3.0
    # While the device waits for an answer, it starts the tail itself as soon as the chance that it finishes first is
    # worth the work. If the answer then makes that work useless, one second of it may cost as much as `hedge_price`
    # seconds of latency. At 0.1 the device starts when the chance is 1 in 11; at 0 always at once. If the budget speaks
    # of energy, the device waits until the answer is very late (3 times the prediction, and at least 250 ms). An answer
    # that takes so long counts against the companion.
    hedge_price: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.1
    breaker_failures: Count = 4
    breaker_open_s: Positive = 5.0


class EnergySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Power of the board, if no instrument measures it. A figure left out comes from the model of the board.

    "auto" reads the board's own name, and takes pi4 if it does not know the name.
    """

    board: Literal["auto", "pi3", "pi4", "pi5", "zero2w", "custom"] = "auto"
    busy_w: Positive | None = None
    idle_w: Positive | None = None
    # Transmit power above idle: tx_mw_per_mbps * rate + tx_base_mw.
    tx_mw_per_mbps: NotNegative | None = None
    tx_base_mw: NotNegative | None = None


class CloudSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One companion and what it costs, in a currency of your choice."""

    name: Name
    url: HttpUrl
    price_per_gb: NotNegative = 0.0
    price_per_second: NotNegative = 0.0
    price_per_request: NotNegative = 0.0
    # Send the companion packages that it lacks.
    push_packages: bool = True
    # Keys, each the path of a file; "": none. ca_file pins the companion's certificate or authority.
    token_file: str = ""
    ca_file: str = ""
    client_cert: str = ""
    client_key: str = ""
    # Send the token over plain HTTP, although anyone on the way can read it.
    insecure: bool = False
    # Look in the local network for a companion that is not at its url, and ask it where it announces itself.
    follow: bool = False


class PolicySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What may leave the device for one model. A call may forbid more, never less."""

    model: Name
    pin_first: Layers = 0
    pin_last: Layers = 0
    # For calls that state none. No call can lift never-leave.
    fallback: Fallback = Fallback.LOCAL


class DoorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A door: an address at which programs call collabd by a protocol that they know."""

    kind: DoorKind
    listen: Listen
    # The model and the budget of calls that state none. "": the default model; any.
    model: str = ""
    budget: str = ""
    # Of what a detector finds, only this is told: what it is as sure of, and these classes. (): all of them.
    min_confidence: Share = 0.4
    labels: tuple[str, ...] = ()
    # Keys, each the path of a file; "": none. Beyond this machine a door needs a token, and TLS.
    token_file: str = ""
    # Whose tokens may load and unload models by the Open Inference Protocol: names in token_file.
    administrators: tuple[str, ...] = ()
    tls_cert: str = ""
    tls_key: str = ""
    # A dashboard also shows the last pictures of calls, small, each with its answer. They are kept in memory alone, and
    # only while somebody looks.
    pictures: bool = False
    # Listen to other machines without a token or without TLS.
    insecure: bool = False


class DeviceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`collabd.toml`."""

    server: DeviceServerSettings = DeviceServerSettings()
    models: DeviceModelSettings = DeviceModelSettings()
    engine: EngineSettings = EngineSettings()
    planning: PlanningSettings = PlanningSettings()
    link: LinkSettings = LinkSettings()
    failover: FailoverSettings = FailoverSettings()
    energy: EnergySettings = EnergySettings()
    clouds: tuple[CloudSettings, ...] = ()
    policies: tuple[PolicySettings, ...] = ()
    doors: tuple[DoorSettings, ...] = ()
    # The directory for profiles, learned fidelities and added models. Empty: $STATE_DIRECTORY, else
    # $XDG_STATE_HOME/collabd.
    state_dir: str = ""


class CloudServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the companion listens."""

    host: str = "127.0.0.1"
    port: Port = 8470
    max_request_mb: Count = 64
    # Keys, each the path of a file; "": none. With client_ca a device must show a certificate besides its token.
    token_file: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    client_ca: str = ""
    # Listen to other machines without a token or without TLS.
    insecure: bool = False
    # Tell the local network (DNS-SD) that there is a companion, and where.
    announce: bool = False
    # Show browsers at /dashboard/ what the companion does. What is shown takes a key, as all else does.
    dashboard: bool = False
    # After SIGTERM requests are still answered for so long, while /v2/health/ready tells balancers to send no more.
    drain_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0


class BatchingSettings(msgspec.Struct, frozen=True):
    """Requests that wait for the engine run together, at most `max`. More than `queue` waiting requests are refused."""

    max: Count = 8
    queue: Count = 64


class PackageSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Whether devices may push model packages, and how large.

    When the disk or the memory is full, the device that has most pushed packages makes room with one of its own.
    """

    accept: bool = True
    max_mb: Count = 512
    max_packages: Count = 32
    quota_mb: Count = 4096
    loaded_mb: Count = 1024


class CloudConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`collab-cloudd.toml`."""

    server: CloudServerSettings = CloudServerSettings()
    models: CloudModelSettings = CloudModelSettings()
    engine: CloudEngineSettings = CloudEngineSettings()
    batching: BatchingSettings = BatchingSettings()
    packages: PackageSettings = PackageSettings()
    state_dir: str = ""


Config = TypeVar("Config", DeviceConfig, CloudConfig)

_KEY_FILES = {"token_file", "tls_cert", "tls_key", "client_ca", "ca_file", "client_cert", "client_key"}


class ConfigError(Exception):
    """A configuration file that cannot be used; `problems` names every mistake in it."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        super().__init__("\n".join(f"{path}: {problem}" for problem in problems))
        self.problems = problems


@dataclass(frozen=True)
class Loaded(Generic[Config]):
    """A configuration and where its values came from."""

    config: Config
    path: Path | None
    given: frozenset[str] = field(default_factory=frozenset)

    def report(self) -> dict[str, dict[str, Any]]:
        """By dotted key: the effective value, and its origin (the file, or "default")."""
        return {
            key: {"value": value, "origin": str(self.path) if key in self.given else "default"}
            for key, value in _leaves(msgspec.to_builtins(self.config), "")
        }


@dataclass(frozen=True)
class Source(Generic[Config]):
    """Where a daemon reads its configuration, and reads it again: at `path`, else at `default` if there is one."""

    kind: type[Config]
    path: Path | None
    default: Path
    # Finds what is wrong with a configuration on this machine, such as its key files.
    problems: Callable[[Config], list[str]] = field(default=lambda _: [], kw_only=True)

    def load(self) -> Loaded[Config]:
        """As `load` does. Raises `ConfigError`."""
        loaded = load(self.kind, self.path or (self.default if self.default.exists() else None))
        if problems := self.problems(loaded.config):
            raise ConfigError(loaded.path or self.default, problems)
        return loaded


def load(kind: type[Config], path: Path | None) -> Loaded[Config]:
    """Read and check `path`; None: all defaults. Raises `ConfigError` with every mistake in the file."""
    if path is None:
        return Loaded(kind(), None)
    raw: dict[str, Any] = _read(path)
    problems = list(_check(kind, raw, "")) or list(_no_paths(raw))
    if not problems and kind is DeviceConfig:
        problems = [*_same_names(raw, "clouds", "name"), *_same_names(raw, "policies", "model")]
        problems += [*_same_names(raw, "doors", "listen"), *_door_paths(raw), *_door_budgets(raw)]
        problems += _custom_board(raw.get("energy", {}))
    if not problems and kind is CloudConfig:
        problems = _lanes_without_thread(raw.get("engine", {}))
    if not problems:
        problems = _never_tried(raw.get("engine", {}))
    if problems:
        raise ConfigError(path, problems)
    given = frozenset(key for key, _ in _leaves(raw, ""))
    return Loaded(msgspec.convert(_with_keys_located(raw, path), kind), path, given)


def state_dir(config: DeviceConfig | CloudConfig, program: str) -> Path:
    """Where `program` keeps its state: the configured directory, systemd's, or the user's."""
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Path(config.state_dir or os.environ.get("STATE_DIRECTORY") or f"{home}/{program}")


def model_roots(config: DeviceConfig | CloudConfig, program: str) -> list[Path]:
    """The directories of model packages, the writable one first."""
    if config.models.roots:
        return [Path(root).expanduser() for root in config.models.roots]
    return [state_dir(config, program) / "models", shipped_packages.root()]


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(path, ["no such file"]) from None
    except (OSError, ValueError, RecursionError) as error:
        # tomllib has no error of its own for text that is not UTF-8, for endless numbers and for endless nesting.
        raise ConfigError(path, [str(error)]) from None


def _check(kind: type[msgspec.Struct], table: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Every mistake in `table`, key by key: msgspec on its own stops at the first."""
    types = get_type_hints(kind, include_extras=True)
    for key, value in table.items():
        if key not in types:
            hint = did_you_mean(key, types) or f" (known: {', '.join(types)})"
            yield f"{prefix}{key}: unknown key{hint}"
            continue
        yield from _check_value(types[key], value, f"{prefix}{key}")
    required = (info.name for info in msgspec.structs.fields(kind) if info.required)
    yield from (f"{prefix}{name}: missing" for name in required if name not in table)


def _check_value(expected: Any, value: Any, key: str) -> Iterator[str]:
    if isinstance(expected, type) and issubclass(expected, msgspec.Struct) and isinstance(value, dict):
        yield from _check(expected, value, f"{key}.")
    elif _is_table_list(expected) and isinstance(value, list) and all(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _check(get_args(expected)[0], item, f"{key}[{index}].")
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{key}: must be a finite number (it is {value!r})"  # NaN passes every bound of msgspec
    else:
        try:
            msgspec.convert(value, expected)
        except msgspec.ValidationError as error:
            yield f"{key}: {error} (it is {value!r})"


def _is_table_list(expected: Any) -> bool:
    if get_origin(expected) is not tuple:
        return False
    item = get_args(expected)[0]
    return isinstance(item, type) and issubclass(item, msgspec.Struct)


def _same_names(raw: dict[str, Any], tables: str, key: str) -> list[str]:
    names = [table[key] for table in raw.get(tables, [])]
    return [f"{tables}: two have the {key} {name!r}" for name in sorted({n for n in names if names.count(n) > 1})]


def _door_paths(raw: dict[str, Any]) -> Iterator[str]:
    for index, door in enumerate(raw.get("doors", [])):
        if is_ipc(door["listen"]) and door["kind"] != DoorKind.FRIGATE_ZMQ:
            yield f"doors[{index}].listen: a door of kind {door['kind']} listens at HOST:PORT, not {door['listen']!r}"


def _door_budgets(raw: dict[str, Any]) -> Iterator[str]:
    for index, door in enumerate(raw.get("doors", [])):
        try:
            Budget.parse(door.get("budget") or None)
        except InvalidBudget as error:
            yield f"doors[{index}].budget: {error}"


def _no_paths(raw: dict[str, Any]) -> Iterator[str]:
    """Texts that stand where a path may, and are none."""
    for key, value in _leaves(raw, ""):
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and "\0" in text:
                yield f"{key}: contains a character of code 0"
            elif isinstance(text, str) and text.startswith("~"):
                try:
                    Path(text).expanduser()
                except RuntimeError:
                    yield f"{key}: no user has this home directory (it is {text!r})"


def _with_keys_located(raw: dict[str, Any], path: Path) -> dict[str, Any]:
    def located(table: dict[str, Any]) -> dict[str, Any]:
        return table | {name: locate(table[name], path) for name in _KEY_FILES & table.keys() if table[name]}

    placed: dict[str, Any] = {"server": located(raw.get("server", {}))}
    for tables in ("clouds", "doors"):
        if tables in raw:
            placed[tables] = [located(table) for table in raw[tables]]
    return raw | placed


def _custom_board(energy: dict[str, Any]) -> list[str]:
    missing = {"busy_w", "idle_w"} - energy.keys() if energy.get("board") == "custom" else set()
    return [f"energy.{key}: missing; a custom board has no model to take it from" for key in sorted(missing)]


def _lanes_without_thread(engine: dict[str, Any]) -> list[str]:
    lanes, threads = engine.get("lanes", 0), engine.get("threads", 0)
    too_many = threads and lanes > threads
    return [f"engine.lanes: {lanes} lanes need as many threads, and engine.threads says {threads}"] if too_many else []


def _never_tried(engine: dict[str, Any]) -> list[str]:
    named = engine.get("providers", [])
    behind = named[named.index(Provider.CPU) + 1 :] if Provider.CPU in named else []
    return (
        [f"engine.providers: {' and '.join(behind)} would never be used behind cpu, which never fails"]
        if behind
        else []
    )


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{key}[{index}]")
    else:
        yield key, value
