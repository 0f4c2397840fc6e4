#!/usr/bin/env bash
# t/shell/shellcheck.sh: every shell script of ours is clean, warnings and style included
set -euo pipefail
cd "${TENON_SRC:?}"
. t/lib/tap.sh
while read -r script; do
    ok "$script" shellcheck --external-sources --source-path=SCRIPTDIR --source-path=. "$script"
done < <(grep -lrE '^#!(/usr/bin/env |/bin/)(ba)?sh|^# shellcheck shell=' --exclude-dir={.git,var,node_modules,build-aux,autom4te.cache} \
    --exclude=configure --exclude='configure~' . | sort)
done_testing
