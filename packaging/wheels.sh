#!/bin/sh
# wheels.sh DIRECTORY [ARGUMENT OF `pip wheel` ...]: build the wheels of collabd and its SDK into DIRECTORY.
# From a copy: building in the checkout leaves folders whose old modules would go into the next wheel.
set -eu
wheels=$1
shift
source=$(mktemp -d)
trap 'rm -rf "$source"' EXIT
cp -R pyproject.toml README.md LICENSE collabd sdk "$source"
rm -rf "$source"/sdk/build "$source"/sdk/*.egg-info
build/tools/bin/python -m pip --quiet --disable-pip-version-check wheel --use-pep517 --wheel-dir "$wheels" "$@" "$source/sdk" "$source"
