# Shared by the scripts: where things are kept, how a script speaks. Sourced, never run.
# shellcheck shell=bash
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Everything that can be made again lives outside the checkout, so that a fresh clone starts warm.
CACHE=${BIOIMAGE_RS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bioimage-rs}
VENV=$CACHE/venv
export BIOIMAGE_RS_WHEELS=$CACHE/wheels # what scripts/install-wheel built last
PYTHON=$VENV/bin/python
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}
export PATH=$VENV/bin:$CACHE/tools/bin:$HOME/.cargo/bin:$PATH
CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
export CHROMIUM
cd "$ROOT"

say() { printf '\n==> %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# digest FILE...: one short hash of the files' contents, the key of a stamp.
digest() { cat "$@" | sha256sum | cut -c1-16; }
