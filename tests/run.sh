#!/usr/bin/env bash
# Sets up, builds and tests everything; the last line is "N passed, N failed, N skipped". Exit code 0 only when nothing
# failed and every label that must have tests ran some.
#
#   tests/run.sh                   what every change must pass; under 25 minutes on 2 cores
#   tests/run.sh --all             with the longer sweeps of the tests that have one (TRIREME_TEST_ALL=1)
#   tests/run.sh --without-cuda    without the CUDA tool chain (1 GB where the site has none) and what it proves; counted as
#                                  a skip
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

cuda=yes
for argument in "$@"; do
    case $argument in
    --all) export TRIREME_TEST_ALL=1 ;;
    --without-cuda) cuda=no ;;
    -h | --help)
        sed -n '2,8s/^# \{0,1\}//p' tests/run.sh
        exit 0
        ;;
    *)
        echo "tests/run.sh: unknown argument '$argument' (there are --all and --without-cuda)" >&2
        exit 2
        ;;
    esac
done

jobs=$(nproc)
reports=build/test-reports
# Ranks of the mpi tests: they may be more than the cores, and the user may be root (as in containers).
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
# Without it a test would meet the threads of all the others spinning.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
# ThreadSanitizer of GCC 12 does not find its shadow memory where the kernel scatters addresses widely.
fixed_addresses=()
if setarch -R true 2>/dev/null; then fixed_addresses=(setarch -R); fi

# Tests of the other labels start processes of their own, which for the most part wait for each other: with more of them than
# cores the cores are used.
shared_labels='^(unit|multirank|parity|golden|hostrun|async)$'
required=unit,multirank,mpi,parity,golden,faults,hostrun,async
broken_steps=()
left_out=()

step() { printf '\n==> %s (%d s)\n' "$*" "$SECONDS"; }

# build PRESET TARGET...
build() {
    local preset=$1
    shift
    step "build $preset: $*"
    local log=build/$preset-configure.log
    mkdir -p build
    if ! cmake --preset "$preset" >"$log" 2>&1; then
        cat "$log"
        broken_steps+=("configure $preset")
        return 1
    fi
    if ! cmake --build --preset "$preset" --parallel "$jobs" --target "$@" -- --quiet; then
        broken_steps+=("build $preset")
        return 1
    fi
}

# run_tests REPORT PRESET CTEST_ARGUMENT...; failures are counted from the report, and so is a missing report.
run_tests() {
    local report=$1 preset=$2
    shift 2
    step "test $report"
    expected+=("$reports/$report")
    # ctest keeps the list of a program's cases as long as the program stays: with --all there are more.
    find "build/$preset/tests" -name '*_tests.cmake' -delete
    "${fixed_addresses[@]}" ctest --preset "$preset" --output-junit "$PWD/$reports/$report.xml" "$@"
    ctest --preset "$preset" --show-only=json-v1 "$@" >"$reports/$report.json"
}

rm -rf "$reports"
mkdir -p "$reports"
expected=()

step "set-up"
set_up=(cluster/install-deps.sh)
[ $cuda = yes ] || set_up+=(--without-cuda)
"${set_up[@]}" || broken_steps+=("set-up")

if build release all; then
    # Fuzzing is for asan, which sees more.
    run_tests release release -L "$shared_labels" -E Fuzz --parallel "$jobs"
    run_tests release-processes release -LE "$shared_labels" --parallel "$((jobs + 1))"
fi
if build asan tests_unit tests_multirank; then run_tests asan asan --parallel "$jobs"; fi
if build tsan tests_threads tests_multirank; then run_tests tsan tsan --parallel "$jobs"; fi
# Of the CUDA build what has CUDA in it: tests that need the tool chain but no GPU, and those on the GPU where one is. All
# others ran above.
if [ $cuda = yes ]; then
    required+=,deviceless,emulated
    if build cuda trireme tests_deviceless tests_gpu tests_emulated; then
        run_tests cuda cuda -L '^(deviceless|emulated)$' --parallel "$jobs"
        if build/cuda/bin/gpu_device --gtest_filter=GpuDevice.TellsWhatItIs | grep '^GPU: '; then
            run_tests cuda-gpu cuda -L '^gpu$'
        else
            left_out+=(--skipped "[cuda] label gpu: no GPU can be used here; its tests were compiled (tests/gpu/run_all.sh runs them where one is)")
        fi
    fi
else
    left_out+=(--skipped "[cuda] all: --without-cuda was asked for, so nothing is compiled for GPUs or asked of cuDNN and cuBLASLt")
fi

step "result"
python3 tests/summarize.py --require "$required" --broken "$(IFS=,; echo "${broken_steps[*]}")" \
    "${left_out[@]}" "${expected[@]}"
