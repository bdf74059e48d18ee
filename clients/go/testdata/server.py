"""`runstore`, ended with the standard input: a test that dies leaves no server behind.

python server.py serve --port PORT
"""

import os
import runpy
import signal
import sys
import threading


def watch() -> None:
    os.read(sys.stdin.fileno(), 1)  # unbuffered: a buffer's lock would be in the way of the exit
    os.kill(os.getpid(), signal.SIGTERM)


threading.Thread(target=watch, daemon=True).start()
runpy.run_module("runstore_server", run_name="__main__", alter_sys=True)
