#!/usr/bin/env bash
# Runs the quick tests with the oldest versions that setup.cfg and
# requirements.txt allow, and with the newest that resolve, and writes the
# versions and results to tools/bounds.log.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log="$root/tools/bounds.log"
date -u +%Y-%m-%d > "$log"

for which in oldest newest; do
  "${PYTHON:-python3}" -m venv "$work/$which"
  pip="$work/$which/bin/pip"
  constraints="$work/$which.txt"
  : > "$constraints"
  if [ "$which" = oldest ]; then
    sed 's/>=/==/' "$root/requirements.txt" > "$constraints"
    sed -n 's/^ *\(matplotlib\|grain\)>=/\1==/p' "$root/setup.cfg" |
      sort -u >> "$constraints"
  fi
  "$pip" install --quiet --constraint "$constraints" --editable "$root[dev]"
  {
    echo
    echo "== $which"
    "$pip" list --format=freeze | grep -i -E \
      "^($(sed 's/[>=].*//' "$root/requirements.txt" | paste -sd'|')|jaxlib|matplotlib|grain)=="
    cd "$root"
    "$work/$which/bin/python" -m pytest -q -n 2 -m 'not slow' \
      --durations=0 --durations-min=1000 2>&1 | tail -4
  } | tee -a "$log"
done
