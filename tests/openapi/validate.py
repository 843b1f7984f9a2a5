"""Validates JSON texts, one a line of standard input, against a schema of the document.

    python3 validate.py DOCUMENT SCHEMA

SCHEMA is a name below `components/schemas`. Ends with 1, and says what is wrong, if a text is not as the schema says.
"""

import json
import sys
from pathlib import Path

from jsonschema import Draft202012Validator, FormatChecker

document = json.loads(Path(sys.argv[1]).read_text())
# References lead to other components, so these come along.
schema = {'$ref': f'#/components/schemas/{sys.argv[2]}', 'components': document['components']}
validator = Draft202012Validator(schema, format_checker=FormatChecker())
count = 0
for line in sys.stdin:
    for error in validator.iter_errors(json.loads(line)):
        sys.exit(f'{error.json_path}: {error.message}')
    count += 1
print(count)
