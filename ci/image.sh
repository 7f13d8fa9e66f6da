#!/bin/sh
# image.sh VENV: what Dockerfile and Singularity.def share. Puts moviersa and all that it needs, at the
# versions of constraints.txt, into a new environment VENV, without what no run needs.
# TORCH_BACKEND (cpu, cu128 ...) chooses the build of PyTorch, as uv's --torch-backend; empty: PyPI's own.
set -eu
venv=$1
cd "$(dirname "$0")/.."
tools=$(mktemp -d)
python3 -m venv "$tools/venv"
"$tools/venv/bin/pip" install --quiet --no-cache-dir --constraint constraints.txt uv
python3 -m venv --without-pip "$venv"
# triton (1 GB) serves torch.compile alone, which moviersa does not call.
echo 'triton; sys_platform == "never"' >"$tools/overrides"
"$tools/venv/bin/uv" pip install --python "$venv/bin/python" --no-cache --link-mode copy \
  --constraint constraints.txt --override "$tools/overrides" \
  ${TORCH_BACKEND:+--torch-backend "$TORCH_BACKEND"} '.[demo]'
rm -rf "$tools"
# Headers, static libraries and packages' own tests.
find "$venv/lib" -type d \( -name tests -o -name include \) -prune -exec rm -rf {} +
find "$venv/lib" -type f -name '*.a' -delete
# The image is read-only when it runs: no other time to compile.
python3 -m compileall -q -j 0 "$venv/lib" >/dev/null || true # some packages carry templates that are no Python
"$venv/bin/moviersa" --version
