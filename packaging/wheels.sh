#!/bin/sh
# wheels.sh DIRECTORY [ARGUMENT OF `pip wheel` ...]: build the wheels of collabd and its SDK into DIRECTORY.
# With the extra `find`: companions that announce themselves are found by devices wherever it is installed as a service.
# With `frigate`: nobody has to add to the service's own environment to open a door for Frigate.
# From a copy: building in the checkout leaves folders whose old modules would go into the next wheel.
set -eu
wheels=$1
shift
source=$(mktemp -d)
trap 'rm -rf "$source"' EXIT
cp -R pyproject.toml README.md LICENSE collabd sdk "$source"
rm -rf "$source"/sdk/build "$source"/sdk/*.egg-info
# On a terminal pip shows how far it is.
[ -t 1 ] && quiet= || quiet=--quiet
build/tools/bin/python -m pip $quiet --disable-pip-version-check wheel --use-pep517 --wheel-dir "$wheels" "$@" "$source/sdk" "$source[find,frigate]"
