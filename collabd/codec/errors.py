"""The one error of the codec."""


class CodecError(ValueError):
    """An array that a codec cannot carry, or bytes that are not what their parameters and shape claim."""
