"""Items as lines of an export: what a pull shows of each, in JSON that ends with a line feed."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from app.sync.render import SealedVersion


def item_lines(versions: Sequence[SealedVersion]) -> Iterator[bytes]:
    """A line for each item, with all its versions. They come in order of the sequence, so those of
    one item stand together."""
    for (seq, collection, item_id), held in groupby(versions, key=itemgetter(0, 1, 2)):
        joined = b",".join(b"".join(version[3:]) for version in held)
        head = f'{{"type":"item","collection":"{collection}","id":"{item_id}","seq":{seq},'
        yield b'%b"versions":[%b]}\n' % (head.encode(), joined)
