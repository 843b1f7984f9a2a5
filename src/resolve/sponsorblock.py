"""A plugin of yt-dlp that keeps SponsorBlock from ending the reading of a page. yt-dlp asks its API for the segments
of a page (--sponsorblock-mark), and fails without an answer.

Invariant: whatever the API does, the page is read, at most MAX_SECONDS later. What is printed of the answer is short,
and its numbers are finite: `sponsorblock` is {"segments": [{"start", "end", "category", "title"}, ...], "failure": null}
with the segments, or the reason why there are none. It is absent where yt-dlp did not ask.
"""

import functools
import json
import math
import signal

from yt_dlp.networking import Request
from yt_dlp.networking.exceptions import HTTPError, network_exceptions
from yt_dlp.postprocessor.sponsorblock import SponsorBlockPP

# A client is waiting. The API answers within a fraction of a second.
MAX_SECONDS = 4
# An answer has the segments of all videos whose hash begins with the same digits: some 50 KB.
MAX_ANSWER = 1 << 20
MAX_SEGMENTS = 500
MAX_TITLE = 200


class TookTooLongError(BaseException):
    """Not an Exception: nothing that is interrupted by it goes on."""


def end(_signal, _frame):
    raise TookTooLongError


def without_depending(run):
    @functools.wraps(run)
    def run_or_go_without(processor, info):
        segments, failure = [], None
        info.pop('sponsorblock_chapters', None)
        before = signal.signal(signal.SIGALRM, end)
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, MAX_SECONDS)
                run(processor, info)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            segments = checked(info['sponsorblock_chapters']) if 'sponsorblock_chapters' in info else None
        except TookTooLongError:
            failure = f'no answer within {MAX_SECONDS} s'
        except HTTPError as error:
            failure = f'it responds with status {error.status}'
        except network_exceptions:
            failure = 'it cannot be reached'
        except Exception:
            # No more of it is told: a message may contain the URL, and with that a part of the hash.
            failure = 'its answer is not as expected'
        finally:
            signal.signal(signal.SIGALRM, before or signal.SIG_DFL)
        info.pop('sponsorblock_chapters', None)
        if segments is not None:
            info['sponsorblock'] = {'segments': segments, 'failure': failure}
        return [], info
    return run_or_go_without


def checked(chapters):
    return [segment for chapter in chapters[:MAX_SEGMENTS] if (segment := checked_segment(chapter))]


def checked_segment(chapter):
    try:
        start, end_time = (float(chapter[name]) for name in ('start_time', 'end_time'))
        category, title = chapter['category'], chapter['title']
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if not math.isfinite(start) or not math.isfinite(end_time) or category not in SponsorBlockPP.CATEGORIES:
        return None
    title = title if isinstance(title, str) and title else SponsorBlockPP.CATEGORIES[category]
    return {'start': start, 'end': end_time, 'category': category, 'title': title[:MAX_TITLE]}


def ask_once(processor, url, *, expected_http_errors=(404,)):
    """Replaces a method that retries, and reads answers of any length."""
    try:
        answer = processor._downloader.urlopen(Request(url, extensions={'timeout': MAX_SECONDS}))
    except HTTPError as error:
        if error.status in expected_http_errors:
            return None
        raise
    text = answer.read(MAX_ANSWER + 1)
    if len(text) > MAX_ANSWER:
        raise ValueError('the answer is too long')
    return json.loads(text)


SponsorBlockPP._download_json = ask_once
SponsorBlockPP.run = without_depending(SponsorBlockPP.run)
