#!/usr/bin/env bash
# t/shell/install.sh: `make install` puts everything where docs/deploy.md looks for it
set -euo pipefail
cd "${TENON_SRC:?}"
. t/lib/tap.sh
top=$(mktemp -d)
trap 'rm -rf -- "$top"' EXIT
install_there() { make -C "${TENON_BUILD:?}" install DESTDIR="$top" prefix=/usr sysconfdir=/etc localstatedir=/var; }

ok 'make install' install_there
for file in bin/tenon libexec/tenon/tenon-image share/tenon/sql/init.sql share/tenon/sql/migrations/0001_tenon.sql share/tenon/nginx/tenon.conf \
    share/tenon/nginx/tenon_locations.conf lib/systemd/system/tenon.service lib/systemd/system/tenon-api.socket \
    lib/systemd/system/tenon-stream.socket lib/systemd/system/tenon-ops.socket lib/tmpfiles.d/tenon.conf lib/sysusers.d/tenon.conf \
    share/tenon/passwords/common.txt share/doc/tenon/examples/tenon share/doc/tenon/examples/tenon.conf share/doc/tenon/deploy.md; do
    ok "/usr/$file" test -s "$top/usr/$file"
done
is 'all migrations are there' "$(ls "$top/usr/share/tenon/sql/migrations")" "$(cd sql/migrations && ls -- *.sql)"
is 'the configuration is not for everybody' "$(stat -c %a "$top/etc/tenon/tenon.conf")" 640
ok 'it is the documented one' cmp "$top/etc/tenon/tenon.conf" etc/tenon.conf
unit=$(cat "$top/usr/lib/systemd/system/tenon.service")
like 'the unit starts what was installed' "$unit" '^ExecStart=/usr/bin/tenon serve -c /etc/tenon/tenon.conf$'
is 'nothing is left to fill in' "$(grep -c '@[a-z]*dir@' <<<"$unit" || true)" 0
for pool in api stream ops; do
    socket=$(cat "$top/usr/lib/systemd/system/tenon-$pool.socket")
    like "systemd hands over the socket of $pool by the name that the server looks for" "$socket" "^FileDescriptorName=$pool.sock\$"
    like '… at the place that nginx looks for' "$(cat nginx/tenon_upstreams.conf)" \
        "server unix:$(sed -n 's/^ListenStream=//p' <<<"$socket") "
done
if command -v systemd-analyze >/dev/null; then
    sed -i 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' "$top/usr/lib/systemd/system/tenon.service"
    is 'systemd understands the units' "$(systemd-analyze verify "$top"/usr/lib/systemd/system/tenon* 2>&1 | grep -i tenon || true)" ''
fi
echo '# edited' >>"$top/etc/tenon/tenon.conf"
ok 'a second install' install_there
is 'a configuration that is there is left alone' "$(tail -n 1 "$top/etc/tenon/tenon.conf")" '# edited'
ok 'make uninstall' make -C "$TENON_BUILD" uninstall DESTDIR="$top" prefix=/usr sysconfdir=/etc localstatedir=/var
is 'the configuration is all that stays' "$(cd "$top" && find . -type f)" ./etc/tenon/tenon.conf
done_testing
