"""The steps of a scenario as calls of the Python client; README.md defines the terms."""

from __future__ import annotations

import asyncio
import dataclasses
import tarfile
import urllib.request
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import runstore
from python_seen import shown_item, shown_policy
from python_sent import (
    artifact,
    completion,
    config_refs,
    counted,
    event,
    events,
    payload,
    payloads,
    policy,
    query,
    selection,
    snapshot,
    times,
    with_after,
    with_lifetime,
    writes,
)
from runstore import Payload, SeqRange

LONGEST_WAIT_SECONDS = 300
FOLLOW = {"heartbeat_seconds": 1.0, "patience_seconds": 300.0}
Json = dict[str, Any]


class Watch:
    """A stream that is followed in the background."""

    def __init__(self, items: AsyncIterator[runstore.StreamItem]) -> None:
        self.items: list[Json] = []
        self._grown = asyncio.Condition()
        self._task = asyncio.create_task(self._watch(items))

    async def _watch(self, items: AsyncIterator[runstore.StreamItem]) -> None:
        async for item in items:
            if shown := shown_item(item):
                async with self._grown:
                    self.items.append(shown)
                    self._grown.notify_all()

    async def wait(self, count: int) -> None:
        async with self._grown:
            await asyncio.wait_for(
                self._grown.wait_for(lambda: len(self.items) >= count), LONGEST_WAIT_SECONDS
            )

    async def end(self) -> list[Json]:
        await asyncio.wait_for(self._task, LONGEST_WAIT_SECONDS)
        return self.items


