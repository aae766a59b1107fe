# What a version is published as: docs/releasing.md.
.PHONY: version release test-release

$(VENV)/release: $(VENV)/run
	@$(PIP) install -e ./sdk -e '.[release]'
	@touch $@

version: $(VENV)/run  ## Write the version of the next release wherever it stands: make version TO=1.2.3
	@$(BIN)/python -m release.version $(TO)

release: $(VENV)/release  ## Make the release of the tag that is checked out, into dist
	@$(BIN)/python -m release

test-release: $(VENV)/dev $(VENV)/release  ## Make a release twice, in two places, and compare
	@$(BIN)/python -m pytest -m packaging tests/packaging/test_release.py
