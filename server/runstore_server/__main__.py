"""The `runstore` command."""

from runstore_server.cli.main import app


def main() -> None:
    """Run the command line."""
    app(prog_name="runstore")


if __name__ == "__main__":
    main()
