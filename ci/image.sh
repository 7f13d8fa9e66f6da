#!/bin/sh
# What Dockerfile and Singularity.def share:
#   image.sh dependencies VENV FOLDER   a new environment VENV with all that moviersa needs, at the versions of
#                                       constraints.txt, without what no run needs; it looks for moviersa in FOLDER
#   image.sh app VENV FOLDER            moviersa itself into FOLDER: some MB that change with every version, apart
#                                       from the GB that seldom do
# TORCH_BACKEND (cpu, cu128 ...) chooses the build of PyTorch, as uv's --torch-backend; empty: PyPI's own.
set -eu
venv=$2
cd "$(dirname "$0")/.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools/venv"
"$tools/venv/bin/pip" install --quiet --no-cache-dir --constraint constraints.txt uv
install() {
  "$tools/venv/bin/uv" pip install --python "$venv/bin/python" --no-cache --link-mode copy "$@"
}
# The image is read-only when it runs: no other time to compile.
compile() { # some packages carry templates that are no Python
  "$venv/bin/python" -m compileall -q -j 0 "$1" >/dev/null || true
}
case $1 in
dependencies)
  python3 -m venv --without-pip "$venv"
  # triton (1 GB) serves torch.compile alone, which moviersa does not call.
  echo 'triton; sys_platform == "never"' >"$tools/overrides"
  install --requirements pyproject.toml --constraint constraints.txt --override "$tools/overrides" \
    ${TORCH_BACKEND:+--torch-backend "$TORCH_BACKEND"}
  # Headers, static libraries and packages' own tests.
  find "$venv/lib" -type d \( -name tests -o -name include \) -prune -exec rm -rf {} +
  find "$venv/lib" -type f -name '*.a' -delete
  for packages in "$venv"/lib/python3*/site-packages; do echo "$3" >"$packages/moviersa.pth"; done
  compile "$venv/lib"
  ;;
app)
  install --no-deps --build-constraints constraints.txt --target "$3" .
  compile "$3"
  "$3/bin/moviersa" --version
  ;;
esac
