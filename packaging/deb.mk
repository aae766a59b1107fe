# Debian packages, built by any user from a copy of what they need.
.PHONY: deb

deb: build/deb/.built  ## Build Debian packages into build/deb (needs: apt install debhelper dh-python python3-all)
	@ls build/deb/*.deb

build/deb/.built: build/wheels/.built Makefile $(shell find packaging etc models/*/package -type f)
	@rm -rf build/deb
	@mkdir -p build/deb/source/build
	@cp -a build/wheels build/deb/source/build
	@cp -a Makefile README.md LICENSE pyproject.toml collabd sdk etc packaging build/deb/source
	@cp -a --parents models/*/package build/deb/source
	@mv build/deb/source/packaging/debian build/deb/source/debian
	@cd build/deb/source && dpkg-buildpackage --build=binary --no-sign
	@rm -rf build/deb/source
	@touch $@
