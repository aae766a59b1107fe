"""What companions answer in a reduced precision, for the audit: no device computes in one itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from collabd.device.companions.answers import Question, Tensors
from collabd.device.companions.companion import Companion
from collabd.device.companions.failures import CompanionFailure
from collabd.device.fidelity.figures import reduced_row
from collabd.device.fidelity.row import Row
from collabd.device.job.job import Crossing
from collabd.device.models.model import DeviceModel
from collabd.device.run.features import encode_features, read_outputs

# Lossless.
_SENT = Crossing("u8", None, decode_s=0.0, rest_s=0.0)


async def reduced_answer(  # noqa: PLR0917  the first is bound once
    companions: Sequence[Companion], model: DeviceModel, row: Row, pixels: npt.NDArray[np.uint8]
) -> Tensors | None:
    """The outputs of the network for `pixels`, its input, in the precision of the row, by a companion of the row.

    None: there is none that is free and answers so. One that costs money is not asked.
    """
    companion = next((each for each in companions if _may_be_asked(each, model.digest, row)), None)
    if companion is None:
        return None
    question = Question(
        model=model.manifest.name,
        digest=model.digest,
        inputs=encode_features({model.inputs[0]: pixels}, _SENT, model),
        outputs=model.outputs,
        bytes_down=sum(model.network.tensor(name).nbytes for name in model.outputs),
        read=partial(read_outputs, model, model.outputs),
        packed=model.packed,
        precision=row.tail,
    )
    try:
        answer = await companion.infer(question)
    except CompanionFailure:
        return None  # the companion has noted it
    return answer.outputs if answer.precision == row.tail else None


def _may_be_asked(companion: Companion, digest: str, row: Row) -> bool:
    cloud, profile = companion.cloud, companion.profiles.get(digest)
    costs = cloud.price_per_gb or cloud.price_per_second or cloud.price_per_request
    offers = profile is not None and row.tail in profile.precisions and reduced_row(profile) == row
    return offers and not costs and companion.is_up() and not companion.is_busy and not companion.is_asked
