# shellcheck shell=bash
# t/lib/tap.sh: TAP for tests in bash: `. t/lib/tap.sh`, then ok, is and like, and done_testing at the end
TESTS=0 FAILED=0

report() { # yes|no DESCRIPTION
    TESTS=$((TESTS + 1))
    if [ "$1" = yes ]; then
        echo "ok $TESTS - $2"
    else
        echo "not ok $TESTS - $2"
        FAILED=$((FAILED + 1))
    fi
}

diagnose() { sed 's/^/# /'; }

ok() { # DESCRIPTION COMMAND…: it succeeds; what it printed is shown when it does not
    local description=$1 output
    shift
    if output=$("$@" 2>&1); then
        report yes "$description"
    else
        report no "$description"
        tail -n 40 <<<"$output" | diagnose
    fi
}

is() { # DESCRIPTION GOT EXPECTED
    if [ "$2" = "$3" ]; then
        report yes "$1"
    else
        report no "$1"
        printf 'got:      %s\nexpected: %s\n' "$2" "$3" | diagnose
    fi
}

like() { # DESCRIPTION GOT REGULAR-EXPRESSION
    if grep -qE -- "$3" <<<"$2"; then
        report yes "$1"
    else
        report no "$1"
        printf 'got:     %s\nwithout: %s\n' "$2" "$3" | diagnose
    fi
}

done_testing() {
    echo "1..$TESTS"
    [ "$FAILED" -eq 0 ]
}
