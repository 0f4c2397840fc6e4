#!/usr/bin/env bash
# t/shell/nginx.sh: nginx takes the production site, and what nginx answers by itself has the form of our errors
set -euo pipefail
cd "${TENON_SRC:?}"
. t/lib/tap.sh
PATH=$PATH:/usr/sbin
dir=$(mktemp -d)
chmod 0755 "$dir"
end() {
    [ ! -s "$dir/nginx.pid" ] || kill "$(cat "$dir/nginx.pid")"
    rm -rf -- "$dir"
}
trap end EXIT

free_port() {
    local port=$((20000 + RANDOM % 5000))
    while (exec 5<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    echo "$port"
}
http=$(free_port) tls=$((http + 5001)) metrics=$((http + 5002))

# The site as it is, but for names, places and addresses of this machine.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=app.example.com \
    -keyout "$dir/key.pem" -out "$dir/certificate.pem" 2>/dev/null
ln -s "$PWD/nginx" "$dir/tenon"
mkdir "$dir/storage"
sed -e "s|/etc/letsencrypt/live/app.example.com/fullchain.pem|$dir/certificate.pem|" \
    -e "s|/etc/letsencrypt/live/app.example.com/privkey.pem|$dir/key.pem|" -e '/listen \[::\]/d' \
    -e "s|listen 80;|listen 127.0.0.1:$http;|" -e "s|listen 443 |listen 127.0.0.1:$tls |" \
    -e "s|127.0.0.1:9180|127.0.0.1:$metrics|" -e "s|/var/log/nginx|$dir|" -e "s|/var/lib/tenon/storage|$dir/storage|" nginx/tenon.conf >"$dir/site.conf"
cat >"$dir/nginx.conf" <<EOF
user www-data;
pid $dir/nginx.pid;
error_log $dir/error.log;
events { }
http {
    default_type application/octet-stream;
    client_body_temp_path $dir/body;
    fastcgi_temp_path $dir/fastcgi;
    proxy_temp_path $dir/proxy;
    uwsgi_temp_path $dir/uwsgi;
    scgi_temp_path $dir/scgi;
    include site.conf;
}
EOF
ok 'nginx takes the production site' nginx -t -e "$dir/error.log" -c "$dir/nginx.conf"
nginx -e "$dir/error.log" -c "$dir/nginx.conf" 2>/dev/null

ask() { curl -sik --max-time 10 "$@" | tr -d '\r'; }
status() { sed -n '1s/^HTTP[^ ]* \([0-9]*\).*/\1/p' <<<"$1"; }
url=https://127.0.0.1:$tls

answer=$(ask "$url/rest/v1/todos")
is 'without workers the answer is 502' "$(status "$answer")" 502
like 'it is spoken over HTTP/2' "$answer" '^HTTP/2 '
like 'its body is an error of ours' "$answer" '^\{"code":"worker_unavailable",.*"details":null,"hint":".*","request_id":"[0-9a-f]{32}"\}$'
like 'it says when to come back' "$answer" '^retry-after: 1$'
is 'header and body have the same request id' "$(sed -n 's/^x-request-id: //p' <<<"$answer")" \
    "$(sed -n 's/.*"request_id":"\([^"]*\)".*/\1/p' <<<"$answer")"
like 'browsers of other origins may read it' "$answer" '^access-control-allow-origin: \*$'
like 'TLS is for always' "$answer" '^strict-transport-security: max-age=63072000; includeSubDomains$'
like 'the log line has the same request id' \
    "$(sleep 1.2; cat "$dir/tenon.json")" "\"request_id\":\"$(sed -n 's/^x-request-id: //p' <<<"$answer")\".*\"path\":\"/rest/v1/todos\""

answer=$(ask -X OPTIONS -H 'Origin: https://a.example' -H 'Access-Control-Request-Method: PATCH' "$url/api/chats")
is 'nginx answers a preflight' "$(status "$answer")" 204
for header in authorization apikey content-type x-client-info x-supabase-api-version prefer accept-profile content-profile \
    range x-upsert cache-control x-metadata x-region x-retry-count traceparent tracestate baggage tus-resumable upload-length \
    upload-offset upload-metadata upload-defer-length x-signature idempotency-key last-event-id; do
    like "the preflight allows $header" "$answer" "^access-control-allow-headers: (.*, )?$header(,|\$)"
done
is 'another OPTIONS request goes to the workers' "$(status "$(ask -X OPTIONS "$url/api/chats")")" 502

answer=$(ask "http://127.0.0.1:$http/some/where?x=1")
is 'plain HTTP is sent to TLS' "$(status "$answer")" 308
like '… to the site and to no other host' "$answer" '^Location: https://app.example.com/some/where\?x=1$'

# curl sends no header as large as that
answer=$( (printf 'GET /api/chats HTTP/1.1\r\nHost: app.example.com\r\nX-Large: ' && head -c 1000000 /dev/zero | tr '\0' a; sleep 1) |
    timeout 10 openssl s_client -quiet -connect "127.0.0.1:$tls" 2>/dev/null | tr -d '\r' || true)
is 'a header of 1 MB is 431' "$(status "$answer")" 431
like '… as an error of ours' "$answer" '^\{"code":"headers_too_large"'
answer=$(ask --http1.1 "$url/$(head -c 30000 /dev/zero | tr '\0' a)")
is 'an address that is too long is 414' "$(status "$answer")" 414
like '… as an error of ours' "$answer" '^\{"code":"target_too_long"'
answer=$(head -c 30000000 /dev/zero | ask -H 'Expect:' --data-binary @- "$url/api/page.html")
is 'a body that is too large is 413' "$(status "$answer")" 413
like '… as an error of ours, whatever the address ends in' "$answer" '^content-type: application/json$'
is 'TRACE is 405' "$(status "$(ask -X TRACE "$url/")")" 405
is 'the pages of errors have no address of their own' "$(status "$(ask "$url/_tenon/error/414")")" 404
is 'metrics are not on the public address' "$(status "$(ask "$url/metrics")")" 502
is '… but on the loopback address' "$(status "$(ask "http://127.0.0.1:$metrics/metrics")")" 502
is '… where nothing else is' "$(status "$(ask "http://127.0.0.1:$metrics/api/chats")")" 404

statuses=$(curl -sk -o /dev/null -w '%{http_code}\n' "$url/auth/v1/token?[1-100]")
like 'guessing passwords is slowed down' "$statuses" '^429$'
like 'rewrites and captures have no regular expressions' "$(grep -nE '^\s*(rewrite|location ~|if .* ~)' nginx/* || echo none)" '^none$'
done_testing
