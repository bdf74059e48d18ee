"""A saver shows a token, as every client does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import runstore
from clients.gate import Gate, serving
from runstore.langgraph import RunstoreSaver

TOKEN = "rs1_known"
THREAD = {"configurable": {"thread_id": "thread"}}


async def test_both_halves_of_a_saver_carry_the_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    await asyncio.to_thread(file.write_text, TOKEN)
    async with serving(Gate(TOKEN)) as gate:
        for given in ({"token": TOKEN}, {"token_file": file}):
            async with RunstoreSaver(gate.address, **given) as saver:
                assert await saver.aget_tuple(THREAD) is None
                assert await asyncio.to_thread(saver.get_tuple, THREAD) is None

    assert gate.shown == [("ReplayRun", TOKEN)] * 4


async def test_a_saver_sends_it_in_plain_text_where_that_is_allowed_alone() -> None:
    async with RunstoreSaver("runstore.invalid:7411", token=TOKEN) as saver:
        with pytest.raises(runstore.InvalidArgument, match=r"^token: is not sent in plain text"):
            await saver.aget_tuple(THREAD)
    async with RunstoreSaver("runstore.invalid:7411", token=TOKEN, insecure_token=True) as allowed:
        with pytest.raises(runstore.Unavailable):
            await allowed.aget_tuple(THREAD)
