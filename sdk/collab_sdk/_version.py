"""The one version of the SDK, both daemons and the Debian packages. It is here because the SDK is also installed alone.

tests/packaging/test_version.py compares every other place that states the version with this one.
"""

__version__ = "0.1.0"
