"""Settings have bounds, and each of them does something."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
import runstore_server
from pydantic import ValidationError
from runstore_server import app
from runstore_server.settings import Settings
from runstore_storage.payloads.offloading import LargePayloads

# The least and the most that are taken, and what is just beyond.
BOUNDS: list[tuple[str, object, object]] = [
    ("db_schema", "a", ""),
    ("db_schema", "a" * 63, "a" * 64),
    ("payload_inline_bytes", 1 << 10, (1 << 10) - 1),
    ("port", 0, -1),
    ("port", 65_535, 65_536),
    ("http_port", 0, -1),
    ("http_port", 65_535, 65_536),
    ("http_connections", 1, 0),
    ("http_timeout_seconds", 0.1, 0.09),
    ("http_timeout_seconds", 3600, 3601),
    ("workers", 1, 0),
    ("workers", 256, 257),
    ("max_request_bytes", 1 << 10, (1 << 10) - 1),
    ("max_request_bytes", 512 << 20, (512 << 20) + 1),
    ("connection_streams", 1, 0),
    ("connection_streams", 1_000_000, 1_000_001),
    ("unread_bytes", 1 << 20, (1 << 20) - 1),
    ("keepalive_seconds", 0.1, 0.09),
    ("keepalive_seconds", 86_400, 86_401),
    ("heartbeat_seconds", 0.1, 0.09),
    ("heartbeat_seconds", 3600, 3601),
    ("drain_seconds", 0, -1),
    ("poll_interval", 0.001, 0),
    ("pool_size", 4, 3),
    ("append_lanes", 1, 0),
    ("large_payloads", "objects", "files"),
    ("log_level", "error", "fatal"),
    ("log_format", "json", "xml"),
]


@pytest.mark.parametrize(("name", "taken", "refused"), BOUNDS)
def test_a_setting_is_taken_up_to_its_bound(
    monkeypatch: pytest.MonkeyPatch, name: str, taken: object, refused: object
) -> None:
    monkeypatch.setenv(f"RUNSTORE_{name.upper()}", str(taken))
    assert getattr(Settings(), name) == taken

    monkeypatch.setenv(f"RUNSTORE_{name.upper()}", str(refused))
    with pytest.raises(ValidationError, match=name):
        Settings()


def test_objects_are_in_the_data_folder_unless_they_are_elsewhere(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path).objects_location == (tmp_path / "objects").as_uri()
    assert Settings(data_dir=tmp_path, objects_url="s3://b/p").objects_location == "s3://b/p"


def test_every_setting_is_described_and_read() -> None:
    folder = Path(runstore_server.__file__).parent
    code = "\n".join(path.read_text() for path in folder.rglob("*.py"))
    read = set(re.findall(r"\b_?settings\.(\w+)", code)) | {"data_dir", "objects_url"}
    described = {name for name, field in Settings.model_fields.items() if field.description}

    assert Settings.model_fields.keys() - read == set()
    assert Settings.model_fields.keys() - described == set()


def test_the_store_is_opened_with_every_setting_that_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "PostgresStore", lambda _, **given: given)
    settings = Settings(
        db_schema="s",
        pool_size=7,
        append_lanes=3,
        poll_interval=0.5,
        objects_url="s3://b/p",
        archive_url="s3://archives/p",
        consumer_idle_days=3,
        payload_inline_bytes=2048,
        large_payloads="objects",
    )

    given = app.open_store(settings, "url")

    assert given == {
        "schema": "s",
        "pool_size": 7,
        "append_lanes": 3,
        "poll_interval": 0.5,
        "objects_url": "s3://b/p",
        "archive_url": "s3://archives/p",
        "consumer_idle": timedelta(days=3),
        "large_payloads": LargePayloads(2048, to_objects=True),
    }
