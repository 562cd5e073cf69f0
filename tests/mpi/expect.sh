#!/bin/bash
# Runs a command and checks how it ends: expect.sh [--exit CODE] [--once TEXT] [--within SECONDS] -- COMMAND ...
#   --exit    the exit code that it must have (default 0), or `failure` for any but 0
#   --once    text that its standard error must hold exactly once
#   --within  the most seconds from a line "failing at TIME" (seconds since the epoch) on its standard error
#             to the end of the command
set -u
want_exit=0
once=
within=
while [ "$1" != "--" ]; do
  case "$1" in
    --exit) want_exit=$2 ;;
    --once) once=$2 ;;
    --within) within=$2 ;;
    *) echo "expect.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
shift

# Ranks that are killed leave Open MPI's session files and shared memory behind: they go with this folder.
shared=/dev/shm
[ -d $shared ] || shared=${TMPDIR:-/tmp}
scratch=$(mktemp -d "$shared/trireme-mpi-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
export OMPI_MCA_orte_tmpdir_base=$scratch OMPI_MCA_btl_vader_backing_directory=$scratch
errors=$scratch/errors
"$@" 2> "$errors"
code=$?
ended=$(date +%s.%N)
cat "$errors" >&2

failed=0
if [ "$want_exit" = failure ]; then
  if [ "$code" = 0 ]; then
    echo "expect.sh: exit code 0, expected a failure" >&2
    failed=1
  fi
elif [ "$code" != "$want_exit" ]; then
  echo "expect.sh: exit code $code, expected $want_exit" >&2
  failed=1
fi
if [ -n "$once" ]; then
  found=$(grep -cF -- "$once" "$errors")
  if [ "$found" != 1 ]; then
    echo "expect.sh: '$once' is on $found lines of standard error, expected 1" >&2
    failed=1
  fi
fi
if [ -n "$within" ]; then
  failing=$(sed -n 's/.*failing at \([0-9.]*\).*/\1/p' "$errors" | sort -n | tail -1)
  if [ -z "$failing" ] || ! awk -v a="$failing" -v b="$ended" -v s="$within" \
      'BEGIN { printf "over %.2f s after the failure\n", b - a; exit !(b - a <= s) }' >&2; then
    echo "expect.sh: not over within $within s of the failure (failing at '$failing')" >&2
    failed=1
  fi
fi
exit $failed
