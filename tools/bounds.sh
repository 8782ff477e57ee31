#!/usr/bin/env bash
# Runs the quick tests with the oldest versions that setup.cfg and
# requirements.txt allow, and with the newest that resolve. Writes versions and
# results to tools/bounds.log. WORKERS is the number of processes, 2 if unset.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log="$root/tools/bounds.log"
cd "$root"
# Nothing in the tests needs TensorFlow, which prepares data sets.
bounds=$(cat requirements.txt
  sed -n 's/^ *\(\(matplotlib\|grain\)>=.*\)/\1/p' setup.cfg | sort -u)
names=$(sed 's/>=.*//' <<< "$bounds" | paste -sd'|')
status=0
: > "$work/log"

for end in oldest newest; do
  "${PYTHON:-python3}" -m venv "$work/$end"
  python="$work/$end/bin/python"
  : > "$work/constraints.txt"
  if [ "$end" = oldest ]; then
    sed 's/>=/==/' <<< "$bounds" > "$work/constraints.txt"
  fi
  "$python" -m pip install -qq --no-compile \
    --constraint "$work/constraints.txt" --editable '.[dev]'
  "$python" -m pytest -q -n "${WORKERS:-2}" -m 'not slow' \
    > "$work/tests.txt" 2>&1 || { status=1; tail -50 "$work/tests.txt" >&2; }
  # Names and counts only: messages have paths of this machine.
  {
    echo "== $end, $(date -u +%Y-%m-%d), $("$python" --version)"
    "$python" -m pip list --format=freeze | grep -iE "^($names|jaxlib)=="
    sed -nE 's/ - .*//; /^(FAILED|ERROR) /p; /^[0-9]+ (passed|failed|error)/p' \
      "$work/tests.txt"
    echo
  } | tee -a "$work/log"
done
cp "$work/log" "$log"
exit "$status"
