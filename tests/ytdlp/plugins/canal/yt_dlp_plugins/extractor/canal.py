"""A video site on loopback whose formats look like YouTube's. It runs inside the real yt-dlp.

A link is http://127.0.0.1:PORT/watch?v=ID, or with the name films.example. The site asks its origin, which is at that address, once
for http://127.0.0.1:PORT/page/ID, and takes the answer for the page of the film: JSON,

    {"n": "1",                  goes into every URL of a track, as a signature would
     "expires_in": 21600,       seconds; goes into every URL as `expire=`
     "formats": {"137": {"filesize": 123456}, ...},
     "manifests": ["hls.m3u8", "dash.mpd"],
     "embedded": "<MPD>...",    a DASH manifest that the page contains; its files are at /f/ID/
     "info": {"title": "A film", ...}}

all of which may be missing. `formats` says which formats there are, out of FORMATS below, and changes
some of their fields; without it there are all. `manifests` are read by yt-dlp itself, at /f/ID/NAME;
their formats are called hls-... and dash-.... Tracks are at /f/ID/FORMAT of the origin,
thumbnails at /t/ID.jpg and /t/ID.webp. So a test says with its origin what the site does: that
counts how often a page was asked for, and what it answers may change from one time to the next.

A list is http://127.0.0.1:PORT/list?list=NAME; its page, at /page/NAME, is

    {"title": "A list", "count": 3,
     "entries": ["ID", {"list": "NAME"}, {"id": "ID", "title": "...", "duration": 60}, {"url": null}]}

Some IDs need no page: those in FAILURES are errors in yt-dlp's own words, and those in MISCHIEF make
yt-dlp itself misbehave.
"""

import contextlib
import ctypes
import errno
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.utils import ExtractorError, GeoRestrictedError, UserNotLive, float_or_none

DURATION = 60
LAST_MODIFIED = '1780000000000000'


def picture(ext, vcodec, height, tbr, fps=25, **more):
    """A format that is a picture alone."""
    return {
        'ext': ext, 'container': f'{ext}_dash', 'vcodec': vcodec, 'acodec': 'none',
        'height': height, 'width': height * 16 // 9, 'fps': fps, 'tbr': tbr,
        'quality': {2160: 11, 1080: 9, 720: 8, 360: 6}[height],
        'dynamic_range': 'SDR', 'format_note': f'{height}p', **more,
    }


def sound(ext, acodec, language, tbr, is_original, **more):
    """A format that is a sound alone."""
    return {
        'ext': ext, 'container': f'{ext}_dash', 'vcodec': 'none', 'acodec': acodec,
        'asr': 48000, 'audio_channels': 2, 'tbr': tbr, 'quality': 3, 'language': language,
        'language_preference': 10 if is_original else -1,
        'format_note': f'{language} original (default), medium' if is_original else f'{language}, medium',
        **more,
    }


# By YouTube's numbers. What is dubbed has the number of the original and a suffix, as yt-dlp does it.
FORMATS = {
    '18': {
        'ext': 'mp4', 'vcodec': 'avc1.42001E', 'acodec': 'mp4a.40.2', 'height': 360, 'width': 640,
        'fps': 25, 'tbr': 600, 'quality': 6, 'language': 'en', 'language_preference': 10,
        'asr': 44100, 'audio_channels': 2, 'format_note': '360p',
    },
    '134': picture('mp4', 'avc1.4d401e', 360, 500),
    '136': picture('mp4', 'avc1.4d401f', 720, 1500),
    '137': picture('mp4', 'avc1.640028', 1080, 3000),
    '299': picture('mp4', 'avc1.64002a', 1080, 4500, fps=50, format_note='1080p50'),
    '247': picture('webm', 'vp9', 720, 1000),
    '248': picture('webm', 'vp9', 1080, 2000),
    '313': picture('webm', 'vp9', 2160, 9000),
    '337': picture('webm', 'vp9.2', 2160, 11000, dynamic_range='HDR10', format_note='2160p HDR'),
    '399': picture('mp4', 'av01.0.08M.08', 1080, 1500),
    '401': picture('mp4', 'av01.0.12M.08', 2160, 6000),
    # What nobody wants who did not ask for it.
    '402-sr': picture('mp4', 'av01.0.12M.08', 2160, 7000, fps=50, format_note='2160p50, AI-upscaled'),
    '140-vb': sound('m4a', 'mp4a.40.2', 'en', 140, True, quality=3.5),
    '140-0': sound('m4a', 'mp4a.40.2', 'de', 129, False),
    '140-1': sound('m4a', 'mp4a.40.2', 'en', 129, True),
    '140-drc': sound('m4a', 'mp4a.40.2', 'en', 129, True, quality=2.5, format_note='medium, DRC'),
    '251-0': sound('webm', 'opus', 'de', 120, False),
    '251-1': sound('webm', 'opus', 'en', 120, True),
}

