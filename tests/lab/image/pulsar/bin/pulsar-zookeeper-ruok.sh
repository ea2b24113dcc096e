#!/usr/bin/env bash
# Exits 0 if the ZooKeeper server in this container says that it is well.

exec 3<>"/dev/tcp/localhost/${1:-2181}" || exit 1
printf ruok >&3
IFS= read -r -t 10 -u 3 -N 4 answer
[ "$answer" = imok ] || { printf 'ZooKeeper answered "%s" and not "imok"\n' "$answer" >&2; exit 1; }
