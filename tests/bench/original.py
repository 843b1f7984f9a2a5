"""The design YtCanal improves on, made again in our own words, to be measured beside it.

A request makes two FIFOs; two threads download into them; ffmpeg joins them; its
output goes to the client until ffmpeg has exited. Its faults are kept on purpose:
what is still in the pipe when ffmpeg exits is lost, a failed download looks like a
finished one, the packet queues have no sensible bound, and nothing is cleaned up
when a client leaves. Never serve anything real with it.

Usage: original.py DIRECTORY (for the FIFOs)
"""

import logging
import os
import subprocess
import sys
import tempfile
import threading

import requests
from flask import Flask, Response, request
from werkzeug.serving import make_server

READ = 64 * 1024

app = Flask(__name__)


def download(url, fifo):
    """Copies a URL into a FIFO; whatever goes wrong, the FIFO just ends."""
    with open(fifo, "wb") as pipe, requests.get(url, stream=True) as answer:
        for piece in answer.iter_content(READ):
            pipe.write(piece)


def remux(video, audio):
    """Starts ffmpeg on two FIFOs that two threads fill."""
    directory = tempfile.mkdtemp(dir=sys.argv[1])
    inputs = []
    for name, url in (("video", video), ("audio", audio)):
        fifo = os.path.join(directory, name)
        os.mkfifo(fifo)
        threading.Thread(target=download, args=(url, fifo), daemon=True).start()
        inputs += ["-thread_queue_size", "1048576", "-i", fifo]
    return subprocess.Popen(
        ["ffmpeg", "-nostdin", "-loglevel", "error", *inputs, "-c", "copy"]
        + ["-movflags", "frag_keyframe+empty_moov", "-f", "mp4", "-"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )


@app.get("/stream")
def stream():
    ffmpeg = remux(request.args["video"], request.args["audio"])

    def pieces():
        while ffmpeg.poll() is None:
            yield ffmpeg.stdout.read(READ)

    return Response(pieces(), mimetype="video/mp4")


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # What `flask run` starts, too: a thread for each request.
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(f"listening on http://127.0.0.1:{server.port}", file=sys.stderr, flush=True)
    server.serve_forever()
