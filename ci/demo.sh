#!/usr/bin/env bash
# demo.sh DIR: write the demo dataset, run the three levels on it, check what was found against the truth.
set -euo pipefail
demo=$(realpath -m "${1:?usage: demo.sh DIR}")
rm -rf "$demo"
step() { echo "== $1 ($(( SECONDS ))s)"; }
level() {
  moviersa "$demo/bids" "$demo/out" "$1" -d "fmriprep=$demo/fmriprep" --stimuli "$demo/stimuli" \
    --atlas "$demo/atlas" --analysis "$demo/analysis.yaml" -w "$demo/work"
}
step "the dataset"; moviersa-demo "$demo"
for name in stimulus participant group; do step "$name"; level "$name"; done
step "truth"
python -m bidsapp.demo.check "$demo"
echo "== done in ${SECONDS}s. The report: $demo/out/group.html"
