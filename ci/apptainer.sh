#!/usr/bin/env bash
# apptainer.sh [SCRATCH [BARE]]: build the image from Singularity.def, run the demo in it as an ordinary user with
# nothing of the host and no network, and compare its tables with those of the bare install (BARE, build/demo,
# made where it is absent). SCRATCH: build/containers; KEEP_IMAGE=1 tries the image
# that is there. Needs root to build, and Debian's mirrors and PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/base.sh
scratch "${1:-build/containers}"
bare=$(realpath -m "${2:-build/demo}")
out=$scratch/out-apptainer
work=$scratch/work-apptainer
sif=$scratch/moviersa.sif
step() { echo "== $1 (${SECONDS}s)"; }
inside() { # inside {run|exec} OPTIONS IMAGE WORDS, as user 1000
  setpriv --reuid 1000 --regid 1000 --clear-groups env -i PATH="$PATH" HOME="$scratch/home" \
    apptainer "$1" --containall --net --network none "${@:2}"
}
places=(-B "$bare/bids:/data:ro" -B "$bare/fmriprep:/deriv:ro" -B "$bare:/demo:ro" -B "$out:/out" -B "$work:/work")
level() {
  inside run "${places[@]}" "$sif" /data /out "$1" -d fmriprep=/deriv --stimuli /demo/stimuli --atlas /demo/atlas \
    --analysis /demo/analysis.yaml -w /work
}

step "apptainer"
command -v apptainer >/dev/null || {
  ci/install_apptainer.sh "$scratch/apptainer"
  PATH=$scratch/apptainer/bin:$PATH
}

step "the image"
if [ -z "${KEEP_IMAGE:-}" ]; then
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
fi
stat --format 'size of the image: %s bytes' "$sif"

step "the bare install"
bare_demo "$bare"

rm -rf "$out" "$work" "${scratch:?}/home"
mkdir -p "$out" "$work" "$scratch/home"
chown 1000:1000 "$out" "$work" "$scratch/home"
for name in stimulus participant group; do step "$name"; level "$name"; done

step "truth"
# The dataset is the bare install's own: numbers made anew differ in the last bit of some voxels.
inside exec "${places[@]}" -B "$out:/demo/out:ro" --env MPLCONFIGDIR=/work "$sif" python -m bidsapp.demo.check /demo
"${PYTHON:-.venv/bin/python}" ci/compare_tables.py "$bare/out" "$out"
step "done"
