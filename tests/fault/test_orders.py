"""The orders of `make chaos`: what is drawn, so that every kind of plan is called for."""

from __future__ import annotations

from random import Random

import msgspec

from collab_sdk.vocabulary import Sureness
from collabd.catalog.package.little import Ladder, Little, Threshold
from collabd.catalog.package.package import Package
from tests.chaos.orders import NO_DEADLINE, SHARES, Drawer, Order

LIMITS = {("alexnet_cifar10", kind): 100.0 for kind in SHARES if kind != NO_DEADLINE}


def drawn(package: Package) -> list[Order]:
    drawer = Drawer({"alexnet_cifar10": package}, {"alexnet_cifar10": ["0"]}, 0.1, Random(1))
    return [order for order in drawer.mixed(400, LIMITS) if order.cut is None and order.deadline == NO_DEADLINE]


def test_a_pair_is_also_called_for_without_int8_so_that_its_little_network_is_worth_asking(
    tiny_package: Package,
) -> None:
    assert {order.precision for order in drawn(tiny_package)} == {None}
    threshold = Threshold(least=0.8, share=0.5, sure_share=0.6, agreed=298, images=300)
    ladder = Ladder(score=Sureness.MARGIN, thresholds=(threshold,))
    little = Little(package="small", digest=f"sha256:{'a' * 64}", ladders=(ladder,))
    manifest = msgspec.structs.replace(tiny_package.manifest, little=little)
    pair = Package(tiny_package.path, manifest, tiny_package.digest)
    precisions = [order.precision for order in drawn(pair)]
    assert 0.3 < precisions.count("fp32") / len(precisions) < 0.7
    assert {*precisions} == {None, "fp32"}
