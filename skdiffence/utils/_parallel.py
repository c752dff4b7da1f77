"""Tasks that joblib runs at once where the user sends them: to processes, threads or a cluster."""

from concurrent.futures import CancelledError
from contextlib import contextmanager

from joblib import effective_n_jobs, parallel_config
from joblib.parallel import get_active_backend
from sklearn.utils import gen_even_slices
from sklearn.utils.parallel import Parallel, delayed

from skdiffence.utils._torch import resolve_device

# Fewer rows are regenerated in less time than it takes to send a model to another process.
ROWS_PER_TASK = 1024
# So many times the lost tasks of a cluster are started again.
_LOSSES = 3


def run(function, tasks, *, shared=(), n_jobs=None, verbose=0):
    """Yield ``function(*shared, *task)`` for each task, in order.

    Parameters
    ----------
    function : callable
        At the level of a module, where other processes find it.
    tasks : list of tuple
        Arguments of each task.
    shared : tuple, default=()
        First arguments of all tasks. They travel once to each worker of a cluster, and rows among them once to each
        process.
    n_jobs : int, default=None
        Number of tasks at the same time. None is 1, or what ``joblib.parallel_config`` says.
    verbose : int, default=0
        Of joblib.

    Yields
    ------
    result : object
    """
    n_done, losses = 0, 0
    while True:
        try:
            with _sent_once(shared):
                # A task is a tuple, which joblib sends along with it. It would scatter a larger argument of its own.
                calls = (delayed(_call)(function, task, *shared) for task in tasks[n_done:])
                for result in _parallel(n_jobs, verbose)(calls):
                    yield result
                    n_done += 1
            return
        except CancelledError:  # dask has lost what was on one worker only, when that worker died
            losses += 1
            if losses > _LOSSES:
                raise


def blocks_of_workers(n_rows, device):
    """Return slices of rows to work on at once: one for each worker of joblib, if there are many rows.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    device : str or torch.device
        Where the work is done. There is one slice unless it is a CPU.

    Returns
    -------
    slices : list of slice
    """
    most = n_rows // ROWS_PER_TASK if resolve_device(device).type == "cpu" else 1
    return list(gen_even_slices(n_rows, 1 if most < 2 else min(most, effective_n_jobs(None))))


def alone(function, *args):
    """Call a function in a task that is one of many already, and starts no further ones."""
    with parallel_config(backend="sequential"):
        return function(*args)


def _call(function, task, *shared):
    return function(*shared, *task)


def _parallel(n_jobs, verbose):
    try:
        return Parallel(n_jobs=n_jobs, verbose=verbose, return_as="generator")
    except ValueError:  # some backends return all results at once or none
        return Parallel(n_jobs=n_jobs, verbose=verbose)


@contextmanager
def _sent_once(shared):
    """Send arguments to all workers of a dask cluster, if that is where joblib runs tasks.

    joblib would send them to one worker, from which others get them.
    """
    backend, _ = get_active_backend()
    futures = getattr(backend, "data_futures", None)
    if futures is None:
        yield
        return
    new = [each for each in shared if id(each) not in futures or futures[id(each)].status != "finished"]
    futures.update(zip(map(id, new), backend.client.scatter(new, broadcast=True, hash=False), strict=True))
    try:
        yield
    finally:
        for each in new:
            futures.pop(id(each), None)
