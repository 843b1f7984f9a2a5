"""A video site on loopback, with media that ffmpeg makes, for the extractor in tests/ytdlp/plugins.

    python3 site.py PORT DIRECTORY

A page is /watch?v=film; its formats are the files v.mp4 and a.m4a of DIRECTORY, which are also there by themselves.
/slow/NAME takes ten seconds for a file.
"""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, DIRECTORY = int(sys.argv[1]), sys.argv[2]
FORMATS = {'137': 'v.mp4', '140-1': 'a.m4a'}
SECONDS = 10


def content(name):
    with open(os.path.join(DIRECTORY, name), 'rb') as file:
        return file.read()


class Site(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = self.path.split('?')[0]
        place, _, name = path.rpartition('/')
        if place == '/page':
            sizes = {key: {'filesize': len(content(file))} for key, file in FORMATS.items()}
            self.send(json.dumps({'formats': sizes}).encode())
        elif place.startswith('/f/') and name in FORMATS:
            self.send(content(FORMATS[name]))
        elif place in ('', '/slow') and name in FORMATS.values():
            self.send(content(name), SECONDS if place else 0)
        else:
            self.send_error(404)

    def send(self, body, seconds=0):
        first, last = 0, len(body) - 1
        field = self.headers.get('Range')
        if field:
            start, _, end = field.removeprefix('bytes=').partition('-')
            first, last = int(start), min(int(end or last), last)
        self.send_response(206 if field else 200)
        if field:
            self.send_header('Content-Range', f'bytes {first}-{last}/{len(body)}')
        self.send_header('Accept-Ranges', 'bytes')
        self.send_header('ETag', f'"{len(body)}"')
        self.send_header('Content-Length', str(last + 1 - first))
        self.end_headers()
        step = max(1, len(body) // 40)
        for at in range(first, last + 1, step):
            self.wfile.write(body[at:min(at + step, last + 1)])
            time.sleep(seconds / 40)


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """Clients may leave."""


Server(('127.0.0.1', PORT), Site).serve_forever()
