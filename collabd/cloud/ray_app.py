"""collab-cloudd as a Ray Serve application: each replica is a companion; Serve listens and spreads the requests.

``serve run collabd.cloud.ray_app:app config=/etc/collabd/collab-cloudd.toml``

Serve's own settings say where it listens, whether with TLS, and how many replicas there are; of ``[server]`` only
`max_request_mb`, `token_file` and `insecure` count. It cannot see who reaches Serve, so it does not start without a
token unless `insecure` is set. A package pushed to one replica is found by the others in the store, so replicas on
several machines need a common `state_dir`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ray import serve

from collabd.cloud.api.guard import require_token
from collabd.cloud.asgi import Bridge
from collabd.config import CloudConfig, load

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
    settings = load(CloudConfig, Path(config)).config
    require_token(settings)
    batching = settings.batching
    deployed = serve.deployment(
        name="collab-cloudd",
        ray_actor_options={"num_cpus": settings.engine.threads or 1},
        # With fewer Serve would hold requests back, and the batcher could neither join nor refuse them.
        max_ongoing_requests=batching.queue + batching.max + _BESIDE_THE_QUEUE,
    )
    return deployed(serve.ingress(Bridge(settings))(CloudReplica)).bind()
