#!/usr/bin/env bash
# Runs a command that executes untrusted code: nothing it prints is a workflow command to GitHub's runner, and it does
# not see the files through which a step sets variables, paths, outputs or its summary.
set -uo pipefail
token="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
echo "::stop-commands::$token"
env -u GITHUB_ACTIONS -u GITHUB_ENV -u GITHUB_OUTPUT -u GITHUB_PATH -u GITHUB_STATE -u GITHUB_STEP_SUMMARY "$@"
code=$?
printf '\n::%s::\n' "$token"
exit "$code"
