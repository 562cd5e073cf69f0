#!/usr/bin/env bash
# Installs what Trireme is built from on Debian 12: packages by apt-get, and oneDNN 3.2 (which Debian does not have)
# from the PyPI wheels into .deps/onednn, or into $TRIREME_DEPS_DIR/onednn. What is there already is left alone, so
# that a second run asks no network.
#
#   cluster/install-deps.sh            install what is missing
#   cluster/install-deps.sh --check    only say what is missing; exit code 1 when anything is
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps_dir=${TRIREME_DEPS_DIR:-$repo/.deps}
onednn_dir=$deps_dir/onednn

build_packages=(g++ cmake ninja-build ccache pkg-config git ca-certificates)
library_packages=(openmpi-bin libopenmpi-dev libhdf5-dev hdf5-tools libboost-program-options-dev libspdlog-dev
    libfmt-dev nlohmann-json3-dev libtomlplusplus-dev libxxhash-dev libsodium-dev libhwloc-dev zlib1g-dev
    libjpeg62-turbo-dev libpng-dev libicu-dev)
# pip fetches the oneDNN wheels, Python unpacks them and runs tests, which write HDF5 files and images as others do.
# jobs/report.py draws with matplotlib.
test_packages=(libgtest-dev libgmock-dev clang-format python3 python3-pip python3-h5py python3-pil python3-matplotlib)
packages=("${build_packages[@]}" "${library_packages[@]}" "${test_packages[@]}")

# The newest wheels that need libgomp alone: later ones bring 2.6 GB of SYCL. Their hashes are those of PyPI.
onednn_requirements="onednn-cpu-gomp==2023.2.0 \
--hash=sha256:2f22a54d6a890ed14bfa185d42a4be65d8b5b1df85dc1f0f3a9abe31620416fb
onednn-devel-cpu-gomp==2023.2.0 \
--hash=sha256:9763c69e8c907e119056bd52ad918ca84ac9ba939d130a99dfa95ccca3e5e284"

say() { printf 'install-deps: %s\n' "$*"; }
fail() {
    printf 'install-deps: error: %s\n' "$*" >&2
    exit 1
}

# Prints the packages of the list that dpkg does not have installed, one a line.
missing_packages() {
    local installed
    installed=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "${packages[@]}" 2>/dev/null |
        sed -n 's/^ii *//p') || true
    comm -23 <(printf '%s\n' "${packages[@]}" | sort) <(sort <<<"$installed")
}

has_onednn() {
    grep -qs 'DNNL_VERSION_MAJOR *3' "$onednn_dir/include/oneapi/dnnl/dnnl_version.h" &&
        [ -e "$onednn_dir/lib/libdnnl.so.3.2" ] && [ -e "$onednn_dir/lib/cmake/dnnl/dnnl-config.cmake" ]
}

# Runs a command quietly; its output is shown when it fails.
quietly() {
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

install_packages() {
    local -a as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "packages are missing ($*): run this script as root, or install sudo"
        as_root=(sudo)
    fi
    local -a apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0
        -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
    say "installing $# Debian packages: $*"
    quietly "${apt[@]}" update || fail "apt-get update failed: is the network there, and /etc/apt/sources.list right?"
    quietly "${apt[@]}" install --no-install-recommends "$@" ||
        fail "apt-get install failed (its output is above); this script is made for Debian 12"
}

# Unpacks the wheels beside their place and moves them there at the end: what was interrupted is never taken for done.
install_onednn() {
    [ "$(uname -m)" = x86_64 ] ||
        fail "the oneDNN wheels are for x86-64: build oneDNN 3.2 or newer, install it into $onednn_dir"
    say "fetching oneDNN 3.2 from PyPI into $onednn_dir"
    mkdir -p "$deps_dir"
    work=$(mktemp -d "$deps_dir/onednn.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    printf '%s\n' "$onednn_requirements" >"$work/requirements.txt"
    # The wheels are named by platform, so that any Python may fetch them.
    quietly python3 -m pip --disable-pip-version-check download --no-deps --only-binary :all: --require-hashes \
        -r "$work/requirements.txt" -d "$work" ||
        fail "pip could not fetch oneDNN (its output is above): is pypi.org, or your index in pip.conf, reachable?"
    mkdir "$work/tree"
    local wheel
    for wheel in "$work"/*.whl; do
        python3 -m zipfile -e "$wheel" "$work/unpacked"
    done
    cp -r "$work"/unpacked/*.data/data/. "$work/tree/"
    # A wheel cannot hold links and so has the library three times, 54 MB each.
    ln -sf libdnnl.so.3.2 "$work/tree/lib/libdnnl.so.3"
    ln -sf libdnnl.so.3 "$work/tree/lib/libdnnl.so"
    chmod 755 "$work/tree"
    rm -rf "$onednn_dir"
    mv "$work/tree" "$onednn_dir"
    rm -rf "$work"
    trap - EXIT
    has_onednn || fail "oneDNN was unpacked into $onednn_dir, but is not complete: remove that folder and try again"
}

check_only=no
case ${1:-} in
'') ;;
--check) check_only=yes ;;
-h | --help)
    sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
*) fail "unknown argument '$1' (there is --check)" ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    fail "this is no Debian system: install these libraries by its own means: ${packages[*]}"
fi
mapfile -t missing < <(missing_packages)

if [ "$check_only" = yes ]; then
    for package in "${missing[@]}"; do say "missing: Debian package $package"; done
    has_onednn || say "missing: oneDNN 3.2 in $onednn_dir"
    [ ${#missing[@]} = 0 ] && has_onednn || exit 1
    say "nothing is missing"
    exit 0
fi

[ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
has_onednn || install_onednn
say "ready (${#packages[@]} Debian packages, oneDNN 3.2 in $onednn_dir)"
