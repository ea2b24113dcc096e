# shellcheck shell=bash
# shellcheck disable=SC2034 # used by the files beside it
# Where things are, which hosts there are, and the few words every other file uses.

# Labs with different names know nothing of each other: namespaces, control groups and state are named after it.
LAB_NAME=${RUNNER_LAB_NAME:-runner-lab}
REPOSITORY=$(cd "$LAB_DIR/../.." && pwd)
INVENTORY=${RUNNER_LAB_INVENTORY:-$REPOSITORY/inventory/hosts.toml}
CACHE=${RUNNER_LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/runner-lab}
# The state has a fixed place, as the next `up` must find what the last one left.
STATE=${RUNNER_LAB_STATE:-/var/lib/$LAB_NAME}
LAB_HOME=$STATE/home
CONTROLLER_OCTET=1

# Seconds. Each wait in the lab ends after one of these.
CACHE_DEADLINE=1200
STOP_DEADLINE=20
START_DEADLINE=60
SSHD_DEADLINE=60
DOCKERD_DEADLINE=240
LOCK_DEADLINE=${RUNNER_LAB_LOCK_DEADLINE:-5}

say() { printf 'lab: %s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

# Succeeds as soon as the command does; fails once SECONDS have passed, or when the lab's own process was killed
# while this is one of its jobs.
wait_until() { # SECONDS COMMAND...
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) && kill -0 $$ 2>/dev/null || return 1
        sleep 0.2
    done
}

# One line per host of the inventory: NAME ADDRESS.
host_table() {
    [[ -r $INVENTORY ]] || die "$INVENTORY: cannot be read"
    sed -nE 's/^"?([A-Za-z0-9.-]+)"?[ \t]*=[ \t]*\{.*\baddress[ \t]*=[ \t]*"([0-9.]+)".*/\1 \2/p' "$INVENTORY"
}

declare -A ADDRESS=()
HOSTS=()
SUBNET=

load_hosts() {
    local name address
    while read -r name address; do
        HOSTS+=("$name")
        ADDRESS[$name]=$address
        SUBNET=${SUBNET:-${address%.*}.0/24}
        [[ ${address%.*}.0/24 == "$SUBNET" ]] || die "$name: $address is outside of $SUBNET"
    done < <(host_table)
    ((${#HOSTS[@]} > 0)) || die "$INVENTORY: no host with an address"
}

require_known() { # HOST...
    local name
    for name; do
        [[ -n ${ADDRESS[$name]:-} ]] || die "no host '$name' in $INVENTORY; there are: ${HOSTS[*]}"
    done
}

# Detaches every mount below a folder, the innermost first.
unmount_below() { # DIR
    local mount
    awk -v dir="$1/" 'index($2, dir) == 1 { print $2 }' /proc/self/mounts | sort -r |
        while read -r mount; do umount -l "$mount"; done
}

host_dir() { echo "$STATE/hosts/$1"; }
port_of() { echo "port-${ADDRESS[$1]##*.}"; }
controller_address() { echo "${SUBNET%.*}.$CONTROLLER_OCTET"; }

# The hosts that `up` was asked for, in the inventory's order.
lab_hosts() {
    local name
    for name in "${HOSTS[@]}"; do
        if [[ -d $(host_dir "$name") ]]; then echo "$name"; fi
    done
}

[[ $LAB_NAME =~ ^[a-z0-9-]+$ ]] || die "RUNNER_LAB_NAME '$LAB_NAME' is not made of a-z, 0-9 and -"

# Takes the lock of the lab on file descriptor 9 and leaves our process id in it.
lock_lab() {
    mkdir -p "$STATE"
    exec 9>>"$STATE/lock"
    flock -w "$LOCK_DEADLINE" 9 || die "process $(<"$STATE/lock") is bringing the lab up or down: $STATE/lock"
    echo $$ >"$STATE/lock"
}
