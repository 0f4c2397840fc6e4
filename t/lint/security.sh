#!/usr/bin/env bash
# t/lint/security.sh: docs/security.md answers every requirement of ASVS 5.0 that it says it does, and names tests that are there
set -u
cd "${TENON_SRC:-$(dirname "$0")/../..}" || exit 1
. t/lib/tap.sh

# section → how many requirements, and those above level 2, which only the chapters of level 3 answer
sections='1.1:2 1.2:10:10 1.3:12:12 1.4:3 1.5:3:3 2.1:3 2.2:3 2.3:5:5 2.4:2:2 3.1:1:1 3.2:3:3 3.3:5:5 3.4:8:7,8 3.5:8:6,7,8 3.6:1:1 3.7:5:3,4,5
4.1:5:4,5 4.2:5:2,3,4,5 4.3:2 4.4:4 5.1:1 5.2:6:4,5,6 5.3:3:3 5.4:3 6.1:3 6.2:12 6.3:8 6.4:6 6.5:8 6.6:4 6.7:2 6.8:4
7.1:3 7.2:4 7.3:2 7.4:5 7.5:3 7.6:2 8.1:4 8.2:4 8.3:3 8.4:2 9.1:3 9.2:4 10.1:2 10.2:3:3 10.3:5:5 10.4:16:12,13,14,15,16 10.5:5 10.6:2 10.7:3
11.1:4 11.2:5 11.3:5 11.4:4 11.5:2 11.6:2 11.7:2 12.1:5:4,5 12.2:2 12.3:5:5 13.1:4:2,3,4 13.2:6:6 13.3:4:3,4 13.4:7:6,7 14.1:2 14.2:8:5,6,7,8 14.3:3
15.1:5:4,5 15.2:5:4,5 15.3:7 15.4:4:1,2,3,4 16.1:1 16.2:5 16.3:4 16.4:3 16.5:4:4'

missing=''
for entry in $sections; do
    IFS=: read -r section count above <<<"$entry"
    for ((number = 1; number <= count; number++)); do
        [[ ",${above:-}," == *",$number,"* ]] && continue
        grep -qE "V${section//./\\.}\\.$number( |,|\\.)" docs/security.md || missing+=" V$section.$number"
    done
done
is 'every requirement is answered' "$missing" ''
is 'and once' "$(grep -oE '^\| V[0-9.]+' docs/security.md | sort | uniq -d)" ''

gone=''
# shellcheck disable=SC2016 # backquotes of Markdown
for name in $(grep -oE '`t/[a-z_]+/[a-z_-]+`' docs/security.md | tr -d '`' | sort -u); do
    compgen -G "$name.*" >/dev/null || gone+=" $name"
done
is 'the tests that are named are there' "$gone" ''

nowhere=''
# shellcheck disable=SC2016
for setting in $(grep -oE '`(auth|data|limits|mail|server|storage|log|hooks)\.[a-z_0-9]+' docs/security.md | tr -d '`' | sort -u); do
    grep -q "\"${setting%%.*}\", \"${setting#*.}\"" src/base/settings.c || nowhere+=" $setting"
done
is 'the settings that are named are there' "$nowhere" ''
done_testing
