#!/usr/bin/env bash
# Makes .venv with what the stack, its tests and the testbed need.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
if ! command -v "$python" >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -qqy --no-install-recommends python3 python3-venv >/dev/null
  else
    echo "Python 3.11 or newer is missing. Install it, or name it: make PYTHON=/path/to/python3" >&2
    exit 1
  fi
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "$("$python" --version) is too old: 3.11 or newer is needed. Name another one: make PYTHON=/path/to/python3" >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip' 2>/dev/null; then # Debian keeps it in a package of its own
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -qqy --no-install-recommends python3-venv >/dev/null
  else
    echo "Python's venv module is missing. Install it: sudo apt-get install python3-venv" >&2
    exit 1
  fi
fi

started=$SECONDS
echo "Python packages into .venv …"
"$python" -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
echo "Python packages into .venv: $((SECONDS - started)) s"
