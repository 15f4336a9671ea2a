#!/usr/bin/env bash
# A Slurm cluster of this one machine, for tests: scripts/slurm_node.sh start|stop|status
#
# Needs root and Debian's packages slurm-wlm and munge; works without systemd, as in
# containers. Ends with 0 when done (start: a node answers; status: it runs), with 3
# and a reason where there cannot be one here, with 1 when something failed.
#
# Two partitions: `main` (the default), whose jobs are queued again when a job in
# `urgent` needs their place, about ten seconds later. Only what this script started is stopped and removed.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

CONFIG=/etc/slurm/slurm.conf # the default place: commands inside jobs look nowhere else
STATE=/var/lib/egolib-slurm
LOGS=/var/log/egolib-slurm
MARK="# written by egolib's scripts/slurm_node.sh"
WAIT_SEC=60

cannot() { echo "no Slurm node here: $*" >&2; exit 3; }

check() {
  for command in slurmctld slurmd sbatch munged munge; do
    command -v "$command" >/dev/null ||
      cannot "$command is not installed (Debian: apt-get install slurm-wlm munge)"
  done
  [ "$(id -u)" = 0 ] || cannot "starting its daemons needs root"
  [ ! -e "$CONFIG" ] || ours || cannot "$CONFIG belongs to another cluster"
}

ours() { [ -e "$CONFIG" ] && [ "$(head -n 1 "$CONFIG")" = "$MARK" ]; }

answers() { # a node is up and takes jobs
  ours && timeout 10 sinfo --noheader --format=%T 2>/dev/null | grep -qE '^(idle|mixed|allocated)$'
}

alive() { # the process in a pid file runs, and is the daemon that it is said to be
  local pid
  pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] &&
    grep -q "^Name:[[:space:]]$2\$" "/proc/$pid/status" 2>/dev/null &&
    ! grep -q "^State:[[:space:]]Z" "/proc/$pid/status"
}

write_config() {
  local name cpus memory
  name=$(hostname -s)
  cpus=$(nproc)
  [ "$cpus" -ge 2 ] || cpus=2 # two jobs must be able to run side by side
  memory=$(awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
  mkdir -p "$(dirname "$CONFIG")" "$STATE/controller" "$STATE/node" "$LOGS"
  cat >"$CONFIG" <<END
$MARK
ClusterName=egolib
SlurmctldHost=$name(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=cred_expire=10
StateSaveLocation=$STATE/controller
SlurmdSpoolDir=$STATE/node
SlurmctldPidFile=$STATE/slurmctld.pid
SlurmdPidFile=$STATE/slurmd.pid
SlurmctldLogFile=$LOGS/slurmctld.log
SlurmdLogFile=$LOGS/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
KillWait=3
MinJobAge=3600
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=$name NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=3
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
END
}

start_munge() {
  munge --no-input >/dev/null 2>&1 && return # one runs already; it is left alone
  install -d -o munge -g munge -m 755 /run/munge
  install -d -o munge -g munge -m 700 /etc/munge /var/lib/munge /var/log/munge
  if [ ! -s /etc/munge/munge.key ]; then
    (umask 077 && head -c 1024 /dev/urandom >/etc/munge/munge.key)
    chown munge:munge /etc/munge/munge.key
  fi
  runuser -u munge -- munged
  touch "$STATE/started-munge"
  for _ in $(seq 50); do munge --no-input >/dev/null 2>&1 && return; sleep 0.1; done
  echo "munged does not answer; see /var/log/munge" >&2
  return 1
}

start() {
  check
  if answers; then echo "already running"; return; fi
  stop_daemons
  write_config
  if start_munge && slurmctld && slurmd && wait_for_node; then echo "started"; return; fi
  echo "the node did not come up:" >&2
  tail -n 15 "$LOGS"/*.log >&2 || true
  stop_daemons
  exit 1
}

wait_for_node() {
  for _ in $(seq $((WAIT_SEC * 4))); do answers && return; sleep 0.25; done
  return 1
}

stop_daemon() { # pid file, name
  local pid
  alive "$1" "$2" || { rm -f "$1"; return 0; }
  pid=$(cat "$1")
  kill "$pid"
  for _ in $(seq 100); do alive "$1" "$2" || break; sleep 0.1; done
  ! alive "$1" "$2" || kill -9 "$pid"
  rm -f "$1"
}

stop_daemons() { # jobs first, so that no step is left without its node
  ours || return 0
  if answers; then
    scancel --full --user="$(id -un)" || true
    for _ in $(seq 40); do [ -z "$(squeue --noheader 2>/dev/null)" ] && break; sleep 0.25; done
  fi
  stop_daemon "$STATE/slurmd.pid" slurmd
  stop_daemon "$STATE/slurmctld.pid" slurmctld
  if [ -e "$STATE/started-munge" ]; then stop_daemon /run/munge/munged.pid munged; fi
  rm -rf "$CONFIG" "$STATE" "$LOGS"
}

stop() {
  if ! ours; then echo "not running"; return; fi
  [ "$(id -u)" = 0 ] || cannot "stopping its daemons needs root"
  stop_daemons
  echo "stopped"
}

status() {
  if answers; then
    sinfo --noheader --Node --format="running: node %N, partition %P, %c CPUs, %T"
    return
  fi
  check
  echo "not running"
  return 1
}

case "${1:-}" in
  start | stop | status)
    if [ "$1" != status ] && [ "$(id -u)" = 0 ]; then
      mkdir -p /run/lock
      exec 9>/run/lock/egolib-slurm # one start or stop at a time ...
      flock 9
      "$1" 9>&- # ... and daemons must not hold the lock
    else
      "$1"
    fi
    ;;
  *)
    echo "usage: $0 start|stop|status" >&2
    exit 2
    ;;
esac
