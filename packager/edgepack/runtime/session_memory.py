"""The memory of onnxruntime's sessions, and what they say where it is short."""

from __future__ import annotations

import functools
import resource

import onnxruntime

_DOUBLING = 0  # kNextPowerOfTwo, how an arena grows
_FIRST_REGION = 1 << 30  # bytes, of which those that were never used take no memory
_SMALL_REGION = 1 << 20  # bytes, onnxruntime's own choice
# in what onnxruntime says; the last is the system's word on threads and mappings
_NO_MEMORY = ("Failed to allocate memory", "bad_alloc", "bad allocation", "Cannot allocate memory")


def is_short(error: Exception) -> bool:
    """Return whether a session failed for want of memory."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in _NO_MEMORY)


def spare(options: onnxruntime.SessionOptions) -> None:
    """Let a session take no more memory than it needs.

    onnxruntime else plans memory per shape of the inputs, beside what the first run took. What a session of this kind
    has taken, the next one uses; giving it back after each run would scatter it.
    """
    _share_arena()
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.use_env_allocators", "1")


def tidying() -> onnxruntime.RunOptions:
    """Return options of runs that give memory back: else it is planned anew for the second run, beside the first's.

    Measured on the shape of Stable Diffusion's decoder: half of the activations' memory, and no time.
    """
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


@functools.cache
def _share_arena() -> None:
    """Register the arena of such sessions, one for the process.

    It begins with one large region, in which what is freed side by side becomes one again. Regions of what is asked for
    stay apart: that takes 243 MB instead of 195 for Stable Diffusion 1.5's UNet, 1.2 GB instead of 1 for its decoder.
    Where addresses are limited (ulimit -v) the large region would take almost all, and leave the next session none.
    """
    limited = resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
    first = _SMALL_REGION if limited else _FIRST_REGION
    kind, place = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, onnxruntime.OrtMemType.DEFAULT
    settings = onnxruntime.OrtArenaCfg({"arena_extend_strategy": _DOUBLING, "initial_chunk_size_bytes": first})
    onnxruntime.create_and_register_allocator(onnxruntime.OrtMemoryInfo("Cpu", kind, 0, place), settings)
