#!/bin/sh
# Small files of all families, for the targets that join two. $1 is where they go: a directory for
# each target. An input is a line of numbers and two files; tests/fuzz/common/splice.rs tells more.
set -eu
directory=$1
[ ! -e "$directory/done" ] || exit 0
mkdir -p "$directory/splice_mp4" "$directory/splice_webm" "$directory/splice_mpeg_ts"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

make() { ffmpeg -v error -nostdin -y "$@"; }

# join TARGET NAME VIDEO AUDIO: whole, and a part.
join() {
  len=$(stat -c %s "$3")
  { echo "$len 700 0 0 999"; cat "$3" "$4"; } > "$directory/$1/$2"
  { echo "$len 41 1300 1200 77"; cat "$3" "$4"; } > "$directory/$1/$2-part"
}

picture='testsrc=size=16x16:rate=5:duration=4'
sound='sine=sample_rate=8000:duration=4'
make -f lavfi -i "$picture" -c:v libx264 -preset ultrafast -bf 1 -g 5 -pix_fmt yuv420p -crf 40 \
  -bsf:v filter_units=remove_types=6 "$work/v.mp4"
make -f lavfi -i "$sound" -c:a aac -b:a 8k "$work/a.mp4"
make -f lavfi -i "$picture" -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 5 -b:v 10k \
  "$work/v.webm"
make -f lavfi -i "$sound" -c:a libopus -b:a 6k "$work/a.webm"

# shape NAME FLAG...: the MP4 with these flags.
shape() {
  name=$1
  shift
  for track in v a; do
    make -i "$work/$track.mp4" -c copy -frag_duration 1000000 "$@" "$work/$track-$name.mp4"
  done
  join splice_mp4 "$name" "$work/v-$name.mp4" "$work/a-$name.mp4"
}
shape sidx -movflags +empty_moov+default_base_moof+dash+global_sidx+skip_trailer
shape mfra -movflags +empty_moov
shape edits -movflags +delay_moov+default_base_moof+skip_trailer
join splice_mp4 plain "$work/v.mp4" "$work/a.mp4"
for track in v a; do
  make -i "$work/$track.mp4" -c copy -movflags +faststart "$work/$track-front.mp4"
  make -i "$work/$track.webm" -c copy -cluster_time_limit 900 -cues_to_front 1 \
    "$work/$track-front.webm"
done
join splice_mp4 front "$work/v-front.mp4" "$work/a-front.mp4"
join splice_webm plain "$work/v.webm" "$work/a.webm"
join splice_webm front "$work/v-front.webm" "$work/a-front.webm"
# Each cluster in a segment of a second.
{ echo "$(stat -c %s "$work/v-front.webm") 700 0 0 999 1 1000"; cat "$work/v-front.webm" "$work/a-front.webm"; } \
  > "$directory/splice_webm/segments"
# A segment with both, and what initialises it.
make -i "$work/v.mp4" -i "$work/a.mp4" -c copy -movflags frag_keyframe+empty_moov+default_base_moof+delay_moov \
  "$work/muxed.mp4"
offset=$(($(grep -abo moof "$work/muxed.mp4" | head -n 1 | cut -d: -f1) - 4))
{ echo "$(stat -c %s "$work/muxed.mp4") 700 0 0 999 $offset"; cat "$work/muxed.mp4" "$work/a.mp4"; } \
  > "$directory/splice_mp4/muxed"
# Segments of so many packets, of a second each.
for track in v a; do
  make -i "$work/$track.mp4" -c copy -muxdelay 0 -pat_period 1 "$work/$track.ts"
done
make -i "$work/a.mp4" -c:a ac3 -b:a 32k -ar 32000 "$work/ac3.ts"
make -i "$work/v.mp4" -i "$work/a.mp4" -c copy -pat_period 1 "$work/both.ts"
segments() {
  len=$(stat -c %s "$2")
  { echo "$len 700 0 0 999 $4 1000"; cat "$2" "$3"; } > "$directory/splice_mpeg_ts/$1"
  { echo "$len 41 1300 900 77 $4 400"; cat "$2" "$3"; } > "$directory/splice_mpeg_ts/$1-part"
}
segments apart "$work/v.ts" "$work/a.ts" 9
segments both "$work/both.ts" "$work/ac3.ts" 14
make -i "$work/a.ts" -c copy -write_id3v2 1 "$work/packed.aac"
segments packed "$work/v.ts" "$work/packed.aac" 900
# Pages as yt-dlp tells them.
mkdir -p "$directory/page"
common='"protocol":"https","url":"https://cdn.example/1?expire=1795690209"'
video="{$common,\"format_id\":\"137\",\"ext\":\"mp4\",\"vcodec\":\"avc1\",\"acodec\":\"none\",\"height\":1080,\"filesize\":9}"
webm="{$common,\"format_id\":\"248\",\"ext\":\"webm\",\"vcodec\":\"vp9\",\"acodec\":\"none\",\"height\":720}"
audio="{$common,\"format_id\":\"140\",\"ext\":\"m4a\",\"vcodec\":\"none\",\"acodec\":\"mp4a.40.2\",\"language\":\"de\"}"
echo "{\"title\":\"A film\",\"formats\":[$video,$webm,$audio]}" > "$directory/page/film"
echo "{$common,\"ext\":\"mp4\"}" > "$directory/page/file"
hls="{\"protocol\":\"m3u8_native\",\"url\":\"https://cdn.example/1.m3u8\",\"ext\":\"mp4\",\"extra_param_to_segment_url\":\"a=1\"}"
dash='{"protocol":"http_dash_segments","ext":"mp4","fragment_base_url":"https://cdn.example/","fragments"'
list='[{"path":"init.mp4"},{"path":"1.m4s","duration":2},{"path":"2.m4s","duration":2}]'
short='{"prefix":"","suffix":".mp4","parts":"init\n1\n2","durations":[[1,null],[2,2]]}'
printf "%s\n" "{\"formats\":[$hls,$dash:$list},$dash:$short}]}" > "$directory/page/segments"
# Playlists: of segments, encrypted ones among them, and of playlists.
mkdir -p "$directory/playlist"
cat > "$directory/playlist/segments" << 'END'
#EXTM3U
#EXT-X-TARGETDURATION:6
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-MAP:URI="init.mp4",BYTERANGE="100@0"
#EXTINF:6.006,
#EXT-X-BYTERANGE:1000@100
film.mp4
#EXT-X-BYTERANGE:1000
#EXTINF:6,
film.mp4
#EXT-X-DISCONTINUITY
#EXT-X-KEY:METHOD=AES-128,URI="key",IV=0x01
#EXTINF:1,
2.ts
#EXT-X-ENDLIST
END
cat > "$directory/playlist/playlists" << 'END'
#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="Deutsch",LANGUAGE="de",DEFAULT=YES,URI="a.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=9,CODECS="avc1.640028,mp4a.40.2",RESOLUTION=1920x1080,AUDIO="a"
v.m3u8
END
touch "$directory/done"
