"""What schemathesis is told of the links in requests: they lead to a site on loopback, and to nothing else."""

import os
import re

import schemathesis
from hypothesis import strategies as st

LINKS = os.environ['YTCANAL_LINKS'].split()
MEDIA = os.environ['YTCANAL_MEDIA'].split()

# Parameters with the link of a page are `uri-reference` (`https://` may be missing), those of media are `uri`.
schemathesis.openapi.format('uri-reference', st.sampled_from(LINKS))
schemathesis.openapi.format('uri', st.sampled_from(MEDIA))


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """The examples of the document are links to sites, which are not asked here. The tests of `openapi` parse them."""
    parameters = raw_schema['components']['parameters']
    for name, links in [('Link', LINKS[:1]), ('Links', [LINKS[:1]]), ('Video', MEDIA[:1]), ('Audios', [MEDIA[1:2]])]:
        parameters[name]['example'] = links[0]
    # One that matches, and one that does not: the file is sent.
    parameters['IfMatch']['example'], parameters['IfNoneMatch']['example'] = '*', '"another"'


# What a schema cannot say: a parameter that depends on others, or on what the link leads to.
DEPENDENT = re.compile(
    'bitrate|must be later than start|because a file in|in their order|one language where|needs another container'
    '|captions needs|items selects|items must be|must be a time|parameters video and audio are missing|parameter as is missing'
    '|one video and not to a list'
)


@schemathesis.check
def valid_data_is_understood(ctx, response, case):
    """What a schema allows is refused for what it leads to, and not for how it is written."""
    is_valid = case.meta is not None and case.meta.generation.mode == schemathesis.GenerationMode.POSITIVE
    # `target` is a request itself, and `HEAD` has no body that says what is wrong.
    if is_valid and response.status_code == 400 and case.path != '/sign' and case.method == 'GET':
        problem = response.json()
        assert problem['code'] != 'unknown-parameter', problem['detail']
        assert DEPENDENT.search(problem['detail']), problem['detail']
