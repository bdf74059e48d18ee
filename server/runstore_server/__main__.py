"""The `runstore` command."""

import sys


def main() -> None:
    """Run the command line, or say what to install if only the client is installed."""
    try:
        from runstore_server.cli.main import app  # noqa: PLC0415 - needs an extra
    except ModuleNotFoundError as error:
        sys.exit(f"the runstore command needs {error.name}: pip install 'runstore[server]'")
    app(prog_name="runstore")


if __name__ == "__main__":
    main()
