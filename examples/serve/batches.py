"""Answers to concurrent requests, made together, and a count of requests that ask almost the same again."""

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import numpy as np

_SKETCH = 32  # numbers that a row is projected to: distances are kept up to about a quarter


class UnansweredError(Exception):
    """The model raised an error. Its message may hold what must not leave the process, and is not kept."""


class Batcher:
    """Answer requests in batches, one at a time, in a thread of its own.

    While a batch is computed, the next requests wait in a queue, and are then answered together.

    Parameters
    ----------
    answer : callable (X) -> ndarray
        Returns one answer for each row.
    n_rows : int
        No more requests join a batch that has so many rows.
    wait : float
        Seconds that the first request of a batch waits for others.
    n_waiting : int
        Length of the queue.
    """

    def __init__(self, answer, *, n_rows, wait, n_waiting):
        self._answer, self._n_rows, self._wait, self._n_waiting = answer, n_rows, wait, n_waiting

    async def __aenter__(self):
        self._queue, self._thread = asyncio.Queue(self._n_waiting), ThreadPoolExecutor(1)
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *error):
        self._task.cancel()
        await asyncio.wait([self._task])
        self._thread.shutdown()

    @property
    def is_alive(self):
        """Whether requests are being answered."""
        return not self._task.done()

    @property
    def n_waiting(self):
        """Number of requests in the queue."""
        return self._queue.qsize()

    async def submit(self, X):
        """Return the answers for the rows of one request.

        Raises
        ------
        asyncio.QueueFull
            If too many requests are waiting.
        UnansweredError
            If the model raises an error for these rows.
        """
        future = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((X, future))
        return await future

    async def _run(self):
        while True:
            batch = [await self._queue.get()]
            await asyncio.sleep(self._wait)
            while not self._queue.empty() and sum(len(X) for X, _ in batch) < self._n_rows:
                batch.append(self._queue.get_nowait())
            await self._work(batch)

    async def _work(self, batch):
        batch = [(X, future) for X, future in batch if not future.done()]  # without clients that have gone
        if not batch:
            return
        X = np.concatenate([X for X, _ in batch])
        try:
            answers = await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, X)
        except Exception as error:
            if len(batch) > 1:  # those that are not to blame get their answers
                for each in batch:
                    await self._work([each])
            elif not batch[0][1].done():
                batch[0][1].set_exception(UnansweredError(type(error).__name__))
            return
        ends = np.cumsum([len(X) for X, _ in batch])[:-1]
        for (_, future), part in zip(batch, np.split(answers, ends), strict=True):
            if not future.done():
                future.set_result(part)


class NearDuplicates:
    """Count, for each client, the rows that are almost the same as one of its last rows.

    Somebody who averages over answers to a row and its neighbors sends many of them. Flips and larger shifts are not
    found.

    Parameters
    ----------
    low, high : ndarray
        The value range of the model's inputs, to be broadcast to a row.
    shape : tuple of int
        Shape of a row.
    tolerance : float, default=0.02
        Largest root mean square difference of two rows that are almost the same, as a share of the value range.
    window : int, default=128
        Number of rows of a client that are remembered, as random projections.
    n_clients : int, default=1000
        Number of clients that are remembered.
    """

    def __init__(self, low, high, shape, *, tolerance=0.02, window=128, n_clients=1000):
        self._low, self._span = low, np.where(high > low, high - low, 1)
        self._tolerance, self._window, self._n_clients = tolerance, window, n_clients
        size = int(np.prod(shape))
        # Differences keep, in expectation, their mean square.
        self._projection = np.random.default_rng().normal(size=(size, _SKETCH)) / (size * _SKETCH) ** 0.5
        self._clients = OrderedDict()

    def count(self, client, X):
        """Take note of rows; return how many of the client's last rows were near-duplicates before, and are now."""
        recent, near = self._clients.pop(client, (np.empty((0, _SKETCH)), []))
        before = sum(near)
        for sketch in ((X - self._low) / self._span).reshape(len(X), -1) @ self._projection:
            distance = np.linalg.norm(recent - sketch, axis=1)
            near = [*near, bool((distance <= self._tolerance).any())][-self._window :]
            recent = np.concatenate((recent, sketch[None]))[-self._window :]
        self._clients[client] = recent, near
        if len(self._clients) > self._n_clients:
            self._clients.popitem(last=False)
        return before, sum(near)
