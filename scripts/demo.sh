#!/usr/bin/env bash
# Sets up a fresh machine, builds, then shows what number formats do to a LeNet trained on Fashion-MNIST. Results go to build/demo.
# Says when each stage was done: CCACHE_DISABLE=1 scripts/demo.sh in a fresh clone measures a cold start.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
echo "demo: packages are there, $SECONDS s"
scripts/build.sh release tensorquant
echo "demo: program is built, $SECONDS s"
exec python3 scripts/demo.py --earlier "$SECONDS" "$@"
