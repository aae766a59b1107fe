#!/bin/sh
# venv.sh PYTHON WHEELS DESTDIR VENV: a private virtual environment for VENV, staged below DESTDIR, without a network.
# It is made beside the old one and takes its place when it is whole. Nothing in it names the path where it was made.
set -eu
python=$1 wheels=$2 final=$4 target=$3$4
new=$target.new old=$target.old
umask 022

rm -rf "$new" "$old"
mkdir -p "$(dirname "$target")"
"$python" -m venv --without-pip "$new"
build/tools/bin/python -m pip --python "$new/bin/python" --quiet --disable-pip-version-check install \
    --no-index --find-links "$wheels" --no-compile --no-warn-script-location --root-user-action=ignore 'collabd[find,frigate]'

# Everything is started as `python -m`; the scripts would name the path of the staging.
find "$new/bin" -type f -delete
find "$new/lib" -path '*.dist-info/RECORD' -exec sed -i '/^[./]*\/bin\//d' {} +
# An eighth of what pip installed is the packages' own tests.
find "$new/lib" -depth -type d \( -name tests -o -path '*/onnx/backend/test' \) -exec rm -r {} +
sed -i '/^command = /d' "$new/pyvenv.cfg"
find "$new/lib" -type f ! -name '*.so*' -exec chmod a-x {} +
# By content, not by time: packaging tools change times.
"$python" -m compileall -q --invalidation-mode unchecked-hash -s "$new" -p "$final" "$new/lib"

[ ! -e "$target" ] || mv "$target" "$old"
mv "$new" "$target"
rm -rf "$old"
