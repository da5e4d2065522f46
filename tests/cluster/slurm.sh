#!/usr/bin/env bash
# A Slurm of one node on this machine, for as long as this script runs: `srun` starts the ranks, and what they train is,
# to the bit, what one process trains. Then the batch script of docs/clusters.md: it is told to end in the middle, and
# goes on.
#
#   tests/cluster/slurm.sh PROGRAM      a microgpt built with --features mpi
#
# Wants to be root, and munge and Slurm with its plugin for PMIx; it installs Debian's if they are not here. All that it
# writes is in a folder of its own. Exit code 0 also where it is skipped; then it says why.
set -euo pipefail
program=$(realpath "$1")
. "$(dirname "$0")/common.sh"
page=$(cd "$(dirname "$0")/../.." && pwd)/docs/clusters.md

[ "$(id -u)" = 0 ] || skip "needs to be root"
if ! command -v slurmctld slurmd srun munged > /dev/null; then
    command -v apt-get > /dev/null || skip "no Slurm, and no apt-get"
    packages="slurmctld slurmd slurm-client munge"
    # Daemons that the packages would start are none of ours.
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    apt-get install -y --no-install-recommends $packages > /dev/null 2>&1 ||
        { apt-get update && apt-get install -y --no-install-recommends $packages; } > /dev/null 2>&1 ||
        skip "Slurm could not be installed"
fi
folder=$(mktemp -d)
# Others look into it: a job of Slurm's, and munged, which trusts no folder that its group may write.
chmod 755 "$folder"
daemons=()
clean_up() {
    for daemon in "${daemons[@]}"; do
        kill "$daemon" 2> /dev/null || true
    done
    # The node's memory of steps goes with it.
    wait 2> /dev/null || true
    rm -rf "$folder"
}
trap clean_up EXIT

# A port that nobody listens to.
free_port() {
    local port
    while port=$(shuf -i 20000-29999 -n 1) && (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null; do :; done
    echo "$port"
}

export SLURM_CONF=$folder/slurm.conf
cat > "$SLURM_CONF" << END
ClusterName=here
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
ReturnToService=2
# More ranks than this machine may have processors.
SlurmdParameters=config_overrides
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=4
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
END
mkdir "$folder/state" "$folder/spool"
head -c 1024 /dev/urandom > "$folder/munge.key"
chmod 600 "$folder/munge.key"

# Slurm starts the ranks and tells them of each other by PMIx; Debian's Slurm and Open MPI use the same library.
srun --mpi=list 2>&1 | grep -q pmix || skip "this Slurm has no plugin for PMIx"

# In the foreground, so that they are ours to end.
munged --foreground --force --key-file "$folder/munge.key" --socket "$folder/munge.socket" \
    --pid-file "$folder/munged.pid" --log-file "$folder/munged.log" --seed-file "$folder/munge.seed" \
    > "$folder/munged.out" 2>&1 &
daemons+=($!)
slurmctld -D > "$folder/slurmctld.out" 2>&1 &
daemons+=($!)
slurmd -D > "$folder/slurmd.out" 2>&1 &
daemons+=($!)
for _ in $(seq 60); do
    sinfo -h -t idle -o %n 2> /dev/null | grep -q . && break
    sleep 0.5
done
sinfo -h -t idle -o %n | grep -q . || {
    echo "the node is not idle after 30 s:"
    tail -n 5 "$folder"/*.log "$folder"/*.out
    exit 1
}

mkdir "$folder/work" "$folder/bin"
cd "$folder/work"
ln -s "$program" "$folder/bin/microgpt"
export PATH=$folder/bin:$PATH

settings="--engine fast --batch-size 16 --micro-batches 4 --n-embd 32 --steps 400 --samples 1"
microgpt train $settings --workers 1 --out alone > alone.txt
# Four may share fewer processors; mpirun sees that, srun is told.
export OMPI_MCA_mpi_yield_when_idle=1
for ranks in 2 4; do
    srun --mpi=pmix -n $ranks microgpt train $settings --out srun-$ranks > srun-$ranks.txt
    cmp alone.txt srun-$ranks.txt
    same alone srun-$ranks
    echo "srun, $ranks ranks: the bits of one process"
done

# The script as it stands in the page; what is asked of Slurm on the command line counts for more than what it asks.
sed -n '/^#!\/bin\/bash/,/^```/p' "$page" | grep -v '^```' > microgpt.sbatch
asked="--nodes=1 --ntasks-per-node=2 --time=5"
long="--engine fast --batch-size 16 --micro-batches 4 --n-embd 32 --steps 6000 --samples 1"
microgpt train $long --workers 1 --out whole > whole.txt
job=$(sbatch --parsable $asked --output=first.txt microgpt.sbatch $long --out parts)
for _ in $(seq 300); do
    [ -e runs/parts/checkpoints/latest/state.json ] && break
    sleep 0.1
done
# What Slurm does some time before the end, if the script asks for it.
scancel --signal=TERM "$job"
for _ in $(seq 300); do
    squeue -h -j "$job" 2> /dev/null | grep -q . || break
    sleep 0.1
done
grep 'stopped after step' first.txt || { cat first.txt; exit 1; }
sbatch --wait $asked --output=second.txt microgpt.sbatch --resume parts > /dev/null || { cat second.txt; exit 1; }
same whole parts
echo "sbatch: ended in the middle and gone on with, the bits of one process"
