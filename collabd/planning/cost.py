"""What a companion charges for an exchange: one formula, for what is predicted and for what is billed."""

from __future__ import annotations

from typing import Protocol

from collabd.planning.energy import Figure


class Prices(Protocol):
    """Of a companion, in a currency of the user's choice."""

    @property
    def price_per_gb(self) -> float:
        """For 10^9 bytes, up or down."""

    @property
    def price_per_second(self) -> float:
        """For the layers that the companion runs."""

    @property
    def price_per_request(self) -> float:
        """For each exchange."""


def exchange_cost(prices: Prices, *, moved_bytes: Figure, run_s: Figure, requests: Figure) -> Figure:
    """For bytes up and down, and seconds of layers run. As `energy_j`, it holds for coefficients as well."""
    return (
        prices.price_per_gb / 1e9 * moved_bytes + prices.price_per_second * run_s + prices.price_per_request * requests
    )
