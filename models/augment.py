"""What the training does to its images: shifted crops, flips, and squares set to zero."""

from __future__ import annotations

import torch

__all__ = ["erase", "shift_and_flip"]

_REACH = 4


def shift_and_flip(images: torch.Tensor) -> torch.Tensor:
    """Shift each image by up to 4 pixels, reflected at the edge, and mirror half of them.

    Takes [count, channels, side, side]; returns the same shape, in channels_last memory order.
    """
    count, _, side, _ = images.shape
    device = images.device
    places = torch.arange(side, device=device)
    rows, columns = (
        _reflected(places + torch.randint(-_REACH, _REACH + 1, (count, 1), device=device), side) for _ in range(2)
    )
    mirrored = torch.rand((count, 1), device=device) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    numbers = torch.arange(count, device=device).view(-1, 1, 1)
    return images[numbers, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)


def erase(images: torch.Tensor, square: int, every: int | None) -> None:
    """Set a square of `square` pixels a side to zero, in place.

    If `every` is None, all images of the batch get the same square; else every `every`-th image gets its own square.
    """
    touched = images if every is None else images[::every]
    number = 1 if every is None else len(touched)
    side = images.shape[-1]
    places = torch.arange(side, device=images.device)
    tops, lefts = (torch.randint(0, side - square + 1, (number, 1), device=images.device) for _ in range(2))
    rows, columns = ((places >= start) & (places < start + square) for start in (tops, lefts))
    touched.masked_fill_((rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1), 0)


def _reflected(places: torch.Tensor, side: int) -> torch.Tensor:
    """The indices with those outside 0..side-1 mirrored at the nearest edge."""
    inside = places.abs()
    return torch.where(inside < side, inside, 2 * (side - 1) - inside)
