#!/usr/bin/env bash
# Brings what the benchmarks compare with into the current environment (PYTHON=path of another interpreter).
set -euo pipefail

python="${PYTHON:-python}"

"$python" -m pip install "grad-cam>=1.5.5" "pytest-benchmark>=4"

# torch-lucent 0.1.8 asks for kornia <= 0.4.1, which no current torch works with, and for test tools that it does not
# need to run: it goes in alone, and what it imports beside it. benchmarks/peers.py mends the two names that kornia moved.
"$python" -m pip install --no-deps "torch-lucent==0.1.8"
"$python" -m pip install kornia ipython decorator future tqdm

# Quantus 0.6.0 asks for opencv, which none of its metrics of faithfulness needs.
"$python" -m pip install --no-deps "quantus==0.6.0"
"$python" -m pip install scikit-image cachetools
