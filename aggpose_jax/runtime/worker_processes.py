"""Worker processes do not outlive the process that started them."""

import multiprocessing
import os
import threading


def exit_with_parent(*_) -> None:
    """Makes a worker process exit as soon as the process that started it is gone, for whatever reason.

    This is an initializer for workers of multiprocessing, also of pools and of grain, whose arguments it does not need.
    """
    parent = multiprocessing.parent_process()

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
