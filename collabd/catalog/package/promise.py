"""What counted agreement promises: less than it shows, and the less the fewer pictures were counted."""

from __future__ import annotations

from math import sqrt

# How many standard deviations a promise lies below what was counted: five promises in six are kept.
_PROMISED = 1.0
# As many above it, and hardly any fidelity is better.
_CONCEIVABLE = 3.0


def promised(agreed: float, images: float) -> float:
    """The fidelity, 0..1, that `agreed` of `images` promise. Both may be parts of pictures; without any it is 0.

    It is the lower bound of Wilson's interval (1927): 50 of 50 promise 98.0 %, 100 of 100 promise 99.0 %, 1,000 of
    1,000 promise 99.9 %, and 990 of 1,000 promise 98.6 %. The mean would promise too much wherever the best of many
    codecs, or a threshold, is picked by counts: those picked had luck.
    """
    return _lower_bound(agreed, images, _PROMISED)


def conceivable(agreed: float, images: float) -> float:
    """The highest fidelity, 0..1, that `agreed` of `images` leave conceivable. Without any it is 1."""
    return 1 - _lower_bound(images - agreed, images, _CONCEIVABLE)


def _lower_bound(agreed: float, images: float, deviations: float) -> float:
    if images <= 0:
        return 0.0
    share, doubt = agreed / images, deviations**2 / images
    bound = share + doubt / 2 - sqrt(doubt * (share * (1 - share) + doubt / 4))
    return max(bound / (1 + doubt), 0.0)
