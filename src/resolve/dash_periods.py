"""A plugin of yt-dlp that tells of each format of a DASH manifest how many periods the manifest has
(`period_count`), and makes yt-dlp join them wherever their segments are.

A format has one representation of each period. yt-dlp joins those that are equal in all that it knows of them, their
base URL and bit rate included, and two of one period as well. What it does not join, it lists as a format of its own:
one period, which looks like the whole film.

No API of yt-dlp leads here. Invariant: a format has no `period_count` unless everything here has worked as it was
meant to.
"""

import collections
import functools
import urllib.parse

from yt_dlp.extractor.common import InfoExtractor

# What yt-dlp does not compare, either.
NOT_COMPARED = frozenset(('format_id', 'fragments', 'manifest_stream_number'))


def counting(merge):
    @functools.wraps(merge)
    def merge_and_count(extractor, periods):
        periods = list(periods)
        try:
            prepare([period['formats'] for period in periods])
        except Exception:
            # What yt-dlp makes of it has changed.
            for period in periods:
                for one in period.get('formats') or ():
                    one.pop('period_count', None)
        return merge(extractor, periods)
    return merge_and_count


def prepare(periods):
    if len(periods) > 1:
        locate([one for one in all_of(periods) if 'fragments' in one])
        equate_bit_rates(periods)
    for formats in periods:
        keep_apart(formats)
    for one in all_of(periods):
        one['period_count'] = len(periods)


def all_of(periods):
    return [one for formats in periods for one in formats]


def locate(formats):
    """Makes the locations of segments absolute."""
    for one in formats:
        base = one['fragment_base_url']
        one['fragments'] = [
            {**fragment, 'url': fragment.get('url') or urllib.parse.urljoin(base, fragment['path'])}
            for fragment in one['fragments']]
    for one in formats:
        one['fragment_base_url'] = one['url'] = formats[0]['url']


def equate_bit_rates(periods):
    """Representations of one name that differ in their bit rates only are meant to follow one another."""
    rates = {}
    for formats in periods:
        count = collections.Counter()
        for one in formats:
            key = one['format_id'], identity(one, {'tbr'})
            count[key] += 1
            one['tbr'] = rates.setdefault((key, count[key]), one['tbr'])


def keep_apart(formats):
    """Distinguishes by their names the representations of one period that are equal in all else, such as an audio
    description without a language."""
    alike = collections.defaultdict(list)
    for one in formats:
        alike[identity(one)].append(one)
    for group in alike.values():
        count = collections.Counter()
        for one in group if len(group) > 1 else ():
            count[one['format_id']] += 1
            one['alternative'] = f'{one["format_id"]} {count[one["format_id"]]}'


def identity(one, also=frozenset()):
    return tuple((name, value) for name, value in one.items() if name not in NOT_COMPARED | also)


if merge := getattr(InfoExtractor, '_merge_mpd_periods', None):
    InfoExtractor._merge_mpd_periods = counting(merge)
