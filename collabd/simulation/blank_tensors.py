"""Tensors of a network, all zeros. A simulation does not look at the values of tensors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from collabd.partition import Network


class BlankTensors:
    """The tensors for one image, by name. Each is made once."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._made: dict[str, npt.NDArray[np.generic]] = {}

    def __getitem__(self, name: str) -> npt.NDArray[np.generic]:
        if name not in self._made:
            info = self._network.tensor(name)
            self._made[name] = np.zeros([1 if size is None else size for size in info.shape], info.dtype)
        return self._made[name]
