"""Tensors of a network, all zeros: what they hold takes no part in a simulation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from collabd.partition import Network


class BlankTensors:
    """By name, each made once, for one image."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._made: dict[str, npt.NDArray[np.generic]] = {}

    def __getitem__(self, name: str) -> npt.NDArray[np.generic]:
        if name not in self._made:
            info = self._network.tensor(name)
            self._made[name] = np.zeros([1 if size is None else size for size in info.shape], info.dtype)
        return self._made[name]
