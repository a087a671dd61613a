#!/usr/bin/env bash
# Sets up a fresh machine, builds, then shows what number formats do to a LeNet trained on Fashion-MNIST. Results go to build/demo.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
scripts/build.sh release tensorquant
exec python3 scripts/demo.py "$@"