class Runner:
    """Executes the steps of one scenario."""

    def __init__(self, client: runstore.AsyncClient, control: str) -> None:
        self._client = client
        self._control = control
        self._watches: dict[str, Watch] = {}

    def run(self, arguments: Json) -> runstore.AsyncRun:
        return self._client.run(
            arguments.pop("run_id"), writer_epoch=arguments.pop("writer_epoch", None)
        )

    async def own_client(self, a: Json) -> Any:
        async with runstore.connect(a["target"], timeout=300) as client:
            if a.get("is_closed"):
                await client.close()
            return await client.run("run").get()

    async def save_run(self, a: Json) -> Any:
        a = payloads(a)
        if "external_ref" in a:
            a["external_ref"] = runstore.ExternalRef(**a["external_ref"])
        a["config_refs"] = config_refs(a)
        if "completion" in a:
            a["completion"] = completion(a["completion"])
        run = await self._client.save_run(**a)
        return {"run_id": run.run_id, "writer_epoch": run.writer_epoch}

    async def get_run(self, a: Json) -> Any:
        return await self.run(a).get()

    async def list_runs(self, a: Json) -> Any:
        return {"runs": [run async for run in self._client.list_runs(query(a))]}

    async def append(self, a: Json) -> Any:
        return await self.run(a).append(event(a.pop("event")), **a)

    async def append_many(self, a: Json) -> Any:
        new = events(a)
        return {"events": await self.run(a).append_many(new, **a)}

    async def append_together(self, a: Json) -> Any:
        run, new = self.run(a), events(a)
        appended = await asyncio.gather(*(run.append(each, **a) for each in new))
        return {"events": sorted(appended, key=lambda each: each.seq)}

    async def pipeline(self, a: Json) -> Any:
        new = events(a)
        run = self.run(a)
        async with self._client.appender(window=a["window"]) as appender:
            sent = [await appender.append(run, each) for each in new]
        return {"events": [each.result() for each in sent]}

    async def put_snapshot(self, a: Json) -> Any:
        run = self.run(a)
        return await run.snapshot(
            events=events(a),
            task_writes=writes(a.pop("task_writes", [])),
            **snapshot(a.pop("snapshot")),
            **a,
        )

    async def put_task_writes(self, a: Json) -> Any:
        new = writes(a.pop("writes"))
        return {"deduplicated": await self.run(a).put_task_writes(new, **a)}

    async def get_snapshot(self, a: Json) -> Any:
        return await self.run(a).get_snapshot(**a)

    async def list_snapshots(self, a: Json) -> Any:
        a = payloads(a)
        of = self.run(a) if "run_id" in a else self._client
        return {"snapshots": [each async for each in of.list_snapshots(**a)]}

    async def delete_snapshots(self, a: Json) -> Any:
        deleted = await self.run(a).delete_snapshots(**a)
        return {
            "deleted_snapshots": deleted.snapshots,
            "deleted_task_writes": deleted.task_writes,
            "freed_bytes": deleted.freed_bytes,
        }

    async def resume(self, a: Json) -> Any:
        resumed = await self._client.resume(**a)
        return {
            "writer_epoch": resumed.claim.writer_epoch,
            "deduplicated": resumed.claim.deduplicated,
            "run": resumed.claim.run,
            "snapshot_id": resumed.snapshot.snapshot_id if resumed.snapshot else "",
            "pending_node_ids": resumed.pending_node_ids,
            "task_writes": resumed.task_writes,
            "events": [each async for each in resumed.events()],
        }

    async def complete(self, a: Json) -> Any:
        run = self.run(a)
        guard = {"expected_seq": a.pop("expected_seq", None)}
        made = completion(a)
        return await run.complete(
            made.outcome,
            made.payload,
            events=made.events,
            final_snapshot=made.final_snapshot,
            **guard,
            **made.output,
        )

    async def get_output(self, a: Json) -> Any:
        return await self.run(a).output(**a)

    async def list_events(self, a: Json) -> Any:
        return await self.run(a).list_events(**a)

    async def stream(self, a: Json) -> Any:
        items = self.run(a).stream(**{"follow": False} | FOLLOW | a)
        return {"items": [shown async for item in items if (shown := shown_item(item))]}

    async def verify(self, a: Json) -> Any:
        return await self.run(a).verify(**a)

    async def export(self, a: Json) -> Any:
        archive = BytesIO()
        await self.run(a).export(archive)
        archive.seek(0)
        with tarfile.open(fileobj=archive) as files:
            return {"files": files.getnames()}

    async def watch(self, a: Json) -> Any:
        name = a.pop("watch")
        self._watches[name] = Watch(self.run(a).stream(**{"follow": True} | FOLLOW | a))
        return {}

    async def watch_until(self, a: Json) -> Any:
        await self._watches[a["watch"]].wait(a["count"])
        return {}

    async def watch_end(self, a: Json) -> Any:
        return {"items": await self._watches.pop(a["watch"]).end()}

    async def restart_server(self, a: Json) -> Any:
        request = urllib.request.Request(f"{self._control}/restart?signal={a['signal']}", b"")
        await asyncio.to_thread(urllib.request.urlopen, request)
        return {}

    async def feed_read(self, a: Json) -> Any:
        return await self._client.feed.read(**a)

    async def feed_follow(self, a: Json) -> Any:
        count, entries = a.pop("count"), []
        async for entry in self._client.feed.entries(**FOLLOW, **a):
            entries.append(entry)
            if len(entries) == count:
                break
        return {"entries": entries}

    async def feed_commit(self, a: Json) -> Any:
        return await self._client.feed.commit(a["consumer"], a["position"])

    async def feed_reset(self, a: Json) -> Any:
        return await self._client.feed.reset(a["consumer"], a["position"])

    async def feed_consumer(self, a: Json) -> Any:
        return await self._client.feed.consumer(a["consumer"])

    async def feed_consumers(self, a: Json) -> Any:
        return {"consumers": [each async for each in self._client.feed.consumers(**a)]}

    async def search(self, a: Json) -> Any:
        hits = [hit async for hit in self._client.search(**with_after(times(a)))]
        return {
            "hits": [
                {
                    "run_id": hit.run_id,
                    "seq": hit.seq,
                    "snippet": hit.snippet,
                    "marked": hit.marked(),
                    "event": hit.event,
                }
                for hit in hits
            ]
        }

    async def replay(self, a: Json) -> Any:
        return await self.run(a).replay(**a)

    async def fork(self, a: Json) -> Any:
        base, a["config_refs"] = self.run(a), config_refs(a)
        fork = await base.fork(run_id=a.pop("fork_run_id", ""), **a)
        return {"run_id": fork.run_id, "writer_epoch": fork.writer_epoch}

    async def statistics(self, a: Json) -> Any:
        by = [each.lower() for each in a.pop("group_by", [])]
        return {"rows": [row async for row in self._client.statistics(by, **counted(a))]}

    async def config_register(self, a: Json) -> Any:
        return await self._client.configs.register(**payloads(a))

    async def config_get(self, a: Json) -> Any:
        return await self._client.configs.get(**a)

    async def config_versions(self, a: Json) -> Any:
        return {"versions": [each async for each in self._client.configs.versions(**a)]}

    async def config_list(self, a: Json) -> Any:
        return {"configs": [each async for each in self._client.configs.list(**a)]}

    async def config_set_label(self, a: Json) -> Any:
        return await self._client.configs.set_label(**a)

    async def config_remove_label(self, a: Json) -> Any:
        return await self._client.configs.remove_label(**a)

    async def config_label_moves(self, a: Json) -> Any:
        return {"moves": [each async for each in self._client.configs.label_moves(**a)]}

    async def artifact_upload(self, a: Json) -> Any:
        data = payload(a.pop("data"))
        assert isinstance(data, Payload)
        return await self._client.artifacts.upload(data=data.data, **artifact(a))

    async def artifact_link(self, a: Json) -> Any:
        return await self._client.artifacts.link(**artifact(a))

    async def artifact_get(self, a: Json) -> Any:
        return await self._client.artifacts.get(**a)

    async def artifact_download(self, a: Json) -> Any:
        return {"data": Payload(await self._client.artifacts.read(**a))}

    async def admin_whoami(self, _: Json) -> Any:
        return await self._client.admin.who_am_i()

    async def admin_projects(self, a: Json) -> Any:
        listed = [each async for each in self._client.admin.projects()]
        return {"projects": [each for each in listed if each in a["among"]]}

    async def token_create(self, a: Json) -> Any:
        return await self._client.admin.create_token(**with_lifetime(a))

    async def token_list(self, a: Json) -> Any:
        count = a.pop("count", None)
        return {"tokens": [each async for each in self._client.admin.tokens(**a)][:count]}

    async def token_revoke(self, a: Json) -> Any:
        return await self._client.admin.revoke_token(**a)

    async def limits_set(self, a: Json) -> Any:
        return await self._client.admin.set_limits(**a)

    async def limits_get(self, _: Json) -> Any:
        return await self._client.admin.limits()

    async def hold_place(self, a: Json) -> Any:
        where = selection(a.pop("filter")) if "filter" in a else None
        return await self._client.admin.place_hold(a.pop("why"), filter=where, **a)

    async def hold_release(self, a: Json) -> Any:
        return await self._client.admin.release_hold(**a)

    async def delete_run(self, a: Json) -> Any:
        return await self._client.admin.delete_run(reason=a.pop("why"), **a)

    async def erase_events(self, a: Json) -> Any:
        seqs = [SeqRange(**each) for each in a.pop("seqs")]
        return await self._client.admin.erase_events(seqs=seqs, reason=a.pop("why"), **a)

    async def erase_subject(self, a: Json) -> Any:
        return await self._client.admin.erase_subject(reason=a.pop("why"), **a)

    async def erasure_get(self, a: Json) -> Any:
        return await self._client.admin.get_erasure(**a)

    async def archive_run(self, a: Json) -> Any:
        return await self._client.admin.archive_run(reason=a.pop("why"), **a)

    async def archive_wait(self, a: Json) -> Any:
        while True:
            found = await self.archive_run({**a})
            if found.state >= runstore.ArchiveState.DONE:
                return found
            await asyncio.sleep(0.05)

    async def restore_run(self, a: Json) -> Any:
        return await self._client.admin.restore_run(reason=a.pop("why"), **a)

    async def removal_list(self, a: Json) -> Any:
        return {"removals": [each async for each in self._client.admin.removals(**a)]}

    async def policy_put(self, a: Json) -> Any:
        why, request_id = a.pop("why"), a.pop("request_id", "")
        put = await self._client.admin.put_policy(policy(a), why, request_id=request_id)
        return shown_policy(put)

    async def policy_list(self, _: Json) -> Any:
        return {"policies": [shown_policy(each) async for each in self._client.admin.policies()]}

    async def policy_delete(self, a: Json) -> Any:
        await self._client.admin.delete_policy(reason=a.pop("why"), **a)
        return {}

    async def retention_preview(self, a: Json) -> Any:
        return await self._client.admin.preview_retention(policy(a) if a else None)

    async def hold_list(self, a: Json) -> Any:
        return {"holds": [each async for each in self._client.admin.holds(**a)]}

    async def admin_records(self, a: Json) -> Any:
        count = a.pop("count", None)
        return {"records": [each async for each in self._client.admin.records(**a)][:count]}

    async def admin_verify(self, a: Json) -> Any:
        found = await self._client.admin.verify_records(**a)
        return {"verified": found.verified, **dataclasses.asdict(found)}

    async def artifact_list(self, a: Json) -> Any:
        return {"artifacts": [each async for each in self._client.artifacts.list(**a)]}
