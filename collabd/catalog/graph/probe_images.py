"""Images made by rule. They show how a network behaves where there are no photographs, or too few."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# The numbers of three images that differ in brightness and in content, for where few must do.
UNLIKE = (0, 1, 2)
# Of images like photographs: how many, how fast the amplitudes of waves fall with their frequency (Field 1987: somewhat
# faster than 1/f), and the deviations of brightness and colour, in levels.
_PHOTOGRAPH_LIKE = 16
_FALL = 1.6
_CONTRAST, _COLOUR = 55.0, 15.0


def probe_images(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Ten images, uint8 [10, height, width, 3], equal for equal sizes.

    Dark, bright and full noise, patches of colour, gradients both ways, black, grey and white: a value that saturates
    on one of them does not saturate on all.
    """
    rng = np.random.default_rng(0)

    def noise(low: int, high: int) -> npt.NDArray[np.uint8]:
        return rng.integers(low, high, (height, width, 3), dtype=np.uint8)

    patches = rng.integers(0, 256, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8)
    across = np.linspace(0, 255, width)[np.newaxis, :, np.newaxis] * np.array([1.0, 0.5, 0.25])
    down = np.linspace(255, 0, height)[:, np.newaxis, np.newaxis] * np.array([0.25, 1.0, 0.5])
    images = [
        noise(0, 64),
        noise(160, 256),
        patches.repeat(8, axis=0).repeat(8, axis=1)[:height, :width],
        noise(0, 256),
        np.broadcast_to(across, (height, width, 3)),
        np.broadcast_to(down, (height, width, 3)),
        (across + down) / 2,
        *(np.full((height, width, 3), level) for level in (0, 128, 255)),
    ]
    return np.stack([np.asarray(image, np.uint8) for image in images])


def photograph_like(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Sixteen images that show nothing and compress as photographs do, uint8 [16, height, width, 3].

    They are equal for equal sizes. JPEGs of them have the bytes of photographs to within a fifth (32x32, 224x224), and
    so have the features of AlexNet and EfficientNet-Lite0, but for q4.
    """
    rng = np.random.default_rng(1)
    frequency = np.hypot(np.fft.fftfreq(height)[:, np.newaxis], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    waves = rng.standard_normal((_PHOTOGRAPH_LIKE, 4, *frequency.shape, 2)) @ np.array([1, 1j])
    planes = np.fft.irfft2(waves / frequency**_FALL, s=(height, width))
    planes /= np.maximum(planes.std(axis=(2, 3), keepdims=True), np.finfo(np.float64).tiny)
    light, colour = planes[:, :1], planes[:, 1:]
    mixed = 255 / 2 + _CONTRAST * light + _COLOUR * colour
    return np.ascontiguousarray(mixed.clip(0, 255).round().astype(np.uint8).transpose(0, 2, 3, 1))
