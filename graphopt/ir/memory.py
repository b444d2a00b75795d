"""One place that turns running out of memory into an error the person can act on."""

from __future__ import annotations

import ctypes
import errno
import gc
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from graphopt.errors import GraphoptError, ModelError


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether ``error`` or something it was raised from says that memory ran out.

    Libraries wrap it: protobuf and onnx_ir raise their own types ``from`` a MemoryError, mmap an
    OSError with ENOMEM, the loader of shared objects an ImportError, C++ libraries ``bad alloc``.
    """
    for _ in range(32):
        if error is None:
            return False
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
            return True
        text = str(error).lower()
        if isinstance(error, ImportError) and ("cannot allocate" in text or "failed to map" in text):
            return True
        if "bad_alloc" in text or "bad allocation" in text or "out of memory" in text:
            return True
        error = error.__cause__ or error.__context__
    return False


def memory_limit() -> int | None:
    """The address-space limit of this process (RLIMIT_AS) in bytes, or None when there is none."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


@contextmanager
def memory_guard(doing: str, error_class: type[GraphoptError] = ModelError) -> Iterator[None]:
    """Run a stage; when memory runs out inside it, raise a one-line error that says so.

    Args:
        doing: what the stage does, as it reads after "ran out of memory while", e.g. "loading the model".
        error_class: the graphopt error to raise.

    Raises:
        error_class: memory ran out. Every other exception passes through untouched.
    """
    try:
        yield
    except GraphoptError:
        raise
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        failure = _failure(doing, error_class)
    else:
        return
    # Raised outside the handler, so that the frames holding the big arrays are freed.
    raise failure


def _failure(doing: str, error_class: type[GraphoptError]) -> GraphoptError:
    limit = memory_limit()
    if limit is None:
        return error_class(f"ran out of memory while {doing}", "free memory or use a larger machine")
    return error_class(
        f"ran out of memory while {doing}: this process may use {limit >> 20} MiB of address space",
        "raise the limit with `ulimit -v`, or use a larger machine",
    )


@contextmanager
def heap_at_rest() -> Iterator[None]:
    """Let the collector pass by what is there already: imported libraries, of which nothing becomes garbage.

    Their hundred thousands of objects would be looked at again with every collection, a quarter of the time
    of a small compile. Afterwards all is as it was; a program that keeps such a heap of its own is let alone.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def release_memory() -> None:
    """Give back what is no longer used, now: between stages of a compile, each of which peaks by itself.

    A model is a web of cycles, which only the collector frees, and the C library keeps freed pages.
    """
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library than glibc has no such call
        ctypes.CDLL(None).malloc_trim(0)
