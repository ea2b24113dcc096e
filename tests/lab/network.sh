# shellcheck shell=bash
# The network of the lab: a bridge, the hosts and the controller, each in a namespace of its own,
# joined by veth pairs alone. There is no default route and no address translation, so nothing gets out.

BRIDGE_NS=$LAB_NAME.bridge
CONTROLLER_NS=$LAB_NAME.controller

host_ns() { echo "$LAB_NAME.$1"; }
ns_file() { echo "/run/netns/$1"; }

# The hosts' addresses belong to somebody. Outside of the namespaces they lead nowhere, and stay so after `down`.
blackhole() { ip route replace blackhole "$SUBNET"; }

new_ns() { # NAMESPACE
    ip netns add "$1"
    ip -n "$1" link set lo up
}

# Joins a namespace to the bridge. Both ends are born in their namespaces: none is ever in the root's.
plug() { # NAMESPACE PORT ADDRESS
    ip link add eth0 netns "$1" type veth peer name "$2" netns "$BRIDGE_NS"
    ip -n "$BRIDGE_NS" link set "$2" master br0 up
    ip -n "$1" address add "$3/24" dev eth0
    ip -n "$1" link set eth0 up
}

# The veth goes at once, the namespace whenever the kernel gets to it.
remove_host_network() { # HOST
    ip -n "$BRIDGE_NS" link delete "$(port_of "$1")" 2>/dev/null || true
    remove_ns "$(host_ns "$1")"
}

# A namespace's file that outlived its machine is no mount any more, and goes all the same.
remove_ns() { # NAMESPACE
    [[ -e $(ns_file "$1") ]] || return 0
    ip netns delete "$1" 2>/dev/null || rm -f "$(ns_file "$1")"
}

make_bridge() {
    new_ns "$BRIDGE_NS"
    ip -n "$BRIDGE_NS" link add br0 type bridge
    ip -n "$BRIDGE_NS" link set br0 up
    new_ns "$CONTROLLER_NS"
    plug "$CONTROLLER_NS" controller "$(controller_address)"
}

make_host_network() { # HOST
    local ns
    ns=$(host_ns "$1")
    new_ns "$ns"
    plug "$ns" "$(port_of "$1")" "${ADDRESS[$1]}"
    nsenter --net="$(ns_file "$ns")" sysctl -q -w net.ipv4.ip_forward=1
}

set_link() { # HOST up|down
    ip -n "$BRIDGE_NS" link set "$(port_of "$1")" "$2" || die "$1: not in the lab"
}

# The tables of neighbors and inotify instances are the whole machine's, and 26 hosts fill them.
raise_limits() {
    raise_limit fs.inotify.max_user_instances 1024
    raise_limit net.ipv4.neigh.default.gc_thresh2 8192
    raise_limit net.ipv4.neigh.default.gc_thresh3 16384
}

raise_limit() { # KEY VALUE
    local now
    now=$(sysctl -n "$1" 2>/dev/null) || return 0 # not on this kernel
    ((now >= $2)) || sysctl -q -w "$1=$2"
}

# Runs a command in the controller's network, on this machine's own files.
in_controller() {
    mountpoint -q "$(ns_file "$CONTROLLER_NS")" || die "the lab is down; start it with: lab up"
    nsenter --net="$(ns_file "$CONTROLLER_NS")" "$@"
}
