"""The companion as a Ray Serve application, on a small Ray that lives as long as the tests of this file."""

from __future__ import annotations

import asyncio
import gc
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from collab_sdk import AsyncClient, wire
from collab_sdk.errors import UnknownModel, UnknownPackage
from collabd.catalog.package import package as packages
from collabd.catalog.package.package import Package
from collabd.codec import encode
from collabd.config import CloudConfig, ConfigError, DeviceConfig, load
from collabd.device.server import running
from collabd.keys.tokens import line
from collabd.sensing.sensed_machine import SHOWS_NOTHING
from tests.patience import PATIENCE_S, PROGRAM_S, until

TOKENS = {device: f"{device}-".ljust(40, "x") for device in ("laboratory", "pi", "lost")}

pytest.importorskip("ray.serve", reason="Ray is not installed: pip install 'collabd[ray]'")

# Ray leaves its processes and sockets to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.alone,  # Ray gives its processes 30 s to start
]

CHECKOUT = Path(__file__).parents[3]
REPLICAS = 2


@dataclass
class Cluster:
    """A small Ray, on which Serve runs what `packaging/ray/serve.yaml` says.

    `exporter`: where Ray tells metrics. `root`: the store that replicas share.
    """

    address: str
    exporter: str
    config: Path
    tokens: Path
    root: Path

    def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> requests.Response:
        key = {"Authorization": f"Bearer {TOKENS['laboratory']}"}
        return requests.post(self.address + path, data=body, headers={**(headers or {}), **key}, timeout=PATIENCE_S)

    def infer(self, model: str, request: wire.InferRequest) -> wire.InferResponse:
        message = wire.encode_request(request)
        reply = self.post(f"/v2/models/{model}/infer", message.body(), message.headers)
        if reply.status_code != 200:
            raise wire.decode_error(reply.status_code, reply.content)
        return wire.decode_response(reply.content, wire.header_length(reply.headers))

    def may(self, device: str) -> bool:
        """Whether the key of this device is good."""
        key = {"Authorization": f"Bearer {TOKENS[device]}"}
        return requests.get(f"{self.address}/v2", headers=key, timeout=PATIENCE_S).status_code == 200

    def write_tokens(self, *devices: str) -> None:
        new = self.tokens.with_name("new")
        new.write_text("".join(line(device, TOKENS[device]) for device in devices))
        new.chmod(0o600)
        new.replace(self.tokens)


