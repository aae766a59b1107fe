"""What is wrong with companions: whether they answer, what they hold, their clocks, and the links to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from collabd.catalog.package.package import Package
from collabd.config import LinkSettings
from collabd.device.companions.companion import Companion
from collabd.health.conditions import Code, Sighting
from collabd.sensing.link.probe import next_probe

# Somebody looks after a companion twice a second, so that a probe which is overdue by this cannot be made.
_OVERDUE_S = 2.0
# As `collabctl doctor` judges clocks.
_CLOCKS_AGREE_S = 30.0


def companions_seen(
    companions: Iterable[Companion], link: LinkSettings, packages: Iterable[Package]
) -> Iterator[Sighting]:
    """Of these companions, for a device with these packages. `link`: the settings of the links to them."""
    packages = list(packages)
    for companion in companions:
        name = companion.name
        if not companion.is_up():
            problem = companion.problem or f"{name} has not answered yet"
            yield Sighting(code=Code.COMPANION_LOST, about=name, what=f"the device works without {name}: {problem}")
        if _is_stale(companion, link):
            yield Sighting(
                code=Code.LINK_STALE,
                about=name,
                of=name,
                what=f"the link to {name} was last measured {companion.link_now.age_s:.0f} s ago",
            )
        for package in packages:
            lack = companion.lacks.get(package.digest)
            # 0: something is done about it.
            if lack is not None and lack.until:
                model = package.manifest.name
                yield Sighting(
                    code=Code.DIGEST_MISMATCH, about=f"{name}/{model}", of=name, what=f"{model}: {name} {lack.why}"
                )
        off_s = companion.clock_off_s
        if off_s is not None and abs(off_s) > _CLOCKS_AGREE_S:
            which = "ahead of" if off_s > 0 else "behind"
            yield Sighting(
                code=Code.CLOCK_OFF,
                about=name,
                what=f"the clock of {name} is {abs(off_s):.0f} s {which} the one of this machine",
            )


def _is_stale(companion: Companion, link: LinkSettings) -> bool:
    """Whether calls go by an estimate of the link which should have been renewed a while ago."""
    reading = companion.link_now
    if reading.age_s is None or reading.age_s < _OVERDUE_S:
        return False
    probe = next_probe(
        replace(reading, age_s=reading.age_s - _OVERDUE_S),
        most_bytes=link.probe_kb * 1000,
        stale_s=link.stale_s,
        share=link.probe_share,
        idle_s=companion.clock() - companion.attention.paid_at,
    )
    return probe is not None and not probe.due_s
