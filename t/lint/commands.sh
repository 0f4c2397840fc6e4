#!/usr/bin/env bash
# t/lint/commands.sh: docs/reference/commands.md is what `tenon help all` prints
set -u
cd "${TENON_SRC:-$(dirname "$0")/../..}" || exit 1
echo 1..1
if "${TENON_BIN:?names the program to test}" help all | diff - docs/reference/commands.md >&2; then
    echo 'ok 1 - the reference of the commands is up to date'
else
    echo 'not ok 1 - run: tenon help all >docs/reference/commands.md'
    exit 1
fi
