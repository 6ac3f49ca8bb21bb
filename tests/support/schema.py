"""The keys that service/store/keys.py describes."""

import re

from service.store import keys

_ROW = re.compile(r"^  ([a-z_:]+?)(:(?:R|N|NAME))? +(zset|hash|string|set|stream|list) ", re.MULTILINE)
ROWS = _ROW.findall(keys.__doc__ or "")
# A name with its member, such as tags:R → its type in Redis.
KINDS = {name + member: kind for name, member, kind in ROWS}
# A name, and True if a repository, a queue or the like follows it.
DESCRIBED = frozenset((name, bool(member)) for name, member, _ in ROWS)
