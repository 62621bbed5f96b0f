"""One job after the other, in this process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from superalign.executor import Executor, Failure, Ledger, executors
from superalign.job import Job, Listener, compute, in_order
from superalign.store import Store


@executors.register("in-process")
class InProcess(Executor):
    """One job after the other, in this process."""

    def run(self, jobs: Iterable[Job], store: Store, listen: Listener) -> Counter[str]:
        """See Executor.run."""
        ledger = Ledger(listen)
        for job in in_order(jobs):
            if ledger.blocked(job):
                continue
            try:
                compute(job, store, ledger.listen)
            except Exception as error:  # the fault of one job must not lose the others
                ledger.failed(job, Failure.of(error))
        return ledger.close()
