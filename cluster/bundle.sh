#!/usr/bin/env bash
# Makes a folder that runs Trireme on hosts without its packages: the binary, the libraries that it needs beyond glibc
# (2.36 or newer) and the NVIDIA driver, and Open MPI's own files. It may lie anywhere and be moved. docs/bundle.md tells more.
#
#   cluster/bundle.sh DIR                           from build/cuda where that is, else from build/release
#   cluster/bundle.sh --build build/release DIR     from another build
#   cluster/bundle.sh --with-cuda-libraries DIR     with cuDNN, cuBLASLt and NVRTC (1.2 GB), for hosts that lack them
#   cluster/bundle.sh --with-gpu-tests DIR          with the programs that tests/gpu/run_all.sh --programs DIR/bin runs
#   cluster/bundle.sh --unpacked-onednn DIR         with the kernels for cores as they are (33 MB more), not packed
#   cluster/bundle.sh --without-onednn DIR          without the kernels for cores: for GPUs alone
#   cluster/bundle.sh --without-mpi DIR             without Open MPI, for hosts whose own (4.1, libmpi.so.40) is to be used
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf 'bundle: %s\n' "$*"; }
fail() {
    printf 'bundle: error: %s\n' "$*" >&2
    exit 1
}

build=
out=
cuda_libraries=no
programs=(trireme)
onednn=packed
mpi=yes
while [ $# -gt 0 ]; do
    case $1 in
    --build)
        [ $# -gt 1 ] || fail "--build wants a build folder"
        build=$2
        shift
        ;;
    --with-cuda-libraries) cuda_libraries=yes ;;
    --with-gpu-tests) programs+=(gpu_device gpu_cublaslt gpu_cudnn gpu_parity) ;;
    --unpacked-onednn) onednn=whole ;;
    --without-onednn) onednn=no ;;
    --without-mpi) mpi=no ;;
    -h | --help)
        sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        exit 0
        ;;
    -*) fail "unknown argument '$1' (there are --build, --with-cuda-libraries, --with-gpu-tests, --unpacked-onednn, --without-onednn and --without-mpi)" ;;
    *)
        [ -z "$out" ] || fail "one folder is made at a time: $out or $1?"
        out=$1
        ;;
    esac
    shift
done
[ -n "$out" ] || fail "name the folder to make: cluster/bundle.sh DIR"
if [ -z "$build" ]; then
    build=$repo/build/release
    [ -x "$repo/build/cuda/bin/trireme" ] && build=$repo/build/cuda
fi
binary=$build/bin/trireme
[ -x "$binary" ] || fail "$binary is not there: build it first (cmake --preset cuda && cmake --build --preset cuda --target trireme)"
for tool in patchelf objdump strip cc ldd gzip; do
    command -v $tool >/dev/null || fail "$tool is missing (Debian: apt-get install patchelf binutils gcc)"
done
# A folder that something else lies in is not emptied.
[ ! -e "$out" ] || [ -e "$out/share/trireme/bundle.txt" ] || fail "$out exists and is no bundle: name another folder"

work=$(mktemp -d "$(dirname "$out")/bundle.XXXXXX")
trap 'rm -rf "$work"' EXIT
tree=$work/tree
mkdir -p "$tree"/{bin,lib,libexec,share/trireme}

# glibc belongs to the host, and so does what speaks to the driver.
of_the_host='^(ld-linux.*|lib(c|m|mvec|pthread|dl|rt|resolv|util|anl|nsl)|libcuda|libnvidia-.*)\.so'
# HDF5 calls these for files in Amazon's S3, which Trireme never opens. With the 20 libraries behind them they would take 16 MB:
# stand-ins that refuse take none.
stood_in='^lib(curl|crypto)\.so'

needed() { objdump -p "$1" | awk '$1 == "NEEDED" {print $2}'; }

# collect FILE...: copies the libraries that they need, and those that these need, to lib/. ldd knows where each lies.
declare -A done_with=()
collect() {
    local file name path
    for file in "$@"; do
        local map
        map=$(ldd "$file")
        for name in $(needed "$file"); do
            [ -z "${done_with[$name]:-}" ] || continue
            done_with[$name]=yes
            [[ $name =~ $of_the_host || $name =~ $stood_in ]] && continue
            [ $onednn != no ] || [[ ! $name =~ ^libdnnl\.so ]] || continue
            [ $mpi = yes ] || [[ ! $name =~ ^lib(mpi|open-rte|open-pal)\.so ]] || continue
            path=$(awk -v name="$name" '$1 == name && $2 == "=>" && $3 ~ /^\// {print $3; exit}' <<<"$map")
            [ -n "$path" ] || fail "$name, which $file needs, is not found on this host"
            cp -L "$path" "$tree/lib/$name"
            collect "$path"
        done
    done
}

# called PATTERN FILE...: what they call of other libraries, as far as objdump's line ends in the pattern.
called() {
    local pattern=$1
    shift
    for file in "$@"; do objdump -T "$file"; done | sed -n '/\*UND\*/'"s/.*$pattern\$/\\1/p" | sort -u
}

