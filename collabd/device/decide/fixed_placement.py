"""Calls that state the cut or the placement themselves."""

from __future__ import annotations

from collab_sdk.errors import InvalidPlacement
from collabd.codec import IMAGE_CODECS
from collabd.device.job.image import CallImage
from collabd.device.job.options import CallOptions
from collabd.device.job.placement import LOCAL_CUT, NO_CODEC, head_layers_of, parse_placement, single_cut
from collabd.device.models.model import DeviceModel
from collabd.planning.candidates import SOURCE


def fixed_placement(options: CallOptions, model: DeviceModel) -> str:
    """One letter a layer. Raises `InvalidPlacement`."""
    manifest = model.manifest
    if options.placement is not None:
        return parse_placement(options.placement, manifest)
    return single_cut(head_layers_of(options.cut or LOCAL_CUT, manifest), len(manifest.layers))


def cut_name(model: DeviceModel, placement: str) -> str:
    """The cut that a placement with one crossing is; otherwise the placement itself."""
    head = placement.count("D")
    layers = model.manifest.layers
    if placement != single_cut(head, len(layers)):
        return placement
    if head == len(layers):
        return LOCAL_CUT
    return model.manifest.cuts[0].name if head == 0 else layers[head - 1].name


def fixed_codec(options: CallOptions, placement: str, photo: CallImage) -> str:
    """The codec that the call states, or the lossless one. Raises `InvalidPlacement` where it does not fit."""
    if "C" not in placement:
        return NO_CODEC
    image_cut = placement.startswith("C")
    codec = options.codec or ("u8" if image_cut else "f32")
    if codec in (*IMAGE_CODECS, SOURCE) and not image_cut:
        raise InvalidPlacement(f"codec {codec} is for the image, but the first layer runs on the device")
    if codec == SOURCE and ("D" in placement or photo.file_bytes is None):
        raise InvalidPlacement(
            "codec source sends an image file as it came: give a file, and place all layers on the companion"
        )
    return codec
