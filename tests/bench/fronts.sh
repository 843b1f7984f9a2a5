#!/bin/bash
# What HAProxy and nginx take in front of a server, with the configurations that are shipped: CPU seconds a
# gigabyte of the proxy and of the server behind it, over TLS on loopback. nginx is the upstream, over plain HTTP.
#
#     tests/bench/fronts.sh PROGRAM [DOWNLOADS]
#
# PROGRAM is ytcanal. A film of an hour (450 MB) is downloaded so many times (5) through each proxy.
set -euo pipefail
PATH=$PATH:/usr/sbin
program=$(realpath "$1") downloads=${2:-5}
config=$(realpath "$(dirname "$0")/../../config")
dir=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2> /dev/null || true; done
  wait
  rm -rf "$dir"
}
trap finish EXIT

# Starts a program of which the CPU is measured; its id is in $started.
launch() {
  "$@" > "$dir/out" 2>&1 &
  started=$!
  pids+=("$started")
}

# The CPU time of a process and of its children, in clock ticks.
ticks() {
  local sum=0 pid
  for pid in "$1" $(pgrep -P "$1" || true); do
    sum=$((sum + $(awk '{ print $14 + $15 }' "/proc/$pid/stat")))
  done
  echo "$sum"
}

film() {
  local fragments='+frag_keyframe+empty_moov+default_base_moof+dash+global_sidx'
  ffmpeg -v error -nostdin -f lavfi -i testsrc2=size=640x360:rate=25:duration=60 -c:v libx264 -preset ultrafast \
    -pix_fmt yuv420p -b:v 870k -maxrate 870k -bufsize 2600k -g 100 "$dir/clip.mp4"
  ffmpeg -v error -nostdin -stream_loop 59 -i "$dir/clip.mp4" -c copy -movflags $fragments "$dir/www/video.mp4"
  ffmpeg -v error -nostdin -f lavfi -i sine=sample_rate=48000:duration=3600 -c:a aac -b:a 96k \
    -frag_duration 5000000 -movflags $fragments "$dir/www/audio.mp4"
}

# Waits until something listens at a port.
await() {
  for _ in $(seq 100); do
    if curl -sko /dev/null --noproxy '*' "$1"; then return; fi
    sleep 0.1
  done
  echo "nothing listens at $1: $(cat "$dir/out")" >&2
  exit 1
}

# nginx's own paths, in a directory that everybody can write to.
paths="client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/f;"
paths="$paths scgi_temp_path $dir/s; uwsgi_temp_path $dir/u;"
user=$([ "$(id -u)" = 0 ] && echo 'user root root;' || true)

mkdir -p "$dir/www" "$dir/cache"
film
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=video.example \
  -addext subjectAltName=DNS:video.example -keyout "$dir/key.pem" -out "$dir/cert.pem" 2> /dev/null
cat "$dir/cert.pem" "$dir/key.pem" > "$dir/both.pem"
echo "$user daemon off; pid $dir/origin.pid; error_log stderr; events {} http { access_log off; $paths
  server { listen 127.0.0.1:18100; root $dir/www; keepalive_requests 100000; } }" > "$dir/origin.conf"
launch nginx -e stderr -c "$dir/origin.conf"
cat > "$dir/ytcanal.toml" <<END
listen = ["127.0.0.1:18001"]
runtime_dir = "$dir/run"
access = { mode = "open", hosts = ["video.example"], trusted_proxies = ["127.0.0.1"] }
cache = { max_age = "1h" }
upstream = { allow = ["127.0.0.0/8"] }
END
launch "$program" serve --config "$dir/ytcanal.toml"
server=$started
await http://127.0.0.1:18001/readyz

adapt() {
  sed -e '/^ *server two/d' -e '/10.0.0.12/d' -e '/^ *user haproxy\|^ *group haproxy/d' \
    -e "s|^user www-data;|$user|" -e 's|10.0.0.11:8080|127.0.0.1:18001|' -e "s|/dev/log local0|stderr local0 crit|" \
    -e 's|bind :443|bind 127.0.0.1:18443|' -e 's|bind :80$|bind 127.0.0.1:18080|' \
    -e 's|listen 443|listen 127.0.0.1:18443|' -e 's|listen 80;|listen 127.0.0.1:18080;|' \
    -e "s|/etc/haproxy/video.example.pem|$dir/both.pem|; s|/etc/ssl/video.example.pem|$dir/cert.pem|" \
    -e "s|/etc/ssl/video.example.key|$dir/key.pem|; s|/run/nginx.pid|$dir/front.pid|" \
    -e "s|/var/log/nginx|$dir|; s|/var/cache/nginx|$dir/cache|" \
    -e '/^ *client_body_temp_path/d' -e "s|^ *proxy_temp_path.*|$paths|" "$config/$1" > "$dir/$1"
}

film=http%3A%2F%2F127.0.0.1%3A18100%2F
path="/mux?video=${film}video.mp4&audio=${film}audio.mp4&engine=splice"

# Downloads, and prints a row: CPU seconds a GB of the proxy and of the server, and the wall time of a download.
measure() {
  local name=$1 front=$2 url=$3 bytes=0 size before begin
  shift 3
  before=("$([ "$front" = none ] && echo 0 || ticks "$front")" "$(ticks "$server")")
  begin=$(date +%s%N)
  for _ in $(seq "$downloads"); do
    size=$(curl -sSf --noproxy '*' --cacert "$dir/cert.pem" --resolve video.example:18443:127.0.0.1 "$@" \
      -o /dev/null -w '%{size_download}' "$url$path")
    bytes=$((bytes + size))
  done
  awk -v name="$name" -v bytes="$bytes" -v hz="$(getconf CLK_TCK)" -v n="$downloads" \
    -v wall=$(($(date +%s%N) - begin)) \
    -v front=$(($([ "$front" = none ] && echo 0 || ticks "$front") - before[0])) \
    -v server=$(($(ticks "$server") - before[1])) 'BEGIN { gb = bytes / 1e9
      printf "| %s | %.2f s | %.2f s | %.2f s |\n", name, front / hz / gb, server / hz / gb, wall / 1e9 / n }'
}

echo "| $downloads downloads of $(du -cb "$dir"/www/* | tail -1 | cut -f 1) bytes | proxy, CPU a GB | server, CPU a GB | wall |"
echo '|---|---|---|---|'
measure 'no proxy, no TLS' none http://127.0.0.1:18001
for front in haproxy.cfg nginx.conf nginx-cache.conf; do
  adapt "$front"
  case $front in
    haproxy.cfg) launch haproxy -db -f "$dir/$front" ;;
    *) launch nginx -e stderr -g 'daemon off;' -c "$dir/$front" ;;
  esac
  proxy=$started
  await https://127.0.0.1:18443/readyz
  for version in --http1.1 --http2; do
    # HAProxy 2.6 is configured to speak HTTP/1.1 only.
    [ "$front$version" != haproxy.cfg--http2 ] || continue
    measure "$front, ${version#--}" "$proxy" https://video.example:18443 "$version"
  done
  kill "$proxy"
  wait "$proxy" || true
done
