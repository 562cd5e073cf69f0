#!/usr/bin/env bash
# From a bare Debian 12 to a trained network: installs what is missing, builds, imports MNIST into HDF5 shards, trains
# LeNet on 2 ranks under mpirun and evaluates it on the test split. Run it again at will: what is done is not redone.
#
#   bash jobs/quickstart.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ranks=2
recipe=jobs/recipes/lenet-mnist.cfg
dataset=datasets/mnist
run_folder=runs/lenet-mnist
trireme=build/release/bin/trireme

step() { printf '\n==> %s\n' "$*"; }

# Runs a command with its output in a file, which is shown when the command fails.
logged() {
    local log=$1
    shift
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        printf '\nquickstart: this failed: %s\n' "$*" >&2
        exit 1
    fi
}

# Cores, not hardware threads: that is how mpirun counts its slots.
usable_cores() {
    local cores processors
    processors=$(nproc)
    cores=$(lscpu -p=CORE,SOCKET 2>/dev/null | grep -v '^#' | sort -u | wc -l) || cores=0
    if [ "$cores" -gt 0 ] && [ "$cores" -lt "$processors" ]; then echo "$cores"; else echo "$processors"; fi
}

build() {
    mkdir -p build
    logged build/release-configure.log cmake --preset release
    cmake --build --preset release --target trireme -- --quiet
}

import_mnist() {
    if [ -d "$dataset" ] && "$trireme" data verify "$dataset" >/dev/null 2>&1; then
        echo "$dataset is there, and its checksums are right"
        return
    fi
    # A folder that does not pass is set aside, never deleted: it may be somebody's work.
    if [ -e "$dataset" ]; then mv "$dataset" "$dataset.damaged.$(date +%s)"; fi
    "$trireme" data import --source idx:data/mnist --out "$dataset" --shards 4 --split train=0.95,val=0.05
}

train() {
    local -a options=(-n "$ranks" --bind-to none)
    if [ "$(usable_cores)" -lt "$ranks" ]; then
        options+=(--oversubscribe)
        # More threads than cores: those that wait must not take the time of those that work.
        export OMP_WAIT_POLICY=passive
    fi
    if [ "$(id -u)" = 0 ]; then
        # Open MPI asks root to say twice that this is meant; in a container there is nobody else.
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    fi
    mpirun "${options[@]}" "$trireme" train "$recipe" --job.output "$run_folder"
}

step "what Trireme is built from"
cluster/install-deps.sh --without-cuda

step "build (the first time takes some minutes)"
build

step "MNIST as HDF5 shards"
import_mnist

step "training LeNet on $ranks ranks"
train_started=$SECONDS
train
train_seconds=$((SECONDS - train_started))

step "evaluation on the test split"
"$trireme" eval "$recipe" --checkpoint "$run_folder/checkpoints" --split test --json >"$run_folder/eval-test.json"
accuracy=$(python3 -c 'import json, sys; print("%.2f" % (100 * json.load(open(sys.argv[1]))["accuracy"]))' \
    "$run_folder/eval-test.json")

cat <<END

test accuracy: $accuracy %    (training took $train_seconds s on $ranks ranks)

  the program   $trireme          (--help, and COMMAND --help)
  the data set  $dataset
  the job       $recipe
  the run       $run_folder       (summary.json, metrics.jsonl, plan.txt, job.cfg)
  the network   $run_folder/checkpoints
  the figures   $run_folder/eval-test.json

Next: README.md, "Your first own job".
END