@pytest.fixture(scope="module")
def cluster(package: Any, tiny_package: Package, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    import ray
    from ray import serve

    state, root = tmp_path_factory.mktemp("state"), tmp_path_factory.mktemp("store")
    host, port = other_address(), free_port()
    exporter = free_port()
    it = Cluster(
        f"http://{host}:{port}",
        exporter=f"http://{host}:{exporter}/metrics",
        config=state / "cloud.toml",
        tokens=state / "tokens",
        root=root,
    )
    it.write_tokens("laboratory", "pi", "lost")
    roots = [str(each) for each in (root, package.path.parent, tiny_package.path.parent)]
    it.config.write_text(f'state_dir = "{state}"\n[server]\ntoken_file = "tokens"\n[models]\nroots = {roots}\n')
    monkeypatch = pytest.MonkeyPatch()
    for name, value in variables(Path(tempfile.mkdtemp(prefix="ray-"))).items():
        monkeypatch.setenv(name, value)
    started = ray.init(
        num_cpus=REPLICAS,
        include_dashboard=False,
        object_store_memory=100 << 20,
        log_to_driver=False,
        _metrics_export_port=exporter,
    )
    try:
        run = [sys.executable, "-c", "from ray.serve.scripts import cli; cli()", "run", "--non-blocking"]
        run += ["--address", started.address_info["gcs_address"], str(as_shipped(it.config, port))]
        subprocess.run(run, check=True, timeout=PROGRAM_S)
        until(lambda: answers(it.address))
        yield it
        serve.shutdown()
    finally:
        ray.shutdown()
        monkeypatch.undo()
        gc.collect()  # here, where its warnings are ignored, and not at the end of the suite


def as_shipped(config: Path, port: int) -> Path:
    """The configuration of Serve that is shipped, for two CPUs and this configuration of collab-cloudd."""
    shipped = yaml.safe_load((CHECKOUT / "packaging/ray/serve.yaml").read_text())
    (application,) = shipped["applications"]
    (deployment,) = application["deployments"]
    shipped["http_options"]["port"] = port
    application["args"]["config"] = str(config)
    deployment["ray_actor_options"]["num_cpus"] = 1
    deployment["autoscaling_config"] |= {"min_replicas": REPLICAS, "max_replicas": REPLICAS}
    path = config.with_name("serve.yaml")
    path.write_text(yaml.safe_dump(shipped))
    return path


def variables(directory: Path) -> dict[str, str]:
    """Requests go through HAProxy, as docs/ray.md advises. It shares no port or file with that of another Ray here."""
    places = {"CONFIG_FILE_LOC": "cfg", "SOCKET_PATH": "socket", "SERVER_STATE_BASE": "", "SERVER_STATE_FILE": "state"}
    return {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        # As a replica stops, it waits so long for other balancers. Here there is none.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0.1",
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
    } | {f"RAY_SERVE_HAPROXY_{name}": str(directory / place) for name, place in places.items()}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def other_address() -> str:
    """An address of this machine at which nobody is heard who listens on 127.0.0.1 only."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        try:
            unused.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return "127.0.0.2"
        address: str = unused.getsockname()[0]
    return address


def answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/v2/health/ready", timeout=PATIENCE_S).status_code == 200
    except requests.ConnectionError:
        return False


def whole(images: Any, **parameters: Any) -> wire.InferRequest:
    parameters |= {"binary_data_output": True}
    return wire.InferRequest([wire.Tensor.from_array("image", images)], parameters=parameters)


def test_a_whole_network_is_answered(cluster: Cluster, package: Any, local: Any, images: Any) -> None:
    answer = cluster.infer("branchy", whole(images[:2]))
    np.testing.assert_allclose(answer.outputs[0].to_array(), local.whole(images[:2]), rtol=1e-5, atol=1e-6)
    assert answer.parameters["digest"] == package.digest
    assert {"queue_ms", "decode_ms", "compute_ms", "batch", "load"} <= answer.parameters.keys()


def test_a_tail_is_answered_by_digest(cluster: Cluster, package: Any, local: Any, images: Any) -> None:
    layer = next(layer for layer in package.manifest.layers if len(layer.tensors) > 1)
    features = local.features(images[:1], layer.tensors)
    tensors = []
    for name, array in features.items():
        encoded = encode(array, "f32")
        tensors.append(wire.Tensor(name, "FP32", array.shape, data=encoded.payload, parameters=encoded.parameters))
    answer = cluster.infer("branchy", wire.InferRequest(tensors, parameters={"digest": package.digest}))
    np.testing.assert_allclose(answer.outputs[0].to_array(), local.whole(images[:1]), rtol=1e-4, atol=1e-5)


def test_what_is_unknown_is_told_in_the_wire_form(cluster: Cluster, images: Any) -> None:
    with pytest.raises(UnknownModel, match="branchy"):
        cluster.infer("none", whole(images[:1]))
    with pytest.raises(UnknownPackage):
        cluster.infer("branchy", whole(images[:1], digest="sha256:" + "0" * 64))


def test_a_package_that_another_replica_kept_is_found_by_digest(cluster: Cluster, package: Any, images: Any) -> None:
    manifest = msgspec.structs.replace(package.manifest, name="pushed")
    model = (package.path / packages.MODEL).read_bytes()
    other = packages.write(cluster.root / ".elsewhere" / "pushed", manifest, model=model, licence="CC0-1.0")
    with pytest.raises(UnknownPackage):
        cluster.infer("pushed", whole(images[:1], digest=other.digest))
    shutil.copytree(other.path, cluster.root / "pushed")
    assert cluster.infer("pushed", whole(images[:1], digest=other.digest)).parameters["digest"] == other.digest


def test_a_link_can_be_probed(cluster: Cluster) -> None:
    reply = cluster.post("/collab/v1/ping", bytes(16_000))
    assert (reply.status_code, reply.json()["bytes"]) == (200, 16_000)


def test_a_bad_configuration_is_told_before_anything_starts(tmp_path: Path) -> None:
    from collabd.cloud.ray_app import app

    config = tmp_path / "cloud.toml"
    config.write_text("[server]\nprot = 1\n")
    with pytest.raises(ConfigError, match=r"server\.prot"):
        app({"config": str(config)})
    with pytest.raises(TypeError, match="confg"):
        app({"confg": str(config)})


def test_a_replica_has_the_threads_that_it_claims(cluster: Cluster) -> None:
    status = requests.get(
        f"{cluster.address}/collab/v1/status", headers={"Authorization": f"Bearer {TOKENS['pi']}"}, timeout=PATIENCE_S
    ).json()
    assert status["lanes"]["count"] == 1


@pytest.mark.parametrize(
    ("wanted", "claimed", "usable", "threads"),
    [(0, 2, 8, 2), (0, 8, 4, 4), (0, 0.5, 4, 1), (1, 4, 4, 1), (4, 2, 8, 2)],
)
def test_threads_are_at_most_what_is_claimed(wanted: int, claimed: float, usable: int, threads: int) -> None:
    from collabd.cloud.ray_app import threads_of

    assert threads_of(wanted, claimed, usable) == threads


def test_a_key_that_is_revoked_is_refused_by_every_replica(cluster: Cluster) -> None:
    assert all(cluster.may("lost") for _ in range(4 * REPLICAS))
    cluster.write_tokens("laboratory", "pi")
    until(lambda: not any(cluster.may("lost") for _ in range(8 * REPLICAS)))
    assert all(cluster.may("laboratory") for _ in range(4 * REPLICAS))


def test_ray_tells_what_each_replica_counts(cluster: Cluster, images: Any) -> None:
    def counted() -> dict[str, float]:
        """Answers by replica."""
        found: dict[str, float] = {}
        for metric in text_string_to_metric_families(requests.get(cluster.exporter, timeout=PATIENCE_S).text):
            for name, labels, value, *_ in metric.samples:
                if name == "ray_collab_cloud_requests_total" and labels["outcome"] == "ok":
                    found[labels["replica"]] = found.get(labels["replica"], 0) + value
        return found

    def both_have_answered() -> bool:
        # Ray chooses who answers, and may choose the same one for long.
        cluster.infer("branchy", whole(images[:1]))
        found = counted()
        return len(found) == REPLICAS and sum(found.values()) >= 8

    until(both_have_answered)


def test_kubernetes_runs_what_the_file_for_serve_says(tmp_path: Path) -> None:
    from ray.serve.schema import ServeDeploySchema

    shipped = yaml.safe_load((CHECKOUT / "packaging/ray/serve.yaml").read_text())
    manifest = (CHECKOUT / "packaging/kubernetes/rayservice.yaml").read_text()
    settings, _, service = yaml.safe_load_all(manifest)
    config = tmp_path / "collab-cloudd.toml"
    config.write_text(settings["data"]["collab-cloudd.toml"])
    mounted = {"/run/secrets/collabd/tokens", "/var/lib/collabd-shared"}
    loaded = load(CloudConfig, config).config
    assert {loaded.server.token_file, loaded.models.shared} == mounted
    run = yaml.safe_load(service["spec"]["serveConfigV2"])
    assert run == shipped
    (application,) = ServeDeploySchema.model_validate(run).applications
    (deployment,) = application.deployments
    groups = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    (worker,) = groups[0]["template"]["spec"]["containers"]
    assert float(worker["resources"]["limits"]["cpu"]) >= deployment.ray_actor_options.num_cpus
    places = {each["mountPath"] for each in worker["volumeMounts"]}
    assert places == {"/etc/collabd", "/run/secrets/collabd", "/var/lib/collabd-shared"}
    assert worker["ports"] == [{"name": "serve", "containerPort": run["http_options"]["port"]}]


def replicas() -> list[str]:
    import ray

    named = ray.util.list_named_actors(all_namespaces=True)
    return [each["name"] for each in named if each["name"].startswith("SERVE_REPLICA::")]


def kill_one() -> None:
    """A replica, in the middle of what it does. Serve starts another."""
    import ray

    ray.kill(ray.get_actor(replicas()[0], namespace="serve"), no_restart=False)


@asynccontextmanager
async def device(cluster: Cluster, package: Package, directory: Path) -> AsyncIterator[AsyncClient]:
    """A client of a device daemon whose companion is the cluster."""
    token = directory / "token"
    token.write_text(TOKENS["pi"])
    token.chmod(0o600)
    config = directory / "collabd.toml"
    config.write_text(
        f'state_dir = "{directory}"\n[server]\nsocket = "{directory}/socket"\n[models]\n'
        f'roots = ["{directory}/models", "{package.path.parent}"]\n'
        f'[[clouds]]\nname = "ray"\nurl = "{cluster.address}"\ntoken_file = "token"\ninsecure = true\n'
    )
    async with (
        running(load(DeviceConfig, config), SHOWS_NOTHING),
        AsyncClient(directory / "socket", timeout_s=60) as client,
    ):
        await client.wait(PROGRAM_S, profiled=True)
        await until_served(client, package)
        yield client


async def until_served(client: AsyncClient, package: Package) -> None:
    """Wait until the device sends calls of the package to its companion."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            cloud = (await client.status())["clouds"][0]
            if cloud["state"] == "up" and package.digest in cloud["packages"]:
                return
            await asyncio.sleep(0.1)


async def test_a_replica_is_killed_and_a_device_loses_no_call(
    cluster: Cluster, tiny_package: Package, tiny_images: list[np.ndarray], tmp_path: Path
) -> None:
    calls, answered = 400, dict[int, Any]()
    async with device(cluster, tiny_package, tmp_path) as client:
        wanted = [(await client.infer(image, cut="output")).scores for image in tiny_images]

        async def ask(lane: int) -> None:
            for number in range(lane, calls, 4):
                if number >= calls - 4:
                    # The device may have left Ray alone for a while.
                    await until_served(client, tiny_package)
                answered[number] = await client.infer(tiny_images[number % len(tiny_images)], cut="image")
                if len(answered) == calls // 4:
                    await asyncio.to_thread(kill_one)

        await asyncio.gather(*(ask(lane) for lane in range(4)))
    for number, result in answered.items():
        np.testing.assert_allclose(result.scores, wanted[number % len(wanted)], atol=1e-5)
    there = [number for number, result in answered.items() if not result.degraded]
    assert len(answered) == calls
    assert there
    assert not [result.why for result in answered.values() if "damaged" in result.why]
    # The survivor, and soon another beside it, answer to the end.
    assert max(there) >= calls - 4
