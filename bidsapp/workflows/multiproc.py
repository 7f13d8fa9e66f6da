"""nipype's MultiProc plugin, made to end when the system kills one of its workers."""

from concurrent.futures import BrokenExecutor
from traceback import format_exception
from typing import Any

from nipype.pipeline.plugins.multiproc import MultiProcPlugin

from bidsapp.errors import InputError


class WorkerKilledError(InputError):
    """A worker process ended without a word; no other process can run after it."""


class WatchfulMultiProcPlugin(MultiProcPlugin):  # type: ignore[misc]  # nipype has no types
    """MultiProc that asks each job's future for its outcome, and believes an exception.

    MultiProc itself takes outcomes in a callback, where exceptions are lost: it would wait for
    ever for a job whose worker was killed.
    """

    over = False
    """Whether all steps were run that could be."""
    _killed = False

    def _async_callback(self, args: object) -> None:
        """Do nothing: outcomes are asked for."""

    def _get_result(self, taskid: int) -> dict[str, Any] | None:
        future = self._task_obj[taskid]
        if not future.done():
            return None
        error = future.exception()
        if error is None:
            result: dict[str, Any] = future.result()
            return result
        if isinstance(error, BrokenExecutor):
            self._killed = True  # the job stays pending, so that the end can name it
            return None
        return {"result": None, "traceback": format_exception(error), "taskid": taskid}

    def _send_procs_to_workers(self, updatehash: bool = False, graph: object = None) -> None:
        if not self._killed:
            try:
                super()._send_procs_to_workers(updatehash=updatehash, graph=graph)
            except BrokenExecutor:
                self._killed = True
        if self._killed:
            self._end()

    def _postrun_check(self) -> None:
        super()._postrun_check()
        self.over = True

    def _end(self) -> None:
        running = sorted(self.procs[job].fullname for _, job in self.pending_tasks)
        self.pool.shutdown(wait=False, cancel_futures=True)
        during = f" while {', '.join(running)} ran" if running else ""
        raise WorkerKilledError(
            f"a worker was killed{during}, probably out of memory: give more --mem-gb or fewer "
            "--nprocs, and run the same command again to go on"
        )
