"""Answers real links of YouTube's without the internet, in one of two ways.

    --extractor-args youtube:origin=http://127.0.0.1:PORT

takes the film from the origin of `canal`, whose pages are JSON. And

    --extractor-args youtube:site=http://127.0.0.1:PORT

leaves everything to yt-dlp: its own extractor reads the page, asks the API, and has a script of the
player's run, but what it would ask www.youtube.com for, it asks for there.

Without either such a link is an error; YouTube itself is never asked.
"""

import urllib.parse

from yt_dlp.extractor.youtube import YoutubeIE
from yt_dlp.utils import ExtractorError
from yt_dlp_plugins.extractor.canal import CanalIE


class _FromOrigin(YoutubeIE, plugin_name='canal'):
    def _real_extract(self, url):
        if self._argument('site'):
            return super()._real_extract(url)
        if origin := self._argument('origin'):
            return CanalIE(self._downloader).film(origin, self._match_id(url))
        raise ExtractorError('no origin was named', expected=True)

    def _request_webpage(self, url_or_request, *args, **kwargs):
        if site := self._argument('site'):
            url = urllib.parse.urlsplit(url_or_request)
            if url.netloc.endswith('youtube.com'):
                url_or_request = urllib.parse.urlunsplit(('', '', *url[2:]))
                url_or_request = f'{site}/{url_or_request.lstrip("/")}'
        return super()._request_webpage(url_or_request, *args, **kwargs)

    def _argument(self, name):
        return self._configuration_arg(name, [None], casesense=True)[0]
