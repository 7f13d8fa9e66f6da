"""Simulated studies in chunks, on several cores."""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pandas as pd
from threadpoolctl import threadpool_limits

Chunk = tuple[str, range]  # a case, and seeds of its studies


def chunks_of(case: str, studies: int, size: int = 10) -> list[Chunk]:
    """Cut a case's studies into chunks."""
    return [(case, range(i, min(i + size, studies))) for i in range(0, studies, size)]


def in_processes(
    study: Callable[[str, int], pd.DataFrame], chunks: Sequence[Chunk], jobs: int
) -> pd.DataFrame:
    """Make studies on ``jobs`` cores, a chunk at a time, and tell of each chunk.

    Parameters
    ----------
    study
        Makes the study of a case and a seed; at a module's top level, so that it can be sent.
    chunks
        What to make.
    jobs
        Processes of one thread each: matrices are small, more threads only wait for each other.
    """
    parts = []
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        running = [pool.submit(_chunk, study, *chunk) for chunk in chunks]
        for i, (future, (case, _)) in enumerate(zip(running, chunks, strict=True), 1):
            parts.append(future.result())
            sys.stdout.write(f"{i} of {len(chunks)} chunks: {case}\n")
            sys.stdout.flush()
    return pd.concat(parts)


def _chunk(study: Callable[[str, int], pd.DataFrame], case: str, seeds: range) -> pd.DataFrame:
    with threadpool_limits(1):
        return pd.concat([study(case, seed) for seed in seeds]).assign(case=case)
