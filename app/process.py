"""What this process may do and how it uses memory: set once, before it serves.

Answers are built from many short-lived blocks of a few KiB. By default the C library gives such
memory back after every request and takes it, page by page, anew; and a full garbage collection
walks every class and function that was ever imported. Both cost more than the work between them.
"""

import ctypes
import gc
import resource

_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_PR_SET_DUMPABLE = 4
_MIB = 1024 * 1024
MAX_CONNECTIONS = 10_000
_FEWEST_CONNECTIONS = 64
_FILES_OF_OUR_OWN = 100
_FILES_OF_DATABASE = 4
"""The file, its WAL, its shared memory, and one for the time of a copy."""
_COLLECT_AFTER = (20_000, 20, 50)


def keep_memory_warm() -> None:
    """Freed memory up to 64 MiB stays with the process, and what is imported by now is no longer
    searched for garbage. Without glibc only the latter."""
    _tell_allocator()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


def keep_no_core() -> None:
    """No core of this process is ever written, and no other process of its user may read its
    memory: it holds keys and, for a moment, tokens. Where the system knows only the first of the
    two, only that."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    try:
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    except (AttributeError, OSError):
        return


def allow_connections(databases: int) -> int:
    """How many connections the process can hold beside so many open databases, at most
    MAX_CONNECTIONS; as many files as that takes are allowed, if the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _reserve(databases) + MAX_CONNECTIONS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return most_connections(databases)


def most_connections(databases: int) -> int:
    """How many connections the files that are allowed now leave room for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(_FEWEST_CONNECTIONS, min(MAX_CONNECTIONS, soft - _reserve(databases)))


def _reserve(databases: int) -> int:
    return _FILES_OF_OUR_OWN + databases * _FILES_OF_DATABASE


def _tell_allocator() -> None:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_M_TRIM_THRESHOLD, 64 * _MIB)
    mallopt(_M_MMAP_THRESHOLD, 32 * _MIB)
    mallopt(_M_TOP_PAD, _MIB)
    mallopt(_M_ARENA_MAX, 2)  # memory that one thread freed serves the next
