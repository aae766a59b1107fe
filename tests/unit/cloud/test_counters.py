"""What is counted by name stays bounded, whatever the names are that devices give their packages."""

from __future__ import annotations

from collab_sdk import wire
from collabd.cloud.counters import CloudCounters


def test_the_names_of_packages_do_not_grow_without_end() -> None:
    counters, request = CloudCounters(), wire.InferRequest([], outputs=[])
    for number in [*range(500), 0, 499]:
        with counters.counted(f"net-{number}", request):
            pass
    lines = [
        line for line in counters.metrics().decode().splitlines() if line.startswith("collab_cloud_requests_total")
    ]
    assert len(lines) == 101
    assert 'collab_cloud_requests_total{model="net-0",outcome="ok"} 2.0' in lines
    assert 'collab_cloud_requests_total{model="(others)",outcome="ok"} 401.0' in lines
