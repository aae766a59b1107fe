"""The manifests are what Kubernetes takes, and fit together, the image and the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from collabd.cloud.counters import CloudCounters
from collabd.cloud.server import _DRAIN_S, _HANG_UP_S
from collabd.config import CloudConfig, load
from tests.pages import CHECKOUT

FOLDER = CHECKOUT / "packaging/kubernetes"
MANIFESTS = ("companion.yaml", "keys.yaml", "autoscaling.yaml")
# The oldest version that the manifests are for, and a new one.
VERSIONS = ("1.27", "1.34")
OBJECTS: dict[str, dict[str, Any]] = {
    each["kind"]: each for name in MANIFESTS for each in yaml.safe_load_all((FOLDER / name).read_text())
}
POD: dict[str, Any] = OBJECTS["Deployment"]["spec"]["template"]["spec"]
CONTAINER: dict[str, Any] = POD["containers"][0]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", OBJECTS)
def test_kubernetes_takes_each_object(kind: str, version: str) -> None:
    """By its own OpenAPI schema, without fields that it does not know."""
    kubernetes_validate.validate(OBJECTS[kind], version, strict=True)


def test_an_object_with_an_unknown_field_is_not_taken() -> None:
    wrong = OBJECTS["Service"] | {"spec": {"port": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def settings(tmp_path: Path) -> CloudConfig:
    path = tmp_path / "collab-cloudd.toml"
    path.write_text(OBJECTS["ConfigMap"]["data"]["collab-cloudd.toml"])
    return load(CloudConfig, path).config


def test_the_paths_of_the_settings_are_mounted(tmp_path: Path) -> None:
    server, models = settings(tmp_path).server, settings(tmp_path).models
    mounts = {mount["mountPath"]: mount["name"] for mount in CONTAINER["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in POD["volumes"]}
    assert set(mounts.values()) == set(volumes)
    keys = {Path(path) for path in (server.token_file, server.tls_cert, server.tls_key)}
    assert {str(path.parent) for path in keys} == {"/run/secrets/collabd"}
    assert {path.name for path in keys} == set(OBJECTS["Secret"]["stringData"])
    secret = volumes[mounts["/run/secrets/collabd"]]["secret"]
    # Keys that others may read, or their group may write, are not used.
    assert (secret["secretName"], secret["defaultMode"]) == (OBJECTS["Secret"]["metadata"]["name"], 0o440)
    claim = volumes[mounts[models.shared]]["persistentVolumeClaim"]
    assert claim["claimName"] == OBJECTS["PersistentVolumeClaim"]["metadata"]["name"]
    assert volumes[mounts["/etc/collabd"]]["configMap"]["name"] == OBJECTS["ConfigMap"]["metadata"]["name"]
    assert CONTAINER["args"][-1].startswith("/etc/collabd/")
    # The image keeps its state there, as this user.
    dockerfile = (CHECKOUT / "packaging/docker/Dockerfile").read_text()
    assert "STATE_DIRECTORY=/var/lib/collabd" in dockerfile
    assert "/var/lib/collabd" in mounts
    assert f"USER {POD['securityContext']['runAsUser']}:{POD['securityContext']['fsGroup']}" in dockerfile


def test_a_pod_has_the_time_to_drain(tmp_path: Path) -> None:
    drain_s = settings(tmp_path).server.drain_s
    assert POD["terminationGracePeriodSeconds"] >= drain_s + _DRAIN_S + 2 * _HANG_UP_S
    probe = CONTAINER["readinessProbe"]
    assert probe["periodSeconds"] * (probe["failureThreshold"] + 1) < drain_s


def test_the_objects_mean_each_other() -> None:
    labels = OBJECTS["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert OBJECTS["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert OBJECTS["Service"]["spec"]["selector"] == labels
    assert OBJECTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    scaled = OBJECTS["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (scaled["kind"], scaled["name"]) == ("Deployment", OBJECTS["Deployment"]["metadata"]["name"])
    ports = {port["name"] for port in CONTAINER["ports"]}
    probes = [CONTAINER[f"{name}Probe"]["httpGet"]["port"] for name in ("startup", "readiness", "liveness")]
    assert {*probes, OBJECTS["Service"]["spec"]["ports"][0]["targetPort"]} == ports
    assert "replicas" not in OBJECTS["Deployment"]["spec"]


def test_the_metric_of_the_autoscaling_is_made_of_metrics_that_there_are() -> None:
    (rule,) = yaml.safe_load((FOLDER / "adapter-rules.yaml").read_text())["rules"]["custom"]
    (metric,) = OBJECTS["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]
    told = CloudCounters().metrics().decode()
    for name in ("collab_cloud_queue_seconds_sum", "collab_cloud_queue_seconds_count"):
        assert name in rule["metricsQuery"]
        assert f"\n{name} " in told