LOGIN = ('Use --cookies-from-browser or --cookies for the authentication. '
         'See  https://github.com/yt-dlp/yt-dlp/wiki/FAQ#how-do-i-pass-cookies-to-yt-dlp  for how to manually pass cookies')

# In the words of yt-dlp and of YouTube, which it passes on.
FAILURES = {
    'not-a-bot': f'Sign in to confirm you’re not a bot. {LOGIN}',
    'captcha': 'This video is unavailable. YouTube is requiring a captcha challenge before playback',
    'rate-limited': "This content isn't available, try again later. The current session has been rate-limited by YouTube "
                    'for up to an hour. It is recommended to use `-t sleep` to add a delay between video requests to avoid '
                    'exceeding the rate limit. For more information, refer to  '
                    'https://github.com/yt-dlp/yt-dlp/wiki/Extractors#this-content-isnt-available-try-again-later',
    'private': f"Private video. Sign in if you've been granted access to this video. {LOGIN}",
    'members': "Join this channel to get access to members-only content like this video, and other exclusive perks.",
    'age': f'Sign in to confirm your age. This video may be inappropriate for some users. {LOGIN}',
    'upcoming': 'This live event will begin in 3 hours.',
    'premiere': 'Premieres in 25 minutes',
    'unavailable': 'Video unavailable. This video is not available',
    'removed': 'Video unavailable. This video has been removed by the uploader',
    'terminated': 'Video unavailable. This video is no longer available because the YouTube account associated with this '
                  'video has been terminated.',
    'app': 'The following content is not available on this app.. Watch on the latest version of YouTube.',
    'later': 'This content isn’t available, try again later',
    'blocked': 'Your IP address is blocked from accessing this post',
    'detected': 'This request was detected as a bot',
    'music': 'This video is only available to Music Premium members',
    'rent': 'This movie requires payment to watch',
    'processing': 'We’re processing this video. Check back later.',
    'region': 'This video is not available in your region',
    'recording': 'This live stream recording is not available.',
    'reload': 'The page needs to be reloaded.',
    'strange': 'The moon is in the wrong phase',
}

# What yt-dlp warns of before it finds that there is no format.
WARNINGS = {
    'no-runtime': ('No supported JavaScript runtime could be found. Only deno is enabled by default; to use another '
                   'runtime add  --js-runtimes RUNTIME[:PATH]  to your command/config.'),
    'unsolved': ('n challenge solving failed: Some formats may be missing. Ensure you have a supported JavaScript '
                 'runtime and challenge solver script distribution installed.'),
    'no-token': ('ios client https formats require a GVS PO Token which was not provided. '
                 'They will be skipped as they may yield HTTP Error 403.'),
}


