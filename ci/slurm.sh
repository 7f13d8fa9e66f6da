#!/usr/bin/env bash
# slurm.sh [SCRATCH [BARE]]: a one-node SLURM cluster from Debian's packages runs the demo's participants.
# 1. Every step a job, by --nipype-plugin-file; a file of one participant is damaged: its failure is reported, the
#    others are finished. Mended and started again, only what is missing is done.
# 2. An array of jobs, one a participant, by docs/examples/cluster/moviersa.sbatch.
# Each time the group level follows, and tables are compared with those of the bare install (BARE, build/demo, made
# where it is absent). SCRATCH: build/slurm. Needs root, and Debian's mirrors.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/base.sh
cluster=$(realpath -m "${1:-build/slurm}")
bare=$(realpath -m "${2:-build/demo}")
python=$(realpath -s "${PYTHON:-.venv/bin/python}")
PATH=$(dirname "$python"):$PATH
broken=02
step() { echo "== $1 (${SECONDS}s)"; }
until_true() {
  for _ in $(seq 150); do "$@" >/dev/null 2>&1 && return; sleep 0.2; done
  echo "'$*' never held; see $cluster/*.log" >&2
  exit 1
}
idle() { sinfo -h -o %T | grep -q idle; }
start() {
  local host
  host=$(hostname -s)
  mkdir -p "$cluster"/{state,spool}
  chmod 755 "$cluster"
  (umask 077 && head -c 1024 /dev/urandom >"$cluster/munge.key")
  cat >"$cluster/slurm.conf" <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$cluster/munge.sock
CryptoType=crypto/munge
StateSaveLocation=$cluster/state
SlurmdSpoolDir=$cluster/spool
SlurmctldPidFile=$cluster/slurmctld.pid
SlurmdPidFile=$cluster/slurmd.pid
SlurmctldLogFile=$cluster/slurmctld.log
SlurmdLogFile=$cluster/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc=$cluster/jobs.txt
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=1
MpiDefault=none
ReturnToService=2
EnforcePartLimits=ALL
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(awk '/MemTotal/ {print int($2 / 1100)}' /proc/meminfo) State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
  export SLURM_CONF=$cluster/slurm.conf
  munged --force --key-file="$cluster/munge.key" --socket="$cluster/munge.sock" --pid-file="$cluster/munged.pid" \
    --log-file="$cluster/munged.log" --seed-file="$cluster/munged.seed"
  slurmctld -f "$SLURM_CONF"
  until_true scontrol ping
  slurmd -f "$SLURM_CONF"
  until_true idle
}
stop() { # only what start began
  local name pid
  for name in slurmd slurmctld munged; do
    pid=$(cat "$cluster/$name.pid" 2>/dev/null) && kill "$pid" 2>/dev/null || true
  done
}
jobs_done() { grep -c . "$cluster/jobs.txt" 2>/dev/null || true; }
paths=(-d "fmriprep=$cluster/fmriprep" --stimuli "$bare/stimuli" --atlas "$bare/atlas" --analysis "$bare/analysis.yaml")
level() { moviersa "$bare/bids" "$cluster/out" "$@" "${paths[@]}"; }
fresh_output() { # with the models' RDMs, and nothing of participants
  rm -rf "$cluster/out"
  cp -a "$bare/out" "$cluster/out"
  rm -rf "$cluster/out"/{sub-*,group*,logs}
}
check_tables() {
  level group -w "$cluster/work-group"
  "$python" ci/compare_tables.py "$bare/out" "$cluster/out"
}

step "the bare install"
bare_demo "$bare"

step "the cluster"
packages slurmctld slurmd slurm-client munge
rm -rf "$cluster"
trap stop EXIT
start
moviersa --print-plugin-file slurm | sed 's/--time=08:00:00/--time=00:30:00/' >"$cluster/slurm.yaml"

step "every step a job, with a damaged file"
fresh_output
cp -a "$bare/fmriprep" "$cluster/fmriprep"
damaged=$(find "$cluster/fmriprep/sub-$broken" -name '*task-movie_run-2_space-T1w_desc-preproc_bold.nii.gz')
[ -n "$damaged" ]
cp "$damaged" "$cluster/whole.nii.gz"
dd if=/dev/urandom of="$damaged" bs=1 seek="$(($(stat -c %s "$damaged") / 2))" count=4000 conv=notrunc status=none
by_jobs() { # as in a shell that has no LOGNAME
  (unset LOGNAME USER && level participant -w "$cluster/work" --nipype-plugin-file "$cluster/slurm.yaml" \
    --nprocs 1 --mem-gb 2 --skip-bids-validation)
}
status=0
by_jobs 2>"$cluster/first.txt" || status=$?
tail -n 3 "$cluster/first.txt"
[ "$status" = 1 ]
grep -q "ERROR sub-$broken: " "$cluster/first.txt"
first=$(jobs_done)
done_=$(find "$cluster/out" -name 'sub-*_desc-similarity_stats.tsv' | wc -l)
all=$(find "$bare/bids" -maxdepth 1 -name 'sub-*' | wc -l)
echo "exit status $status, $first jobs, $done_ of $all participants finished"
[ "$done_" = $((all - 1)) ]
[ ! -e "$cluster/out/sub-$broken" ] || ! find "$cluster/out/sub-$broken" -name '*similarity_stats.tsv' | grep -q .

step "mended and started again"
cp "$cluster/whole.nii.gz" "$damaged"
by_jobs
again=$(tail -n +$((first + 1)) "$cluster/jobs.txt")
echo "$(echo "$again" | wc -l) jobs: $(echo "$again" | sed -E 's/.* Name=([^ ]*).*/\1/; s/[.].*//' | sort | xargs)"
if echo "$again" | grep -v "sub_${broken}_wf"; then
  echo "jobs were repeated that had been done" >&2
  exit 1
fi
check_tables

step "an array of jobs, one a participant"
fresh_output
export BIDS=$bare/bids OUT=$cluster/out WORK=$cluster/work-array MOVIERSA=moviersa
mkdir -p "$WORK"
sbatch --wait --array="0-$((all - 1))" --cpus-per-task=1 --mem=3G --time=00:30:00 --output="$cluster/array-%a.log" \
  docs/examples/cluster/moviersa.sbatch participant "${paths[@]}"
check_tables
step "done"
