#!/usr/bin/env bash
# t/lint/links.sh: what README and docs/ link to is there
set -u
cd "${TENON_SRC:-$(dirname "$0")/../..}" || exit 1

number=0
failed=0
while IFS=: read -r file link; do
    target=${link#*](}
    target=${target%)}
    target=${target%%#*}
    case $target in '' | http://* | https://*) continue ;; esac
    number=$((number + 1))
    if [ -e "$(dirname "$file")/$target" ]; then
        echo "ok $number - $file: $target"
    else
        echo "not ok $number - $file links to $target, which is not there"
        failed=1
    fi
done < <(grep -oHE '\]\([^)]+\)' ./*.md docs/*.md docs/*/*.md)
echo "1..$number"
exit "$failed"