class CanalIE(InfoExtractor):
    IE_NAME = 'canal'
    _VALID_URL = r'(?P<base>https?://(?:127\.0\.0\.1|films\.example):\d+)/watch\?(?:.*&)?v=(?P<id>[\w-]+)'

    def _real_extract(self, url):
        base, video_id = self._match_valid_url(url).group('base', 'id')
        self._fail(base, video_id)
        return self.film(base, video_id)

    def film(self, base, video_id):
        """What the page of the origin says, as yt-dlp has it from YouTube."""
        page = self._download_json(f'{base}/page/{video_id}', video_id, 'Downloading the page')
        self._set_cookie('127.0.0.1', 'visitor', 'abc')
        wanted = page.get('formats', dict.fromkeys(FORMATS, {}))
        return {
            'id': video_id,
            'title': f'A film: {video_id}',
            'uploader': 'Somebody',
            'duration': DURATION,
            'upload_date': '20260501',
            'description': 'Made by ffmpeg.',
            'age_limit': 0,
            'live_status': 'not_live',
            'thumbnails': [
                {'url': f'{base}/t/{video_id}.jpg', 'width': 480, 'height': 360, 'preference': -1},
                {'url': f'{base}/t/{video_id}.webp', 'width': 480, 'height': 360, 'preference': 0},
            ],
            'formats': [
                *(self._format(base, video_id, page, format_id, changes) for format_id, changes in wanted.items()),
                *self._manifests(base, video_id, page),
                self._storyboard(base, video_id),
            ],
            '_format_sort_fields': ('quality', 'res', 'fps', 'hdr:12', 'source', 'vcodec', 'channels', 'acodec', 'lang', 'proto'),
            **page.get('info', {}),
        }

    def _format(self, base, video_id, page, format_id, changes):
        """One format, at its place on the origin."""
        fields = {**FORMATS.get(format_id, {}), **changes}
        size = fields.setdefault('filesize', int(fields['tbr'] * 1000 / 8 * DURATION) if fields.get('tbr') else None)
        expire = int(time.time()) + page.get('expires_in', 6 * 3600)
        return {
            'format_id': format_id,
            'url': f'{base}/f/{video_id}/{format_id}?expire={expire}&itag={format_id.split("-")[0]}'
                   f'&clen={size}&lmt={LAST_MODIFIED}&n={page.get("n", 0)}',
            'available_at': int(time.time()),
            'downloader_options': {'http_chunk_size': 10 << 20},
            'filesize_approx': float_or_none(size),
            **fields,
        }

    def _manifests(self, base, video_id, page):
        """The formats that HLS playlists and DASH manifests list."""
        for name in page.get('manifests', []):
            url = f'{base}/f/{video_id}/{name}'
            if name.endswith('.m3u8'):
                yield from self._extract_m3u8_formats(url, video_id, 'mp4', m3u8_id='hls')
            else:
                yield from self._extract_mpd_formats(url, video_id, mpd_id='dash')
        if text := page.get('embedded'):
            manifest = self._parse_xml(text, video_id)
            yield from self._parse_mpd_formats(manifest, mpd_id='dash', mpd_base_url=f'{base}/f/{video_id}/')

    def _storyboard(self, base, video_id):
        """Small pictures for the bar of a player, which are no film."""
        url = f'{base}/s/{video_id}/M0.jpg'
        return {
            'format_id': 'sb0', 'format_note': 'storyboard', 'ext': 'mhtml', 'protocol': 'mhtml',
            'acodec': 'none', 'vcodec': 'none', 'url': url, 'width': 48, 'height': 27, 'fps': 0.5,
            'rows': 10, 'columns': 10, 'fragments': [{'url': url, 'duration': DURATION}],
        }

    def _fail(self, base, video_id):
        """Ends this extraction in the way that the ID names, if it does name one."""
        if warning := WARNINGS.get(video_id):
            self.report_warning(warning, video_id)
            self.raise_no_formats('No video formats found!', video_id=video_id)
        if message := FAILURES.get(video_id):
            raise ExtractorError(message, expected=True, video_id=video_id)
        if mischief := MISCHIEF.get(video_id):
            mischief()
        match video_id:
            case 'login':
                self.raise_login_required()
            case 'geo':
                self.raise_geo_restricted(countries=['DE', 'FR'])
            case 'country':
                raise GeoRestrictedError('The uploader has not made this video available in your country')
            case 'drm':
                self.report_drm(video_id)
            case 'offline':
                raise UserNotLive(video_id=video_id)
            case 'no-formats':
                self.raise_no_formats('No video formats found!', video_id=video_id)
            case 'regex':
                self._search_regex(r'player_response=(\w+)', '<html></html>', 'player response')
            case 'no-host':
                self._download_webpage('http://nowhere.invalid/', video_id)


class CanalListIE(InfoExtractor):
    IE_NAME = 'canal:list'
    _VALID_URL = r'(?P<base>https?://(?:127\.0\.0\.1|films\.example):\d+)/list\?list=(?P<id>[\w-]+)'

    def _real_extract(self, url):
        base, name = self._match_valid_url(url).group('base', 'id')
        page = self._download_json(f'{base}/page/{name}', name, 'Downloading the list')
        entries = (self._entry(base, entry) for entry in page['entries'])
        return self.playlist_result(
            entries, name, page.get('title'), uploader='Somebody', playlist_count=page.get('count'))

    def _entry(self, base, entry):
        if isinstance(entry, str):
            entry = {'id': entry}
        if name := entry.get('list'):
            return self.url_result(f'{base}/list?list={name}', video_id=name, video_title=f'List {name}')
        link = f'{base}/watch?v={entry["id"]}' if 'id' in entry else None
        found = self.url_result(entry.get('url', link) or 'none', CanalIE, entry.get('id'), entry.get('title'))
        return {**found, 'duration': entry.get('duration'), 'uploader': entry.get('uploader')}


def crash():
    """As an extractor does that meets what it did not expect."""
    return {}['streamingData']


def escape():
    """A fault that is not an extractor's, and ends yt-dlp with a traceback."""
    class Escape(BaseException):
        pass
    raise Escape('out of everything')


def flood(stream):
    """A hundred million bytes."""
    for _ in range(100):
        stream.write('x' * 999_999 + '\n')
    stream.flush()