# link_stand_in SONAME OPTION...: makes a library of $work/stand_in.c.
link_stand_in() {
    local soname=$1
    shift
    cc -shared -fPIC -fno-builtin -w -Wl,-soname,"$soname" "$@" -o "$tree/lib/$soname" "$work/stand_in.c"
}

# stand_in SONAME VERSION: a library with those functions that the bundled libraries call of it; each gives 0 or null.
stand_in() {
    local soname=$1 version=$2 functions
    functions=$(called "($version) *\([A-Za-z0-9_]*\)" "$tree"/lib/*.so*)
    [ -n "$functions" ] || return 0
    for name in $functions; do echo "void *$name(void) { return 0; }"; done >"$work/stand_in.c"
    { echo "$version { global:"; printf '%s;\n' $functions; echo "local: *; };"; } >"$work/stand_in.map"
    link_stand_in "$soname" -Wl,--version-script,"$work/stand_in.map"
}

functions_of_onednn() { called ' \(dnnl_[a-z0-9_]*\)' "$tree"/libexec/*; }

# The functions of oneDNN: whoever asks for more than its version has asked for kernels on cores.
stand_in_onednn() {
    local name
    {
        cat <<'C'
#include <stdio.h>
#include <unistd.h>
static void refuse(void) {
    fputs("trireme: DeviceError: this bundle was made without oneDNN, for GPUs alone: set job.device to cuda, or make a bundle "
          "without --without-onednn\n", stderr);
    _exit(4);
}
struct version { int major, minor, patch; const char *hash; unsigned cpu, gpu; };
const struct version *dnnl_version(void) { static const struct version none; return &none; }
int dnnl_get_effective_cpu_isa(void) { return 0; }
C
        for name in $(functions_of_onednn); do
            case $name in dnnl_version | dnnl_get_effective_cpu_isa) ;; *) echo "void $name(void) { refuse(); }" ;; esac
        done
    } >"$work/stand_in.c"
    link_stand_in libdnnl.so.3
}

# The functions of oneDNN that the programs call, and the library itself packed (packed_library.c). What jumps is written for
# x86-64.
pack_onednn() {
    local library=$tree/lib/libdnnl.so.3 index=0 name
    [ "$(uname -m)" = x86_64 ] && [ -e "$library" ] || return 0
    gzip -9 -n <"$library" >"$library.gz"
    for name in $(functions_of_onednn); do
        echo "PACKED($index, $name)"
        index=$((index + 1))
    done >"$work/packed_functions.h"
    cc -std=gnu11 -O2 -Wall -Wextra -Werror -shared -fPIC -Wl,-soname,libdnnl.so.3 "-DPACKED_LIBRARY=\"libdnnl.so.3\"" -I"$work" \
        -o "$library" "$repo/cluster/packed_library.c" -lz
    strip --strip-unneeded "$library"
    collect "$library"
}

# Open MPI finds its plugins and texts by OPAL_*, which the programs of bin/ set. Plugins for networks and launchers whose
# libraries are not among those of the bundle are left out, and so are those of MPI's functions that Trireme does not call.
bundle_mpi() {
    local plugins texts file name foreign
    plugins=$(ompi_info --path pkglibdir | sed 's/.*: //')
    texts=$(ompi_info --path pkgdatadir | sed 's/.*: //')
    [ -d "$plugins" ] && [ -d "$texts" ] || fail "Open MPI's files are not where ompi_info says: $plugins, $texts"
    mkdir -p "$tree/lib/openmpi" "$tree/share/openmpi" "$tree/etc/openmpi"
    for file in "$plugins"/mca_*.so; do
        name=${file##*/}
        [[ $name =~ ^mca_(io|fs|fcoll|fbtl|sharedfp|osc|spml|scoll|memheap|sshmem|atomic|topo|vprotocol|crs|op|mtl)_ ]] && continue
        [[ $name =~ ^mca_(coll_(adapt|han)|pmix_flux|schizo_(flux|jsm)|ras_(simulator|gridengine))\.so ]] && continue
        foreign=$(needed "$file" | grep -vE "$of_the_host" |
            grep -vE '^lib(mpi|open-rte|open-pal|hwloc|event.*|z|pmix|mca_common_sm)(-[0-9.]+)?\.so' || true)
        [ -z "$foreign" ] || continue
        cp "$file" "$tree/lib/openmpi/"
        collect "$file"
    done
    cp "$texts"/help-*.txt "$tree/share/openmpi/"
    cp -L "$(command -v orterun)" "$tree/libexec/orterun"
    cp -L "$(command -v orted)" "$tree/libexec/orted"
    collect "$tree/libexec/orterun" "$tree/libexec/orted"
    echo "# What this host's Open MPI is configured for is not for the one of this bundle." >"$tree/etc/openmpi/openmpi-mca-params.conf"
}

