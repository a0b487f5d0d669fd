#!/usr/bin/env bash
# A Slurm cluster of one node on 127.0.0.1, for tests: needs root, no systemd, no network.
#
#   cluster.sh install      Debian's slurm-wlm and munge, with apt-get
#   cluster.sh up DIR       starts the daemons; all their files are in DIR; then: export SLURM_CONF=DIR/slurm.conf
#   cluster.sh down DIR     ends all jobs, then the daemons
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends slurm-wlm munge
}

# Runs the command until it succeeds, for at most 200 seconds.
await() {
  for _ in $(seq 1000); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.2
  done
  echo "cluster.sh: this does not come true: $*" >&2
  tail -n 20 "$dir"/*.log >&2
  return 1
}

up() {
  mkdir -p "$dir/state" "$dir/spool"
  chmod 755 "$dir"
  local ports
  ports=($(python3 -c "
import socket
sockets = [socket.create_server(('127.0.0.1', 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in sockets))"))
  # cred_expire is also how long a requeued job waits. The node is named localhost, which every machine can resolve.
  cat >"$dir/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$dir/munge.socket,cred_expire=5
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort=${ports[0]}
SlurmdPort=${ports[1]}
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
JobRequeue=1
KillWait=30
ReturnToService=2
MailProg=/bin/true
MpiDefault=none
NodeName=localhost NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES State=UP
CONF
  dd if=/dev/urandom of="$dir/munge.key" bs=128 count=1 status=none
  chmod 400 "$dir/munge.key"
  munged --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
    --log-file="$dir/munged.log" --seed-file="$dir/munge.seed" --force
  export SLURM_CONF=$dir/slurm.conf
  slurmctld -c
  slurmd -N localhost
  await idle
}

idle() { [ "$(sinfo --noheader --format=%T)" = idle ]; }
gone() { for pid; do [ ! -e "/proc/$pid" ] || return 1; done; }
no_jobs() { [ -z "$(squeue --noheader)" ]; }

down() {
  export SLURM_CONF=$dir/slurm.conf
  if scontrol ping >/dev/null 2>&1; then
    scancel --user=root --full --signal=KILL || true
    scancel --user=root || true
    await no_jobs || true
  fi
  local pids=()
  for daemon in slurmd slurmctld munged; do
    if [ -s "$dir/$daemon.pid" ]; then pids+=("$(cat "$dir/$daemon.pid")"); fi
  done
  [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
  await gone "${pids[@]}" || kill -9 "${pids[@]}" 2>/dev/null || true
}

case ${1-} in
  install) install ;;
  up | down)
    dir=$(realpath -m "${2:?$1 needs a directory}")
    "$1"
    ;;
  *)
    echo "usage: cluster.sh install | up DIR | down DIR" >&2
    exit 2
    ;;
esac
