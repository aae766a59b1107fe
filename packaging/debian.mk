# The whole product built, installed and tested on another release of Debian, in a root of its own.
.PHONY: test-debian test-installed
# That of today's Raspberry Pi OS.
RELEASE ?= trixie
# What to make there; `check` is all that CI runs.
GOALS ?= test-installed

test-debian:  ## Run tests on a release of Debian, as root: make test-debian [RELEASE=bookworm] [GOALS=check] (apt install debootstrap)
	@[ "$$(id -u)" = 0 ] || { echo "this target mounts file systems and needs root: sudo make test-debian" >&2; exit 1; }
	@unshare --mount --pid --fork --kill-child tests/debian/run.sh $(RELEASE) make --no-print-directory $(GOALS)

test-installed: $(VENV)/dev  ## Run the tests of what is installed: make install, the Debian packages, the services
	@$(BIN)/python -m pytest -m 'system or packaging' tests/system tests/packaging/test_install.py tests/packaging/test_deb.py
