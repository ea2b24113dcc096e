# shellcheck shell=bash
# What is made once and kept in the cache: the base root file system and the hosts' keys.

SUITE=bookworm
# What the hosts of the lab have on top of Debian's minimal system. sudo is there for the user `ops`;
# busybox is there as one more shell to meet.
BASE_PACKAGES=(openssh-server sudo docker.io iptables iproute2 iputils-ping procps tini busybox-static)

# Packages of this machine, by the command each one brings. Docker and sshd run in the base system only.
TOOLS=(debootstrap:debootstrap ip:iproute2 flock:util-linux nsenter:util-linux ssh:openssh-client
    ssh-keygen:openssh-client sysctl:procps)

install_tools() {
    local tool missing=()
    for tool in "${TOOLS[@]}"; do
        command -v "${tool%%:*}" >/dev/null || missing+=("${tool#*:}")
    done
    ((${#missing[@]} > 0)) || return 0
    say "installing ${missing[*]}"
    timeout 300 apt-get update -qq
    DEBIAN_FRONTEND=noninteractive timeout 600 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Runs inside the new root: users, and nothing else that differs from Debian's defaults.
configure_base() {
    useradd --create-home --uid 1000 --shell /bin/bash --groups docker dcos
    usermod -p '*' dcos # no password, and yet not locked: sshd refuses a locked account
    useradd --create-home --uid 1001 --shell /bin/bash --groups sudo ops
    echo ops:ops-lab | chpasswd # sudo asks this user for its password
    mkdir -p /mnt/data /var/log/lab
    rm -f /etc/ssh/ssh_host_*_key* /etc/hostname /etc/resolv.conf /etc/machine-id
    : >/etc/resolv.conf
    rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/*
}

recipe() {
    echo "$SUITE ${BASE_PACKAGES[*]}"
    declare -f configure_base
}

# Prints the folder of the base system for the present recipe; a changed recipe has another folder.
base_dir() { echo "$CACHE/base-$(recipe | sha256sum | cut -c1-12)"; }

build_base() {
    local base scratch packages log=$CACHE/debootstrap.log
    base=$(base_dir)
    [[ -d $base ]] && return
    scratch=$CACHE/base.new
    unmount_below "$scratch" # debootstrap leaves /proc there when it is killed
    rm -rf --one-file-system "$scratch"
    packages=$(
        IFS=,
        echo "${BASE_PACKAGES[*]}"
    )
    say "building the base system (about a minute)"
    timeout 900 debootstrap --variant=minbase --include="$packages" "$SUITE" "$scratch" \
        ${RUNNER_LAB_DEBIAN_MIRROR:+"$RUNNER_LAB_DEBIAN_MIRROR"} >"$log" 2>&1 || die "debootstrap failed: see $log"
    {
        declare -f configure_base
        echo 'set -e; configure_base'
    } | chroot "$scratch" /bin/bash >>"$log" 2>&1 ||
        die "the base system could not be configured: see $log"
    rm -rf "$CACHE"/base-*
    mv "$scratch" "$base" # only a complete system gets the name
}

# Host keys stay the same from one lab to the next, as on real machines.
make_host_keys() { # HOST...
    local name type dir
    for name; do
        dir=$CACHE/host-keys/$name
        mkdir -p "$dir"
        for type in ed25519 ecdsa rsa; do
            [[ -s $dir/ssh_host_${type}_key.pub ]] && continue
            rm -f "$dir/ssh_host_${type}_key"
            ssh-keygen -q -t "$type" -N '' -C "root@$name" -f "$dir/ssh_host_${type}_key"
        done
    done
}

# Labs share the cache, so one at a time.
fill_cache() {
    mkdir -p "$CACHE"
    (
        flock -w "$CACHE_DEADLINE" 8 || die "another lab is still filling the cache: $CACHE/lock"
        build_base
        make_host_keys "${HOSTS[@]}"
    ) 8>"$CACHE/lock"
}

# The operator's side: a home folder with a key, the hosts' keys and a client configuration.
make_identity() {
    local ssh=$LAB_HOME/.ssh name
    install -d -m 0755 "$LAB_HOME"
    install -d -m 0700 "$ssh"
    [[ -s $ssh/id_ed25519.pub ]] || ssh-keygen -q -t ed25519 -N '' -C "operator@$LAB_NAME" -f "$ssh/id_ed25519"
    for name in "${HOSTS[@]}"; do
        awk -v address="${ADDRESS[$name]}" '{ print address, $1, $2 }' "$CACHE/host-keys/$name"/*.pub
    done >"$ssh/known_hosts"
    cat >"$ssh/config" <<CONFIG
Host *
    IdentityFile $ssh/id_ed25519
    UserKnownHostsFile $ssh/known_hosts
    StrictHostKeyChecking yes
CONFIG
    chmod 0600 "$ssh/known_hosts" "$ssh/config"
}
