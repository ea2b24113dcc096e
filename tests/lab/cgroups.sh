# shellcheck shell=bash
# A control group per host, in every controller. It is also how a host's processes are found again, whatever
# became of the process that started them.

# The mounted hierarchies: one per controller (version 1), or the only one (version 2).
cgroup_mounts() {
  awk '$3 == "cgroup" { v1[++n] = $2 } $3 == "cgroup2" { v2 = $2 }
       END { if (n == 0) print v2; for (i = 1; i <= n; i++) print v1[i] }' /proc/self/mounts
}

# The one hierarchy that is asked which processes a host has.
cgroup_roster() { cgroup_mounts | grep -m1 -E '/pids$|/cgroup$' || cgroup_mounts | head -n1; }

# Moves the calling shell into the host's groups.
enter_cgroups() { # HOST
  local mount group file
  for mount in $(cgroup_mounts); do
    group=$mount/$LAB_NAME
    mkdir -p "$group/$1"
    for group in "$group" "$group/$1"; do
      # An empty cpuset takes no process: fill it from the parent's.
      for file in cpuset.cpus cpuset.mems; do
        if [[ -e $group/$file && -z $(<"$group/$file") ]]; then cat "${group%/*}/$file" >"$group/$file"; fi
      done
    done
    echo "$BASHPID" >"$mount/$LAB_NAME/$1/cgroup.procs"
  done
}

# The processes of a host, or of all.
lab_processes() { # [HOST]
  local group
  group=$(cgroup_roster)/$LAB_NAME${1:+/$1}
  if [[ -d $group ]]; then
    find "$group" -name cgroup.procs -exec cat {} + 2>/dev/null || true
  fi
}

no_processes() { [[ -z $(lab_processes "$@") ]]; }

# SIGKILL to everything in the group, again and again until it is empty.
kill_processes() { # [HOST]
  local pid
  for pid in $(lab_processes "$@"); do kill -KILL "$pid" 2>/dev/null || true; done
  no_processes "$@"
}

# Succeeds once the groups are gone: a group can't go before the kernel is done with its last process.
remove_cgroups() { # [HOST]
  local mount group gone=0
  for mount in $(cgroup_mounts); do
    group=$mount/$LAB_NAME${1:+/$1}
    [[ -d $group ]] || continue
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    if [[ -d $group ]]; then gone=1; fi
  done
  return "$gone"
}
