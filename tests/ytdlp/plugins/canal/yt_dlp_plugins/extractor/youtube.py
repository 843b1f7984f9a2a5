"""Answers real links of YouTube's from the origin of `canal`, without the internet:

    --extractor-args youtube:origin=http://127.0.0.1:PORT

Without that argument such a link is an error; YouTube itself is never asked.
"""

from yt_dlp.extractor.youtube import YoutubeIE
from yt_dlp.utils import ExtractorError
from yt_dlp_plugins.extractor.canal import CanalIE


class _FromOrigin(YoutubeIE, plugin_name='canal'):
    def _real_extract(self, url):
        origin = self._configuration_arg('origin', [None], casesense=True)[0]
        if not origin:
            raise ExtractorError('no origin was named', expected=True)
        video_id = self._match_id(url)
        return CanalIE(self._downloader).film(origin, video_id)
