#!/usr/bin/env bash
# What only a machine with an accelerator can tell, in at most eight minutes: tables in OUT/*.md, for the pages in docs.
#
#   ci/device_check.sh [OUT]                           # on cuda; OUT is device_check by default
#   LVM_CHECK_TINY=1 ci/device_check.sh OUT            # on a CPU, with tiny sizes: only to see that it works
#
# Every part has a limit of its own and what remains of the whole as another; one that fails or runs out of time is
# named at the end, and the exit code is then 1. Tables that were written stay.
set -uo pipefail
cd "$(dirname "$0")/.."
OUT=${1:-device_check}
PYTHON=${PYTHON:-$( [ -x .venv/bin/python ] && echo .venv/bin/python || command -v python3 )}
TINY=${LVM_CHECK_TINY:-}
DEVICE=${LVM_CHECK_DEVICE:-$( [ -n "$TINY" ] && echo cpu || echo cuda )}
WHOLE=${LVM_CHECK_SECONDS:-480}
mkdir -p "$OUT" || exit 2
ended=$((SECONDS + WHOLE))
failed=()

part() { # NAME SECONDS COMMAND...
    local name=$1 limit=$2 left=$((ended - SECONDS)) began=$SECONDS code
    shift 2
    if [ "$left" -lt 5 ]; then failed+=("$name (no time left)"); return; fi
    [ "$limit" -gt "$left" ] && limit=$left
    timeout --kill-after=5 "$limit" "$@" > "$OUT/$name.log" 2>&1
    code=$?
    [ "$code" = 124 ] && failed+=("$name (out of time: ${limit} s)")
    [ "$code" != 0 ] && [ "$code" != 124 ] && failed+=("$name (exit code $code, $OUT/$name.log)")
    echo "$name: $((SECONDS - began)) s, exit code $code"
}

table() { # NAMES SECONDS: parts of suites/distributed/device_tables.py
    # shellcheck disable=SC2086 - several names are several arguments
    part "${1%% *}" "$2" "$PYTHON" -m suites.distributed.device_tables $1 --device "$DEVICE" --out "$OUT" ${TINY:+--tiny}
}

if [ -n "$TINY" ]; then
    table "kernels epochs seeds cognate nccl" 120 # in one process: torch is imported once
else
    [ "$DEVICE" = cuda ] && part machine 20 nvidia-smi
    table kernels 60
    table epochs 130
    table seeds 60
    table cognate 60
    table nccl 60
    part tests 110 "$PYTHON" -m pytest -q -p no:cacheprovider suites/trainers/test_vector_devices.py suites/models/test_parity.py
    part throughput 120 "$PYTHON" -m pytest -q -p no:cacheprovider suites/throughput/test_model_training.py \
        --lvm-device "$DEVICE" --benchmark-json "$OUT/throughput.json"
fi
cat "$OUT"/*.md 2> /dev/null
if [ "${#failed[@]}" -gt 0 ]; then
    printf 'not done: %s\n' "${failed[@]}"
    exit 1
fi
