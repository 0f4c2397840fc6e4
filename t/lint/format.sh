#!/usr/bin/env bash
# t/lint/format.sh: every C source is as clang-format 14 writes it (.clang-format)
#
# Versions differ in details, so with another one there is nothing to compare with.
set -u
cd "${TENON_SRC:-$(dirname "$0")/../..}" || exit 1

format=$(command -v clang-format-14 || command -v clang-format || true)
if [ -z "$format" ] || [[ $("$format" --version) != *"version 14."* ]]; then
    echo "1..0 # SKIP clang-format 14 is not here"
    exit 0
fi
wrong=$(git ls-files 'src/*.[ch]' 't/*.[ch]' | while read -r file; do
    "$format" "$file" | cmp -s - "$file" || echo "$file"
done)
echo "1..1"
if [ -z "$wrong" ]; then
    echo "ok 1 - clang-format would change nothing"
else
    echo "not ok 1 - clang-format -i would change these"
    while read -r file; do echo "# $file"; done <<<"$wrong"
    exit 1
fi
