#!/bin/sh
# Makes .venv-peers, the peers' environment, where it is not there or older than the list of versions.
# torch comes first and alone: a looser requirement would bring gigabytes of CUDA where only a CPU build is wanted.
# Everything else is pinned and installed without its dependencies, because several peers ask for torchvision,
# lightning, tensorflow or an old numpy that their measures do not use (stubs.py stands in for what they import).
set -eu
cd "$(dirname "$0")/../.."
list=benchmarks/peers/requirements.txt
stamp=.venv-peers/.installed
if [ -e "$stamp" ] && [ ! "$list" -nt "$stamp" ]; then exit 0; fi
"${PYTHON:-python3}" -m venv .venv-peers
pip=".venv-peers/bin/pip --disable-pip-version-check install -q"
$pip "pip>=25.1"
$pip "$(grep '^torch==' "$list")"
grep -v -e '^torch==' -e '^repsim==' "$list" > .venv-peers/list.txt
$pip --no-deps -r .venv-peers/list.txt
# repsim is C++ and has no wheel for Linux; without a compiler its rows are left out, and the table says so.
$pip --no-deps "$(grep '^repsim==' "$list")" || echo "repsim could not be built (it takes a C++ compiler): left out" >&2
touch "$stamp"
