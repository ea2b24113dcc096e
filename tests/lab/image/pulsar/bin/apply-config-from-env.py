#!/usr/bin/env python3
"""Writes environment variables over the settings of configuration files.

A variable named as a setting of the file (active or commented out) replaces its value.
A variable with the prefix PULSAR_PREFIX_ does too, and is appended where the file has no such setting.
"""

import os
import re
import sys

PREFIX = "PULSAR_PREFIX_"
SETTING = re.compile(r"\s*(#?)\s*([A-Za-z][\w.-]*)\s*=")


def settings(lines):
    """Which line each setting stands in; an active line goes before a commented one."""
    places = {}
    for number, line in enumerate(lines):
        match = SETTING.match(line)
        if match and (not match[1] or match[2] not in places):
            places[match[2]] = number
    return places


def apply(path, environment):
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    places = settings(lines)
    for name, value in sorted(environment.items()):
        key = name.removeprefix(PREFIX)
        line = f"{key}={value.strip()}"
        if key in places:
            lines[places[key]] = line
        elif key != name:
            places[key] = len(lines)
            lines.append(line)
        else:
            continue
        shown = "***" if re.search("password|secret|token|parameters", key, re.IGNORECASE) else value.strip()
        print(f"{path}: {key} = {shown}")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: apply-config-from-env.py FILE...")
    for path in sys.argv[1:]:
        apply(path, os.environ)


main()
