"""Makes a wheel (PEP 427) for a package index of the tests.

    wheel.py DIRECTORY NAME VERSION [CONTENT]

Without CONTENT it is empty. `broken` is a yt-dlp that prints its version and reads no page; `working` is the one that this
Python has, under another version and with none of its extractors but the generic one: a thousand files take long to
install.
"""

import base64
import hashlib
import sys
import zipfile
from pathlib import Path

DIRECTORY, NAME, VERSION, CONTENT = (*sys.argv[1:], '')[:4]
BROKEN = '''
import sys
def main():
    if '--version' not in sys.argv:
        sys.exit('ERROR: something changed')
    print('VERSION')
'''


def version_file():
    # yt-dlp writes its months and days with two digits, an index does not.
    printed = '.'.join(number.zfill(2) for number in VERSION.split('.'))
    values = {'__version__': printed, '_pkg_version': printed, 'CHANNEL': 'stable', 'ORIGIN': 'tests'}
    values |= dict.fromkeys(('RELEASE_GIT_HEAD', 'VARIANT', 'UPDATE_HINT'))
    return ''.join(f'{name} = {value!r}\n' for name, value in values.items())


def working():
    import yt_dlp.extractor.extractors
    import yt_dlp.extractor.generic
    needed = {module.__file__ for name, module in sys.modules.items() if name.startswith('yt_dlp.extractor')}
    home = Path(yt_dlp.__file__).parent
    for file in home.rglob('*.py'):
        if str(file) in needed or not file.is_relative_to(home / 'extractor'):
            yield f'yt_dlp/{file.relative_to(home)}', file.read_text()


def files():
    if CONTENT == 'working':
        yield from ((path, text) for path, text in working() if path != 'yt_dlp/version.py')
    elif CONTENT == 'broken':
        yield 'yt_dlp/__init__.py', BROKEN.replace('VERSION', VERSION)
    if CONTENT:
        yield 'yt_dlp/version.py', version_file()
        yield f'{info}/entry_points.txt', '[console_scripts]\nyt-dlp = yt_dlp:main\n'
    yield f'{info}/METADATA', f'Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\nProvides-Extra: default\n'
    yield f'{info}/WHEEL', 'Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n'


stem = f'{NAME.replace("-", "_")}-{VERSION}'
info = f'{stem}.dist-info'
record = []
with zipfile.ZipFile(Path(DIRECTORY, f'{stem}-py3-none-any.whl'), 'w') as wheel:
    for path, text in files():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')
        record.append(f'{path},sha256={digest},{len(text.encode())}')
        wheel.writestr(path, text)
    wheel.writestr(f'{info}/RECORD', '\n'.join([*record, f'{info}/RECORD,,', '']))
