"""How this process uses memory: set once, before it serves.

Answers are built from many short-lived blocks of a few KiB. By default the C library gives such
memory back after every request and takes it, page by page, anew; and a full garbage collection
walks every class and function that was ever imported. Both cost more than the work between them.
"""

import ctypes
import gc

_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_MIB = 1024 * 1024
_COLLECT_AFTER = (20_000, 20, 50)


def keep_memory_warm() -> None:
    """Freed memory up to 64 MiB stays with the process, and what is imported by now is no longer
    searched for garbage. Without glibc only the latter."""
    _tell_allocator()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


def _tell_allocator() -> None:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_M_TRIM_THRESHOLD, 64 * _MIB)
    mallopt(_M_MMAP_THRESHOLD, 32 * _MIB)
    mallopt(_M_TOP_PAD, _MIB)
    mallopt(_M_ARENA_MAX, 2)  # memory that one thread freed serves the next
