"""Work that blocks (SQL) in threads, off the keeper's loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Offload:
    """``await offload(function, *arguments)`` runs it in one of a few threads."""

    def __init__(self, threads: int = 6) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sql")

    async def __call__(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: function(*arguments))

    def close(self) -> None:
        """Wait for what runs."""
        self._pool.shutdown(wait=True)
