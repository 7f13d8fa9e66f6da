#!/usr/bin/env bash
# apptainer.sh [SCRATCH [BARE]]: build the image from Singularity.def, run the demo in it as an ordinary user with
# nothing of the host and no network, and compare its tables with those of the bare install (BARE, build/demo,
# made where it is absent). SCRATCH: build/containers. Needs root to build, and Debian's mirrors and PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/base.sh
scratch "${1:-build/containers}"
bare=$(realpath -m "${2:-build/demo}")
demo=$scratch/demo-apptainer
sif=$scratch/moviersa.sif
step() { echo "== $1 (${SECONDS}s)"; }
inside() { # inside {run|exec} OPTIONS IMAGE WORDS, as user 1000
  setpriv --reuid 1000 --regid 1000 --clear-groups env -i PATH="$PATH" HOME="$scratch/home" \
    apptainer "$1" --containall --net --network none "${@:2}"
}
level() {
  inside run -B "$demo/bids:/data:ro" -B "$demo/fmriprep:/deriv:ro" -B "$demo:/demo:ro" -B "$demo/out:/out" \
    -B "$demo/work:/work" "$sif" /data /out "$1" -d fmriprep=/deriv --stimuli /demo/stimuli --atlas /demo/atlas \
    --analysis /demo/analysis.yaml -w /work
}

step "apptainer"
command -v apptainer >/dev/null || {
  ci/install_apptainer.sh "$scratch/apptainer"
  PATH=$scratch/apptainer/bin:$PATH
}

step "the image"
packages buildah
base_image
rm -f "$scratch/base.tar"
buildah push -q "$BASE" "oci-archive:$scratch/base.tar:base"
source=(--build-arg BOOTSTRAP=oci-archive --build-arg "BASE=$scratch/base.tar")
if [ -n "${SSL_CERT_FILE:-}" ]; then # a proxy's certificates, for the build alone, which sees /tmp
  certificates=$(mktemp -p /tmp)
  trap 'rm -f "$certificates"' EXIT
  cp "$SSL_CERT_FILE" "$certificates"
  chmod 644 "$certificates"
  export APPTAINERENV_SSL_CERT_FILE=$certificates APPTAINERENV_PIP_CERT=$certificates
fi
apptainer build -F --fakeroot '--mksquashfs-args=-comp zstd -Xcompression-level 3' "${source[@]}" \
  --build-arg "REVISION=$(git rev-parse HEAD)" "$sif" Singularity.def >"$scratch/apptainer.log" 2>&1 ||
  { tail -n 30 "$scratch/apptainer.log"; exit 1; }
stat --format 'size of the image: %s bytes' "$sif"

step "the bare install"
bare_demo "$bare"

step "the dataset"
rm -rf "$demo" "${scratch:?}/home"
mkdir -p "$demo" "$scratch/home"
chown 1000:1000 "$demo" "$scratch/home"
inside exec -B "$demo:/demo" "$sif" moviersa-demo /demo >/dev/null
mkdir "$demo"/{out,work}
chown 1000:1000 "$demo"/{out,work}
for name in stimulus participant group; do step "$name"; level "$name"; done

step "truth"
inside exec -B "$demo:/demo:ro" "$sif" python -m bidsapp.demo.check /demo
"${PYTHON:-.venv/bin/python}" ci/compare_tables.py "$bare/out" "$demo/out"
step "done"
