"""The `runstore` command."""

from __future__ import annotations

import signal
import sys
import traceback

from runstore_server.cli.exits import ExitCode
from runstore_server.cli.standard_output import end_with_its_reader


def main() -> None:
    """Run the command line; its end is an `ExitCode`.

    Until a command begins Ctrl-C ends the process without a word: imports, C code among them, are
    no place for an exception.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_its_reader()
    try:
        from runstore_server.cli.main import app  # noqa: PLC0415 - needs an extra

        app(prog_name="runstore")
    except ModuleNotFoundError as error:
        print(  # noqa: T201 - typer may be what is missing
            f"the runstore command needs {error.name}: install runstore with its extra [server]",
            file=sys.stderr,
        )
        sys.exit(ExitCode.USAGE)
    except Exception:
        traceback.print_exc()
        sys.exit(ExitCode.DEFECT)


if __name__ == "__main__":
    main()
