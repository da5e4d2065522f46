#!/usr/bin/env bash
# Everything that benches/ measures, on a machine with nothing else to do.
#
#   benches/run.sh [THREADS]          default: 1, then all processors
#
# TORCH_PYTHON names a Python that has torch; without one, PyTorch is left out.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release
microgpt=${CARGO_TARGET_DIR:-target}/release/microgpt
python=${TORCH_PYTHON:-python3}
threads=${1:-"1 $(nproc)"}

"$microgpt" bench
echo
echo "microgpt.py, whose numbers the scalar engine has to the last bit, took 0.17 s a step (article) and 0.18 s"
echo "(microgpt-final) in CPython where they were recorded; it is not run here."
for n in $threads; do
    echo
    "$python" benches/peers.py --threads "$n" --compile --microgpt "$microgpt" --python "$python"
done
