#!/bin/sh
# On a fresh Debian or Ubuntu machine: installs what is missing, builds everything, passes every test; then the
# same code under the sanitizers. Stops at the first error.
#   tests/run.sh [--conformance FOLDER]     real models and vocabularies to test against as well
set -eu
cd "$(dirname "$0")/.."
. .ci/packages.sh

conformance=${NIBBLE_CONFORMANCE_DIR:-}
while [ $# -gt 0 ]; do
  case $1 in
    --conformance) conformance=$2; shift 2 ;;
    *) echo "usage: tests/run.sh [--conformance FOLDER]" >&2; exit 2 ;;
  esac
done
if [ -n "$conformance" ]; then
  conformance=$(cd "$conformance" && pwd)
  echo "== conformance data: $conformance"
else
  echo "== NO CONFORMANCE DATA: tests against real models are skipped (--conformance FOLDER)"
fi

# shellcheck disable=SC2086
need $BUILD_PACKAGES catch2 libbenchmark-dev python3 pkg-config
need g++-aarch64-linux-gnu qemu-user ||
  echo "== NO CROSS COMPILER OR NO EMULATOR: tests on other processors are skipped"

# configure PRESET
configure() {
  cmake --preset "$1" -DNIBBLE_CONFORMANCE_DIR="$conformance" -DNIBBLE_PRECOMPILED_HEADERS=ON \
    -DNIBBLE_BENCHMARKS="$([ "$1" = release ] && echo ON || echo OFF)"
}

# build PRESET TARGET...: configures and builds build/PRESET.
build() {
  preset=$1
  shift
  echo "== $preset: building $*"
  configure "$preset"
  cmake --build "build/$preset" --target "$@"
}

# check PRESET CTEST_ARGUMENT...: runs tests of build/PRESET, one for each CPU at a time, behind $prefix where something
# must come first.
prefix=
check() {
  preset=$1
  shift
  echo "== $preset: testing"
  $prefix ctest --test-dir "build/$preset" -j "$(nproc)" --timeout 3600 --output-on-failure \
    --output-log "build/$preset/ctest.log" "$@"
}

# What needs no build comes first: it is soon done, and often what is wrong.
unbuilt='^(lint_(includes|style)|docs)'
configure release
check release -R "$unbuilt"
build release all
check release -E "$unbuilt"

build asan tests_unit tests_determinism tests_fuzz-replay
prefix="env NIBBLE_CUDA_SHAPES=97"  # of the operator table: the emulator is slow here
check asan -L 'unit|determinism|fuzz-replay'
prefix=

# What uses threads. Address-space randomisation can be wider than this sanitizer allows, hence setarch.
build tsan test_kernels test_engine test_session
setarch "$(uname -m)" -R true 2>/dev/null && prefix="setarch $(uname -m) -R"
check tsan -R '^(kernels|engine|session)$'

for preset in release asan tsan; do
  echo "== $preset: $(grep 'tests passed' "build/$preset/ctest.log")"
done
