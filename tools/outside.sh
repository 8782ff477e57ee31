#!/usr/bin/env bash
# Builds the wheel, installs it into a clean environment, and uses it from a
# folder outside the checkout: the command, the README's Python example as a
# script, and the same example in a notebook kernel.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"${PYTHON:-python3}" -m venv "$work/venv"
export PATH="$work/venv/bin:$PATH"
mkdir "$work/source" "$work/elsewhere"
tar -C "$root" --exclude=./.git --exclude=./.venv --exclude=./runs -c . |
  tar -x -C "$work/source"
pip wheel --quiet --no-deps --wheel-dir "$work" "$work/source"
wheel=$(echo "$work"/nasjax-*.whl)
kernel=$(sed -n 's/^ *\(ipykernel\|nbclient\)==/\1==/p' "$root/setup.cfg")
pip install --quiet "nasjax[report] @ file://$wheel" $kernel

cd "$work/elsewhere"
nasjax --version
nasjax count --network=mobilenet_v2 --json | grep '"macs": 300774272'
nasjax search --workdir=search --space=tiny --limit=macs=90k \
  --steps=6 --warmup_steps=3 --batch_size=8
nasjax train --workdir=train --architecture=search/architecture.json \
  --epochs=1 --batch_size=500

# The first Python block of the README, with a shorter search.
awk '/^```python$/ {on=1; next} /^```$/ {if (on) exit} on' "$root/README.md" |
  sed 's/seed=0/seed=0, warmup_steps=300, network_images=200/' > example.py
grep -q warmup_steps example.py
python example.py
python "$root/tools/in_notebook.py" example.py
ls
