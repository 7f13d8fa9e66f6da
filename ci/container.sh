#!/usr/bin/env bash
# container.sh [SCRATCH [BARE]]: build the image, run the demo in it as user 1000 on a read-only root without
# network, and compare its tables with those of the bare install (BARE, build/demo, made where it is absent).
# SCRATCH (build/containers) keeps the image, 6 GB; KEEP_IMAGE=1 tries that one anew without building it. Needs
# root, and Debian's mirrors and PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/base.sh
scratch "${1:-build/containers}"
bare=$(realpath -m "${2:-build/demo}")
out=$scratch/out
work=$scratch/work
step() { echo "== $1 (${SECONDS}s)"; }
inside() { # inside [--entrypoint X] WORDS: what docker run --read-only --network none does, by podman
  podman run --rm --user 1000:1000 --read-only --read-only-tmpfs=false --network none \
    -v "$bare/bids:/data:ro" -v "$bare/fmriprep:/deriv:ro" -v "$bare:/demo:ro" -v "$out:/out" -v "$work:/scratch" "$@"
}
moviersa() {
  inside moviersa /data /out "$1" -d fmriprep=/deriv --stimuli /demo/stimuli --atlas /demo/atlas \
    --analysis /demo/analysis.yaml -w /scratch
}
timed() { # timed NAME COMMAND: say how long it took
  local begun=$EPOCHREALTIME
  "${@:2}"
  echo "$begun $EPOCHREALTIME" | awk -v name="$1" '{printf "%s %.2f s\n", name, $2 - $1}'
}

step "the image"
packages buildah podman runc uidmap
if [ -z "${KEEP_IMAGE:-}" ]; then
  base_image
  readarray -t proxied < <(proxy_arguments)
  buildah bud --isolation chroot --network host --layers "${proxied[@]}" --build-arg "BASE=$BASE" \
    --build-arg "REVISION=$(git rev-parse HEAD)" -t moviersa . >"$scratch/build.log" 2>&1 ||
    { tail -n 30 "$scratch/build.log"; exit 1; }
fi
podman image inspect moviersa --format 'size of the image: {{.Size}} bytes'

step "the bare install"
bare_demo "$bare"

rm -rf "$out" "$work"
mkdir -p "$out" "$work"
chown 1000:1000 "$out" "$work"

step "cold start"
for _ in 1 2 3; do timed start inside moviersa --version; done

for level in stimulus participant group; do step "$level"; timed "$level" moviersa "$level"; done

step "truth"
# The dataset is the bare install's own: numbers made anew differ in the last bit of some voxels.
inside -e HOME=/scratch -e TMPDIR=/scratch -v "$out:/demo/out:ro" --entrypoint python moviersa -m bidsapp.demo.check /demo
"${PYTHON:-.venv/bin/python}" ci/compare_tables.py "$bare/out" "$out"

step "the container against the bare install: the group level, one core, twice each"
python=${PYTHON:-.venv/bin/python}
log=$scratch/again.log # what the levels say; their figures are printed
for i in 1 2; do
  bare_took=$("$python" ci/processor_time.py "$(dirname "$python")/moviersa" "$bare/bids" "$bare/out" group \
    -d "fmriprep=$bare/fmriprep" --analysis "$bare/analysis.yaml" -w "$scratch/work-bare-$i" --nprocs 1 2>>"$log")
  took=$(inside -v "$PWD/ci/processor_time.py:/processor_time.py:ro" --entrypoint python moviersa \
    /processor_time.py moviersa /data /out group -d fmriprep=/deriv --analysis /demo/analysis.yaml \
    -w "/scratch/again-$i" --nprocs 1 2>>"$log")
  echo "bare: $bare_took; container: $took"
  rm -rf "$scratch/work-bare-$i"
done
step "done"
