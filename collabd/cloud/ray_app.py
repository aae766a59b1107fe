"""collab-cloudd as a Ray Serve application: each replica is a companion; Serve listens and spreads the requests.

``serve run packaging/ray/serve.yaml``, or ``serve deploy``. docs/ray.md says how.

Serve's own settings say where it listens, whether with TLS, how many replicas there are and what each claims; of
``[server]`` only `max_request_mb`, `token_file` and `insecure` count. It cannot see who reaches Serve, so it does not
start without a token unless `insecure` is set. Each replica reads the file of its own machine, and reads it and the
tokens again when they change. A package pushed to one replica is found by the others in the store; replicas on several
machines need `[models] shared`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import ray
from ray import serve

from collabd.cloud.api.guard import require_token
from collabd.cloud.asgi import Bridge
from collabd.cloud.ray_metrics import give_to_ray
from collabd.config import CloudConfig, Loaded, load
from collabd.limits.cores import usable_cores

# So many more requests reach a replica whose queue is full: probes, profiles, and those that it refuses.
_BESIDE_THE_QUEUE = 16


class CloudReplica:
    """Serve makes replicas of this class. The ASGI application that it is given does the work."""


def app(arguments: Mapping[str, str]) -> serve.Application:
    """The application, for Serve's command line and configuration files.

    Raises `ConfigError`, `KeyProblem`, `TypeError`.
    """
    return _application(**arguments)


def _application(*, config: str) -> serve.Application:
    read = ReplicaConfig(Path(config).absolute())
    settings = read.load().config
    batching = settings.batching
    deployed = serve.deployment(
        name="collab-cloudd",
        # What a configuration file of Serve says instead, holds.
        ray_actor_options={"num_cpus": settings.engine.threads or 1},
        # With fewer Serve would hold requests back, and the batcher could neither join nor refuse them.
        max_ongoing_requests=batching.queue + batching.max + _BESIDE_THE_QUEUE,
    )
    return deployed(serve.ingress(Bridge(read, give_to_ray))(CloudReplica)).bind()


@dataclass(frozen=True)
class ReplicaConfig:
    """Reads `path` wherever a replica is started."""

    path: Path

    def __call__(self) -> Loaded[CloudConfig]:
        """Of the replica that calls: its lanes and threads are no more than the CPUs that it claims.

        Raises `ConfigError`, `KeyProblem`.
        """
        claimed = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)
        loaded = self.load()
        threads = threads_of(loaded.config.engine.threads, claimed, usable_cores())
        engine = msgspec.structs.replace(loaded.config.engine, threads=threads)
        return replace(loaded, config=msgspec.structs.replace(loaded.config, engine=engine))

    def load(self) -> Loaded[CloudConfig]:
        """As in the file. Raises `ConfigError`, and `KeyProblem` where it would be open to all."""
        loaded = load(CloudConfig, self.path)
        require_token(loaded.config)
        return loaded


def threads_of(wanted: int, claimed: float, usable: int) -> int:
    """How many threads a replica has that claims so many CPUs of Ray, on a machine where so many cores are usable.

    `wanted`: as configured; 0: as many as it may.
    """
    most = max(min(int(claimed), usable), 1)
    return min(wanted, most) or most
