"""`runstore`, ended with the standard input: a test that dies leaves no server behind.

    python server.py serve --port PORT
"""

import os
import runpy
import signal
import sys
import threading


def watch() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


threading.Thread(target=watch, daemon=True).start()
runpy.run_module("runstore_server", run_name="__main__", alter_sys=True)
