#!/usr/bin/env bash
# t/lint/links.sh: what README and docs/ link to is there, the heading behind # too
set -u
cd "${TENON_SRC:-$(dirname "$0")/../..}" || exit 1

# The headings of a file as GitHub makes anchors of them.
anchors() { # FILE
    sed -n 's/^##* //p' "$1" | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9 _-]//g; s/ /-/g'
}

number=0
failed=0
while IFS=: read -r file link; do
    target=${link#*](}
    target=${target%)}
    case $target in http://* | https://*) continue ;; esac
    number=$((number + 1))
    place=$file
    [ "${target%%#*}" = '' ] || place=$(dirname "$file")/${target%%#*}
    if [ -e "$place" ] && { [[ $target != *#* ]] || anchors "$place" | grep -qxF -- "${target#*#}"; }; then
        echo "ok $number - $file: $target"
    else
        echo "not ok $number - $file links to $target, which is not there"
        failed=1
    fi
done < <(grep -oHE '\]\([^)]+\)' ./*.md docs/*.md docs/*/*.md)
echo "1..$number"
exit "$failed"
