"""The version of all that this repository makes: the SDK, which is installed alone too, both daemons, the packages.

Whatever has to say it once more is compared with it in tests/packaging/test_version.py.
"""

__version__ = "0.1.0"
