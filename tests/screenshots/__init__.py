"""The pictures of docs/images, made again: `python -m tests.screenshots.plots` draws those of `--plot`."""
