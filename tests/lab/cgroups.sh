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

make_cgroups() { # HOST
    local mount group
    for mount in $(cgroup_mounts); do
        for group in "$mount/$LAB_NAME" "$mount/$LAB_NAME/$1"; do
            hand_down "${group%/*}"
            mkdir -p "$group"
            fill_cpuset "$group"
        done
    done
}

# Version 2: a group's children get the controllers that it names.
hand_down() { # GROUP
    local controller
    [[ -e $1/cgroup.subtree_control ]] || return 0
    for controller in $(<"$1/cgroup.controllers"); do
        echo "+$controller" >"$1/cgroup.subtree_control" || return 1
    done 2>/dev/null
}

# Version 2: a group that hands controllers down may hold no process itself, so what runs on the host goes one
# level down. Fails while a process is faster than we are.
settle_cgroups() { # HOST
    local mount group pid
    for mount in $(cgroup_mounts); do
        group=$mount/$LAB_NAME/$1
        [[ -e $group/cgroup.subtree_control ]] || continue
        mkdir -p "$group/init"
        for pid in $(<"$group/cgroup.procs"); do echo "$pid" >"$group/init/cgroup.procs" || true; done 2>/dev/null
        [[ -z $(<"$group/cgroup.procs") ]] && hand_down "$group" || return 1
    done
}

# Version 1: an empty cpuset takes no process, so fill it from the parent's.
fill_cpuset() { # GROUP
    local file
    for file in cpuset.cpus cpuset.mems; do
        [[ -e ${1%/*}/$file && -e $1/$file && -z $(<"$1/$file") ]] || continue
        cat "${1%/*}/$file" >"$1/$file"
    done
}

# Moves the calling shell into the host's groups.
join_cgroups() { # HOST
    local mount group
    for mount in $(cgroup_mounts); do
        group=$mount/$LAB_NAME/$1
        if [[ -d $group/init ]]; then group=$group/init; fi # version 2, see settle_cgroups
        echo "$BASHPID" >"$group/cgroup.procs"
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