# PMIx, by which Open MPI's processes find each other, has plugins and texts of its own where it is a library of its own.
bundle_pmix() {
    local library folder
    library=$(ldd "$tree"/lib/openmpi/mca_pmix_*.so | awk '$1 ~ /^libpmix\.so/ && $3 ~ /^\// {print $3; exit}')
    [ -n "$library" ] || return 0
    library=$(readlink -f "$library")
    for folder in "${library%/*}" "${library%/*}/pmix2/lib"; do
        [ -d "$folder/pmix" ] || continue
        mkdir -p "$tree/lib/pmix" "$tree/share/pmix"
        cp "$folder"/pmix/pmix_mca_*.so "$tree/lib/pmix/"
        cp "$folder"/../share/pmix/help-*.txt "$tree/share/pmix/"
        collect "$tree"/lib/pmix/*.so
        return 0
    done
}

# Programs are started by a small script that says where the bundle lies.
starter() {
    cat >"$tree/bin/$1" <<'START'
#!/bin/sh
# Finds its folder, also through links, and says to Open MPI where its files lie.
self=$0
while [ -h "$self" ]; do
    link=$(readlink "$self")
    case $link in /*) self=$link ;; *) self=${self%/*}/$link ;; esac
done
case $self in */*) folder=${self%/*} ;; *) folder=. ;; esac
home=$(cd "$folder/.." && pwd) || exit 1
START
    if [ $mpi = yes ]; then
        cat >>"$tree/bin/$1" <<'START'
export OPAL_PREFIX="$home" OPAL_BINDIR="$home/bin" OPAL_LIBDIR="$home/lib" OPAL_PKGLIBDIR="$home/lib/openmpi"
export OPAL_PKGDATADIR="$home/share/openmpi" OPAL_SYSCONFDIR="$home/etc/openmpi" PMIX_PREFIX="$home"
export PMIX_PKGLIBDIR="$home/lib/pmix" PMIX_PKGDATADIR="$home/share/pmix"
# Open MPI gives up where it finds no ssh, even for processes of this host alone.
command -v ssh >/dev/null || command -v rsh >/dev/null || export OMPI_MCA_plm="${OMPI_MCA_plm:-^rsh}"
START
    fi
    # shellcheck disable=SC2016
    printf 'exec "$home/libexec/%s" "$@"\n' "$2" >>"$tree/bin/$1"
    chmod 755 "$tree/bin/$1"
}

bundle_cuda_libraries() {
    local folder found name cuda
    cuda=$(needed "$binary" | sed -n 's/^libcudart\.so\.//p')
    [ -n "$cuda" ] || fail "$binary has no CUDA back end: was it built with the preset cuda?"
    for name in libcudnn.so.9 "libcublasLt.so.$cuda" "libnvrtc.so.$cuda"; do
        found=
        for folder in $(objdump -p "$binary" | awk '$1 == "RUNPATH" || $1 == "RPATH" {gsub(":", " ", $2); print $2}'); do
            [ -e "$folder/$name" ] && found=$folder && break
        done
        [ -n "$found" ] || fail "$name is in no folder that $binary was linked against"
        cp -L "$found/$name" "$tree/lib/"
        case $name in
        libcudnn*) cp -L "$found"/libcudnn_*.so.9 "$tree/lib/" ;;
        libnvrtc*) cp -L "$found"/libnvrtc-builtins.so.* "$tree/lib/" ;;
        esac
    done
}

say "from $build"
for program in "${programs[@]}"; do
    [ -x "$build/bin/$program" ] || fail "$build/bin/$program is not there: cmake --build $build --target tests_gpu"
    cp "$build/bin/$program" "$tree/libexec/$program"
    collect "$build/bin/$program"
    starter "$program" "$program"
done
if [ $mpi = yes ]; then
    bundle_mpi
    bundle_pmix
    starter mpirun orterun
    starter orted orted
fi
[ $onednn != no ] || stand_in_onednn
stand_in libcurl.so.4 CURL_OPENSSL_4
stand_in libcrypto.so.3 OPENSSL_3.0.0

# The programs have an RPATH and not a RUNPATH: it holds for the libraries of their libraries too, and comes before
# LD_LIBRARY_PATH, whose libraries are of other versions. It holds only for files without a RUNPATH of their own.
for file in "$tree"/libexec/* "$tree"/lib/*.so* "$tree"/lib/openmpi/*.so "$tree"/lib/pmix/*.so; do
    [ -e "$file" ] || continue
    chmod 755 "$file"
    strip --strip-unneeded "$file"
    case $file in
    "$tree"/libexec/*) patchelf --force-rpath --set-rpath '$ORIGIN/../lib' "$file" ;;
    *) [ -z "$(patchelf --print-rpath "$file")" ] || patchelf --remove-rpath "$file" ;;
    esac
done
[ $onednn != packed ] || pack_onednn
[ $cuda_libraries = no ] || bundle_cuda_libraries

{
    echo "Trireme bundle of $(date -u +%Y-%m-%d), built on $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release)"
    "$binary" version
} >"$tree/share/trireme/bundle.txt"
rm -rf "$out"
mv "$tree" "$out"
say "$out: $(du -sb "$out" | awk '{printf "%.1f MB", $1 / 1e6}'), $(find "$out" -name '*.so*' ! -name '*.gz' | wc -l) libraries"
