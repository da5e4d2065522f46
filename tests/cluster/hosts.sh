#!/usr/bin/env bash
# Several hosts on this machine, each a network namespace, with a network between them that is slow and loses packets.
# A job of one rank on each gives the bits of one process. Then a host is cut off in the middle: the job ends with one
# clear message within 30 s, and goes on, on fewer hosts, to the same bits.
#
#   tests/cluster/hosts.sh PROGRAM      a microgpt built with --features mpi
#
# Wants to be root, and Open MPI's mpirun. Exit code 0 also where it is skipped; then it says why.
set -euo pipefail
program=$(realpath "$1")
. "$(dirname "$0")/common.sh"
hosts=4
delay_ms=2
loss_percent=0.5
# A host that is cut off is to end the job within so many seconds.
patience=30

[ "$(id -u)" = 0 ] || skip "needs to be root"
command -v ip > /dev/null || skip "no ip (iproute2)"
mpirun --version 2> /dev/null | grep -q 'Open MPI' || skip "no mpirun of Open MPI"

folder=$(mktemp -d)
# Names of its own: others may run the same at this moment.
id=mg$$
switch=
job=
clean_up() {
    [ -z "$job" ] || kill "$job" 2> /dev/null || true
    for i in $(seq $hosts); do
        # Whatever still runs in there, such as the daemon of a host that is cut off.
        ip netns pids $id-$i 2> /dev/null | xargs -r kill -9 2> /dev/null || true
        ip netns del $id-$i 2> /dev/null || true
        ip link del $id-$i 2> /dev/null || true
    done
    [ -z "$switch" ] || kill "$switch" 2> /dev/null || true
    ip link del $id-br 2> /dev/null || true
    wait 2> /dev/null || true
    rm -rf "$folder"
}
trap clean_up EXIT

ip netns add $id-1 2> /dev/null || skip "this kernel has no network namespaces for us"

# Namespaces on a bridge, with the kernel's own delay and loss.
by_the_kernel() {
    ip link add $id-br type bridge && ip link set $id-br up || return 1
    for i in $(seq $hosts); do
        ip link add $id-$i type veth peer name eth0 netns $id-$i || return 1
        tc qdisc add dev $id-$i root netem delay ${delay_ms}ms loss $loss_percent% || return 1
        ip link set $id-$i master $id-br up || return 1
    done
}

# The same by a process, where the kernel does not know how.
by_a_process() {
    command -v python3 > /dev/null || skip "no netem, and no python3"
    local devices=()
    for i in $(seq $hosts); do
        ip link del $id-$i 2> /dev/null || true
        devices+=($id-$i)
    done
    : > "$folder/switch"
    python3 "$(dirname "$0")/switch.py" "$(awk "BEGIN { print $delay_ms / 1000 }")" \
        "$(awk "BEGIN { print $loss_percent / 100 }")" "${devices[@]}" > "$folder/switch" 2>&1 &
    switch=$!
    for _ in $(seq 50); do
        grep -q ready "$folder/switch" && break
        sleep 0.1
    done
    grep -q ready "$folder/switch" || skip "neither netem nor a TAP device: $(tail -n 1 "$folder/switch")"
    for i in $(seq $hosts); do
        ip link set $id-$i netns $id-$i name eth0
    done
}

for i in $(seq 2 $hosts); do
    ip netns add $id-$i
done
if by_the_kernel 2> "$folder/netem"; then
    echo "a network by the kernel (netem): $delay_ms ms, $loss_percent% lost"
else
    by_a_process
    echo "a network by tests/cluster/switch.py ($(tail -n 1 "$folder/netem")): $delay_ms ms, $loss_percent% lost"
fi
for i in $(seq $hosts); do
    ip -n $id-$i link set lo up
    ip -n $id-$i addr add 10.77.0.$i/24 dev eth0
    ip -n $id-$i link set eth0 up
    mkdir "$folder/tmp-$i"
done
# Nobody listens there: to be refused is to be heard.
heard=0
ip netns exec $id-2 timeout 5 bash -c ': < /dev/tcp/10.77.0.1/9' 2> /dev/null || heard=$?
[ $heard != 124 ] || skip "the hosts do not hear each other (a firewall?)"

# A command on a host: its network, its name, its temporary files.
cat > "$folder/on" << END
#!/bin/sh
i=\${1##*.}
shift
export TMPDIR=$folder/tmp-\$i
exec ip netns exec $id-\$i unshare --uts sh -c "hostname $id-\$i; exec \$*"
END
chmod +x "$folder/on"

cd "$folder"
# `microgpt train` with these words, by a rank on each of so many hosts; 0: no launcher.
train() {
    local ranks=$1
    shift
    if [ "$ranks" = 0 ]; then
        "$program" train "$@" --workers 1
        return
    fi
    local list
    list=$(seq -s, -f '10.77.0.%g' "$ranks")
    "$folder/on" 10.77.0.1 mpirun --allow-run-as-root --host "$list" -n "$ranks" \
        --mca plm_rsh_agent "$folder/on" --mca pml ob1 --mca btl tcp,self \
        --mca btl_tcp_if_include eth0 --mca oob_tcp_if_include eth0 \
        "$program" train "$@"
}

settings="--engine fast --batch-size 16 --micro-batches 4 --n-embd 32 --samples 1"
train 0 $settings --steps 100 --out alone > alone.txt
start=$SECONDS
train $hosts $settings --steps 100 --out hosts > hosts.txt
cmp alone.txt hosts.txt
same alone hosts
echo "$hosts hosts: the bits of one process, in $((SECONDS - start)) s"

train 0 $settings --steps 400 --out whole > whole.txt
(train $hosts $settings --steps 400 --out cut --save-every 10 || exit $?) > cut.txt 2> cut.err &
job=$!
for _ in $(seq 600); do
    [ -e runs/cut/checkpoints/latest/state.json ] && break
    sleep 0.1
done
sleep 0.$((RANDOM % 10))
ip -n $id-$hosts link set eth0 down
start=$SECONDS
while kill -0 $job 2> /dev/null && [ $((SECONDS - start)) -le $patience ]; do
    sleep 0.2
done
if kill -0 $job 2> /dev/null; then
    echo "the job goes on $patience s after host $hosts was cut off:"
    cat cut.err
    exit 1
fi
code=0
wait $job || code=$?
job=
[ $code != 0 ] || { echo "the job is done: was it cut off too late?"; exit 1; }
[ "$(grep -c '^microgpt: ' cut.err)" = 1 ] || { echo "expected one message, found:"; cat cut.err; exit 1; }
echo "host $hosts cut off: the job has ended after $((SECONDS - start)) s: $(grep '^microgpt: ' cut.err)"

# The ranks on the other hosts, and on the one that nobody hears, end by themselves. (That one's daemon is Open MPI's.)
ranks() {
    for i in $(seq $hosts); do
        ip netns pids $id-$i
    done | while read -r pid; do
        [ "$(cat "/proc/$pid/comm" 2> /dev/null)" != "$(basename "$program")" ] || echo "$pid"
    done
}
start=$SECONDS
while [ -n "$(ranks)" ]; do
    [ $((SECONDS - start)) -le $patience ] || { echo "still there $patience s later:" && ps -o pid,args -p $(ranks); exit 1; }
    sleep 0.2
done
echo "no rank is left anywhere, $((SECONDS - start)) s later"

train 2 --resume cut > resumed.txt
same whole cut
echo "gone on with by 2 hosts: the bits of one process"
