"""Ends worker processes together with the process that started them."""

import multiprocessing
import os
import threading


def exit_with_parent(*_) -> None:
    """Makes a worker process exit as soon as the process that started it has ended, for whatever reason.

    It is an initializer for worker processes of multiprocessing, of its pools and of grain, whose arguments it ignores.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None  # only the main process has no parent

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
