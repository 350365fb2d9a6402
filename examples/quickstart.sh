#!/bin/sh
# From a fresh Debian or Ubuntu machine to generated text: installs what is missing, builds the library and its
# command-line program, and lets the bundled demo model write. Arguments replace the prompt.
set -eu
cd "$(dirname "$0")/.."
. .ci/packages.sh
# shellcheck disable=SC2086
need $BUILD_PACKAGES

echo "== building the library and the command-line program (build/quickstart)"
cmake -S . -B build/quickstart -G Ninja -DCMAKE_BUILD_TYPE=Release -DNIBBLE_TESTS=OFF
cmake --build build/quickstart --target nibble_cli

prompt=${*:-"Once upon a time"}
echo "== nibble generate -p \"$prompt\""
build/quickstart/bin/nibble generate -p "$prompt" -n 160 --temp 0.6 --echo
