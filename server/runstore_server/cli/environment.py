"""The settings of commands that need them, or why they cannot be used."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_settings import SettingsError

from runstore_server.cli.exits import ExitCode
from runstore_server.cli.failures import failed
from runstore_server.settings import Settings


def settings_of(**given: object) -> Settings:
    """The environment's settings, overridden by what is given and not None.

    One that cannot be used ends the command; its variable is named.
    """
    overriding: dict[str, object] = {k: v for k, v in given.items() if v is not None}
    try:
        return Settings(**overriding)  # type: ignore[arg-type]  # they are checked here
    except ValidationError as error:
        lines = [f"{_variable(each['loc'])}: {_words(each['msg'])}" for each in error.errors()]
        raise failed("\n".join(lines), ExitCode.USAGE) from None
    except SettingsError as error:
        raise failed(f"{error}: {error.__cause__}", ExitCode.USAGE) from None


def database_url(settings: Settings) -> str:
    """The database that the settings name; exit where they name none.

    No command but `dev` falls back on a database: an empty one would look like lost data.
    """
    if not settings.database_url:  # unset, or empty as where another variable was to fill it in
        raise failed(
            "RUNSTORE_DATABASE_URL is not set: set it to the URL of your Postgres"
            " (postgresql://user@host/database), or try runstore out with `runstore dev`, which"
            " starts a Postgres by itself",
            ExitCode.USAGE,
        )
    return settings.database_url


def owner_url(settings: Settings) -> str:
    """The same database, as the role that owns the schema where the settings name one."""
    return settings.database_owner_url or database_url(settings)


def _words(message: str) -> str:
    return message.removeprefix("Value error, ")


def _variable(path: tuple[int | str, ...]) -> str:
    """The variable of a setting, with the path of a value in it."""
    name, *inner = (str(each) for each in path)
    return ".".join([f"RUNSTORE_{name.upper()}", *inner])
