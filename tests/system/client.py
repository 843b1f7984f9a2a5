"""A client: prints status, header fields and what a problem says as JSON, and writes the body to a file.

    python3 client.py URL FILE [SECONDS]

It takes at least SECONDS to read the body, and has the kernel receive little beyond what it reads.
"""

import http.client
import json
import socket
import sys
import time
import urllib.parse

RECEIVE_BUFFER = 4096
CHUNKS = 100


class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.sock.settimeout(self.timeout)
        self.sock.connect((self.host, self.port))


def main(url, file, seconds=0.0):
    parts = urllib.parse.urlsplit(url)
    kind = Connection if seconds else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=180)
    connection.request('GET', parts._replace(scheme='', netloc='').geturl())
    response = connection.getresponse()
    if seconds:
        body, step = b'', int(response.headers['Content-Length']) // CHUNKS + 1
        while chunk := response.read(step):
            body += chunk
            time.sleep(seconds / CHUNKS)
    else:
        body = response.read()
    with open(file, 'wb') as out:
        out.write(body)
    kind = response.headers.get_content_type()
    text = body.decode() if kind.startswith('text/') or kind.endswith('json') else ''
    print(json.dumps({'status': response.status, 'fields': dict(response.headers), 'text': text}))


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2], *map(float, sys.argv[3:]))
