#!/usr/bin/env bash
# Everything that needs a GPU, in parts of under 8 minutes that can be run one by one and resumed. Leaves one JSON and one page of
# text. Exit code 77 where no GPU can be used, 1 when a part failed.
#
#   tests/gpu/run_all.sh                       all parts that have no result yet
#   tests/gpu/run_all.sh parity-f32 canonical  these parts, again
#   tests/gpu/run_all.sh --list                the parts and what they show
#   tests/gpu/run_all.sh --programs DIR        programs of that folder: build/cuda/bin (the default) or a bundle's bin
#   tests/gpu/run_all.sh --torch PYTHON        with PyTorch beside our figures
#   tests/gpu/run_all.sh --rehearse PART...    on the emulated GPU of the build (docs/emulated-gpu.md), in small
#   tests/gpu/run_all.sh --out DIR             where results go; default: build/gpu-results
exec python3 "$(dirname "${BASH_SOURCE[0]}")/run_all.py" "$@"
