# shellcheck shell=bash
# etc/quickstart/packages.sh: Debian packages, for ./quickstart and ./check, which define fail WHY WHAT-TO-DO
#
# A wanted package is written as its name, or as command:package where another package may bring the command.

GUARDS=()

missing_of() { # WANTED…: the names of packages that are not there
    local wanted
    for wanted in "$@"; do
        case $wanted in
            *:*) command -v "${wanted%%:*}" >/dev/null || echo "${wanted#*:}" ;;
            *) [ "$(dpkg-query -W -f='${db:Status-Status}' "$wanted" 2>/dev/null)" = installed ] || echo "$wanted" ;;
        esac
    done
}

# Debian starts a service as soon as its package is there: nginx on every address, PostgreSQL with a cluster
# of its own. Both stay away while these two files exist, which is only while we install.
guard_install() {
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        GUARDS+=(/usr/sbin/policy-rc.d)
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod 0755 /usr/sbin/policy-rc.d
    fi
    if [ ! -e /etc/postgresql-common ]; then
        mkdir -p /etc/postgresql-common/createcluster.d
        GUARDS+=(/etc/postgresql-common/createcluster.d/tenon-quickstart.conf)
        echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/tenon-quickstart.conf
    fi
}

undo_install_guards() {
    [ "${#GUARDS[@]}" -eq 0 ] || rm -f -- "${GUARDS[@]}"
    GUARDS=()
}

apt_install() { # PACKAGES
    export DEBIAN_FRONTEND=noninteractive
    guard_install
    apt-get -o DPkg::Lock::Timeout=120 -y --no-install-recommends install "$@" ||
        fail "apt-get could not install: $*" "read the lines below; often 'apt-get -f install' or another mirror helps"
    undo_install_guards
}
