"""The little network of a pair in a simulation: its time on the device, and what it answers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from collab_sdk.errors import InvalidRequest
from collab_sdk.vocabulary import Precision
from collabd.catalog.package.manifest import Classify, Manifest
from collabd.catalog.package.package import Package
from collabd.catalog.package.sureness import sureness
from collabd.device.models.model import DeviceModel
from collabd.profiling.profile import Profile
from collabd.simulation.answers import UNSPLIT, Answers
from collabd.simulation.pictures import Frames, ShownPictures
from collabd.tasks.tensors import Outputs


class SimulatedLittle:
    """The little network that the package of `big` names."""

    def __init__(self, big: Manifest, package: Package, *, profile: Profile, pictures: ShownPictures) -> None:
        """Raises `InvalidRequest` if `package` is another network, or takes its pictures in another way."""
        if big.little is None or big.little.digest != package.digest:
            raise InvalidRequest(f"{big.name} is not paired with this {package.manifest.name}")
        if big.picture != package.manifest.picture:
            raise InvalidRequest(f"{package.manifest.name} takes pictures in another form than {big.name}")
        self._package = package
        self._profile = profile
        self._scores = {ladder.precision: ladder.score for ladder in big.little.ladders}
        self._answers = Answers(package, pictures)

    def model(self) -> DeviceModel:
        """The network as a daemon loads it."""
        model = DeviceModel(self._package, self._package.networks())
        model.take_profile(self._profile)
        return model

    def run_s(self, precision: Precision) -> float:
        """The seconds of a run on an idle device."""
        return self._profile.whole_s(precision)

    def outputs(self, frames: Frames, precision: Precision) -> Outputs:
        """The outputs for each of the frames, stacked."""
        return self._answers.of(UNSPLIT._replace(head=precision, tail=precision), frames)

    def is_sure(self, frames: Frames, precision: Precision, least: float) -> npt.NDArray[np.bool_]:
        """Of which of the frames it is sure, bool [frames], where this is the least sureness."""
        manifest = self._package.manifest
        assert isinstance(manifest.task, Classify)  # noqa: S101 (no other network is paired)
        (output,) = manifest.output_names
        scores = np.asarray(self.outputs(frames, precision)[output], np.float32)
        return np.asarray(sureness(scores, manifest.task.output_kind, self._scores[precision]) >= least)
