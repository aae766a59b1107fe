# The whole product installed on arm64, emulated, beside the same on this machine.
.PHONY: test-arm64

# Whoever called sudo makes the virtual environment; namespaces of its own take mounts and processes with them.
test-arm64:  ## Install and run on emulated arm64: make test-arm64 [RELEASE=bookworm] (root; apt install debootstrap qemu-user-static)
	@[ "$$(id -u)" = 0 ] || { echo "this target mounts file systems and needs root: sudo make test-arm64" >&2; exit 1; }
	@$(if $(SUDO_USER),sudo -u $(SUDO_USER)) $(MAKE) --silent --no-print-directory $(VENV)/run VENV=$(VENV)
	@unshare --mount --pid --fork --kill-child tests/arm64/run.sh $(BIN)/python $(RELEASE)