def hang():
    """For longer than anybody waits, whatever is asked politely."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    time.sleep(3600)


def hang_with_child():
    """As if a JavaScript runtime did not come to its end."""
    subprocess.run(['sleep', '3601'], check=True)


def devour():
    """All memory there is, as a page may have it that is far larger than it should be."""
    taken = []
    while True:
        taken.append(b'x' * (1 << 20))


def devour_with_children():
    """The same in several processes, none of which takes much for itself."""
    code = 'taken = b"x" * (150 << 20); import time; time.sleep(3603)'
    children = [subprocess.Popen([sys.executable, '-c', code]) for _ in range(4)]
    for child in children:
        child.wait()


def parent_of(pid):
    return int(Path(f'/proc/{pid}/stat').read_text().rsplit(') ', 1)[1].split()[1])


def is_program(pid, name):
    return Path(f'/proc/{pid}/comm').read_text().startswith(name)


def reach_out():
    """What code of a stranger would try that runs in yt-dlp; the error says what came of each attempt: 0, or
    the number of an error."""
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getppid()
    # In one way it is the daemon, in the other one that which forks this process is in the sandbox, too.
    try:
        daemon = parent if is_program(parent, 'ytcanal') else parent_of(parent)
    except FileNotFoundError:
        # In the sandbox of the unit it is not even seen.
        daemon = None

    def call(function, *arguments):
        if function(*arguments) < 0:
            raise OSError(ctypes.get_errno(), '')

    def fast_open():
        # To where nobody listens; to be refused the connection is to have been let through.
        with socket.socket() as client, contextlib.suppress(ConnectionRefusedError):
            client.sendto(b'x', socket.MSG_FASTOPEN, ('127.0.0.1', 9))

    def signal_any():
        """The daemon, or whatever is in its place among all numbers that there may be."""
        others = set(range(1, 1 << 15)) - {os.getpid(), parent}
        for pid in [daemon] if daemon else others:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                return os.kill(pid, 0)
        raise PermissionError(errno.EPERM, '')

    def connect(host, port):
        with socket.create_connection((host, port)):
            pass

    def run(code):
        ran = subprocess.run([sys.executable, '-c', code], capture_output=True)
        if ran.returncode:
            raise OSError(ran.returncode, '')

    attempts = {
        'write': lambda: Path(f'/var/tmp/ytcanal-probe-{os.getpid()}').write_text('x'),
        'connect': lambda: connect('127.0.0.1', 9),
        'bind': lambda: socket.socket().bind(('127.0.0.1', 0)),
        'udp': lambda: socket.socket(type=socket.SOCK_DGRAM),
        'mptcp': lambda: socket.socket(proto=262),
        'listen': lambda: socket.socket().listen(),
        'fast-open': fast_open,
        'unix': lambda: socket.socket(socket.AF_UNIX),
        'netlink': lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        'signal': signal_any,
        'seize': lambda: call(libc.ptrace, 0x4206, parent, 0, 0),
        'prlimit': lambda: resource.prlimit(parent, resource.RLIMIT_CORE),
        'child': lambda: run('import socket, sys\n'
                             'try: socket.socket(type=socket.SOCK_DGRAM)\n'
                             'except OSError as error: sys.exit(error.errno)'),
        'group': lambda: run('import os; os.setsid()'),
        # The last one: in a namespace of its own, the process may do nothing to others.
        'namespace': lambda: call(libc.unshare, 0x10000000),
    }
    said = []
    for name, attempt in attempts.items():
        try:
            attempt()
            said.append(f'{name}:0')
        except OSError as error:
            said.append(f'{name}:{error.errno}')
    raise ExtractorError('tried ' + ' '.join(said), expected=True)


def look_around():
    """What code of a stranger would try that wants to know what other pages are read with; the error says what came
    of looking into each process of the same parent: 0, or the number of an error."""
    said = []
    for place in Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):
            pid = int(place.name)
            if pid == os.getpid() or parent_of(pid) != os.getppid():
                continue
            for name in 'mem', 'fd/1':
                try:
                    (place / name).open('rb').close()
                    said.append(f'{name}:0')
                except OSError as error:
                    said.append(f'{name}:{error.errno}')
    raise ExtractorError('saw ' + ' '.join(said), expected=True)


MISCHIEF = {
    'look-around': look_around,
    'reach-out': reach_out,
    'crash': crash,
    'escape': escape,
    'exit': lambda: os._exit(7),
    'killed': lambda: os.kill(os.getpid(), signal.SIGKILL),
    'hang': hang,
    'hang-with-child': hang_with_child,
    'devour': devour,
    'devour-with-children': devour_with_children,
    'flood': lambda: flood(sys.stdout),
    'flood-errors': lambda: flood(sys.stderr),
    # Not through Python, as a library would.
    'noise': lambda: os.write(1, b'noise\n') + os.write(2, b'noise\n'),
}
