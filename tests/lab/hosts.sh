# shellcheck shell=bash
# A host: network namespace, root file system, sshd and dockerd, from power on to power off.

# The folders of a new host. Everything that the host writes is below one folder.
prepare_host() { # HOST
    local dir
    dir=$(host_dir "$1")
    mkdir -p "$dir"/{root,work,docker,log}
    install -d -m 0755 "$dir/upper" "$dir/upper/etc"
    install -d -m 0755 -o 1000 -g 1000 "$dir/data"
    echo "$1" >"$dir/upper/etc/hostname"
    printf '127.0.0.1 localhost\n%s %s\n' "${ADDRESS[$1]}" "$1" >"$dir/upper/etc/hosts"
    install -d -m 0755 "$dir/upper/etc/ssh"
    cp -p "$CACHE/host-keys/$1"/ssh_host_*_key* "$dir/upper/etc/ssh/"
    install -D -m 0755 "$LAB_DIR/services" "$dir/upper/usr/local/sbin/lab-services"
    install -d -m 0700 "$dir/upper/root"
    authorize "$dir/upper/root" 0
    install -d -m 0755 "$dir/upper/home"
    install -d -m 0755 -o 1000 -g 1000 "$dir/upper/home/dcos"
    authorize "$dir/upper/home/dcos" 1000
    install -d -m 0755 -o 1001 -g 1001 "$dir/upper/home/ops"
    authorize "$dir/upper/home/ops" 1001
}

authorize() { # HOME UID
    install -d -m 0700 -o "$2" -g "$2" "$1/.ssh"
    install -m 0600 -o "$2" -g "$2" "$LAB_HOME/.ssh/id_ed25519.pub" "$1/.ssh/authorized_keys"
}

# Starts the first process and returns; the host is not ready yet.
start_host() { # HOST
    local dir
    dir=$(host_dir "$1")
    make_host_network "$1"
    make_cgroups "$1"
    (
        join_cgroups "$1"
        exec setsid nsenter --net="$(ns_file "$(host_ns "$1")")" \
            unshare --mount --uts --ipc --pid --cgroup --fork --kill-child \
            "$LAB_DIR/init" "$1" "$dir" "$(base_dir)"
    ) </dev/null >>"$dir/log/init.log" 2>&1 9>&- &
}

await_host() { # HOST
    local logs
    logs=$(host_dir "$1")/log
    wait_until "$START_DEADLINE" host_is_running "$1" || die "$1: its first process did not start: see $logs/init.log"
    wait_until "$START_DEADLINE" settle_cgroups "$1" || die "$1: its processes can't be put into their control group"
    wait_until "$SSHD_DEADLINE" sshd_is_up "$1" ||
        die "$1: sshd does not answer after $SSHD_DEADLINE s: see $logs/sshd.log"
    wait_until "$DOCKERD_DEADLINE" dockerd_is_decided "$1" ||
        die "$1: dockerd does not answer after $DOCKERD_DEADLINE s: see $logs/dockerd.log"
    dockerd_is_up "$1" || die "$1: dockerd gave up: see $logs/dockerd.log"
}

# Up or ended: either way there is nothing left to wait for.
dockerd_is_decided() { # HOST
    dockerd_is_up "$1" || ! in_host "$1" /usr/local/sbin/lab-services alive dockerd
}

# Cuts the power.
stop_host() { # HOST
    wait_until "$STOP_DEADLINE" kill_processes "$1" ||
        die "$1: still running after $STOP_DEADLINE s: processes $(lab_processes "$1" | tr '\n' ' ')"
    rm -f "$(host_dir "$1")/pid"
    remove_host_network "$1"
    wait_until "$STOP_DEADLINE" remove_cgroups "$1" || die "$1: its control groups in /sys/fs/cgroup/*/$LAB_NAME stay"
}

# The first process of a running host, as seen from outside. A number from an earlier lab may be anybody's by
# now, so the control group has the last word.
host_pid() { # HOST
    local pid
    pid=$(cat "$(host_dir "$1")/pid" 2>/dev/null) || return 1
    [[ -n $pid ]] && grep -qs "/$LAB_NAME/$1" "/proc/$pid/cgroup" || return 1
    echo "$pid"
}

host_is_running() { host_pid "$1" >/dev/null; }

# Runs a command as root on a host, without SSH.
in_host() { # HOST COMMAND...
    local pid
    pid=$(host_pid "$1") || {
        say "error: $1 is not running; start it with: lab start $1"
        return 1
    }
    (
        join_cgroups "$1"
        shift
        exec nsenter --target "$pid" --mount --uts --ipc --net --pid --cgroup --root --wdns=/ \
            env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root \
            TERM="${TERM:-dumb}" LANG=C.UTF-8 "$@"
    )
}

sshd_is_up() { # HOST
    in_controller timeout 5 bash -c "exec 3<>/dev/tcp/${ADDRESS[$1]}/22 && read -r banner <&3 && [[ \$banner == SSH-* ]]" \
        2>/dev/null
}

dockerd_is_up() { # HOST
    in_host "$1" timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}
