"""An extractor that makes yt-dlp solve a YouTube challenge without the internet, for the URL
http://trial.invalid/js. yt-dlp itself chooses the runtime of the script, as for a real page; the title of
the result names that runtime.
"""

from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.utils import ExtractorError

# The length of the script of YouTube's player, which determines time and memory. The solver searches
# all of it for a function that makes a URL and marks it `alr=yes`.
LENGTH = 2_700_000
FILLER = (
    'g.f%d=function(a,b,c){var e=a.config.get(b,[c,"some words",17]);if(!e||e.length<2)return null;'
    'for(var f=0;f<e.length;f++){e[f]=(function(h){return h?h.value+c:{key:h,value:b}})(e[f])}'
    'this.state=e;return g.other(e,this.element.parent,!0)};\n')
PLAYER = '''
var _player = {}; (function(g) { var window = this; FILLER
  var U = function() { this.fields = {} };
  U.prototype.set = function(name, value) { this.fields[name] = value };
  U.prototype.get = function(name) { return this.fields[name] };
  U.prototype.turn = function() { this.fields.n = this.fields.n.split("").reverse().join("") };
  var make = function(link, name, value) {
    var u = new U(); u.set("alr", "yes"); u.set(name, value); return u };
})(_player);
'''
PLAYER_URL = 'https://www.youtube.com/s/player/00000000/player_ias.vflset/en_US/base.js'
CHALLENGE, SOLUTION = 'trial', 'lairt'


class YtCanalTrialIE(InfoExtractor):
    IE_NAME = 'ytcanal-trial'
    _VALID_URL = r'http://trial\.invalid/(?P<id>js)'

    def _real_extract(self, url):
        try:
            runtime = self._solve()
        except ExtractorError:
            raise
        except Exception as error:
            # The internals of yt-dlp used here may have changed.
            raise ExtractorError(f'untried: {error!r}', expected=True)
        return {'id': 'js', 'title': runtime, 'url': url}

    def _solve(self):
        from yt_dlp.extractor.youtube.jsc.provider import (
            JsChallengeRequest,
            JsChallengeType,
            NChallengeInput,
        )
        youtube = self._downloader.get_info_extractor('Youtube')
        youtube.initialize()
        filler = ''.join(FILLER % number for number in range(LENGTH // len(FILLER)))
        player = PLAYER.replace('FILLER', filler)
        youtube._code_cache[youtube._player_js_cache_key(PLAYER_URL)] = player
        challenge = NChallengeInput(challenges=[CHALLENGE], player_url=PLAYER_URL)
        requests = [JsChallengeRequest(type=JsChallengeType.N, video_id='js', input=challenge)]
        failed = None
        for provider in youtube._jsc_director._get_providers(requests):
            info = getattr(provider, 'runtime_info', None)
            runtime = f'{info.name} {info.version}' if info else provider.PROVIDER_NAME
            try:
                for response in provider.bulk_solve(requests):
                    if response.error:
                        raise response.error
                    if response.response.output.results == {CHALLENGE: SOLUTION}:
                        return runtime
                raise ValueError('the solution is wrong')
            except Exception as error:
                failed = failed or f'{runtime}: {error}'
        raise ExtractorError(f'failed: {failed}' if failed else 'none', expected=True)
