# need PACKAGE...: installs what this Debian or Ubuntu machine lacks, as root or through sudo, and asks nothing.
# Sourced by examples/quickstart.sh and tests/run.sh.
need() {
  if ! command -v dpkg >/dev/null; then
    echo "== no Debian or Ubuntu: going on in the hope that what corresponds to these is here: $*"
    return
  fi
  missing=
  for package in "$@"; do
    dpkg -s "$package" 2>/dev/null | grep -q '^Status: install ok installed' || missing="$missing $package"
  done
  [ -z "$missing" ] && return
  echo "== installing$missing"
  as_root=
  [ "$(id -u)" -eq 0 ] || as_root=sudo
  $as_root apt-get update -q
  # shellcheck disable=SC2086
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
}

# What the library itself is built with.
BUILD_PACKAGES="g++ cmake ninja-build libeigen3-dev libxsimd-dev nlohmann-json3-dev libpcre2-dev libutf8proc-dev libcli11-dev libedit-dev"
