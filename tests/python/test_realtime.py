"""Channels with supabase-py, whose message models are strict."""

import asyncio

from supabase import acreate_client
from realtime import RealtimeSubscribeStates


async def joined(channel):
    """Subscribes and waits for the server's word."""
    done = asyncio.get_running_loop().create_future()

    def told(status, error):
        if done.done():
            return
        if status == RealtimeSubscribeStates.SUBSCRIBED:
            done.set_result(channel)
        elif status in (RealtimeSubscribeStates.CHANNEL_ERROR, RealtimeSubscribeStates.TIMED_OUT):
            done.set_exception(error or RuntimeError(status))

    await channel.subscribe(told)
    return await asyncio.wait_for(done, 10)


async def first(queue):
    return await asyncio.wait_for(queue.get(), 10)


async def two(backend):
    url, key = backend.env["API_URL"], backend.env["ANON_KEY"]
    return await acreate_client(url, key), await acreate_client(url, key)


def test_a_broadcast_reaches_another_client(backend):
    async def run():
        listener, sender = await two(backend)
        heard = asyncio.Queue()
        channel = listener.channel("talk")
        channel.on_broadcast("hello", heard.put_nowait)
        await joined(channel)
        speaking = await joined(sender.channel("talk"))
        await speaking.send_broadcast("hello", {"n": 1})
        assert (await first(heard))["payload"] == {"n": 1}
        await listener.remove_all_channels()
        await sender.remove_all_channels()

    asyncio.run(run())


def test_who_is_present_is_known_to_others(backend):
    async def run():
        watcher, other = await two(backend)
        joins = asyncio.Queue()
        channel = watcher.channel("room", {"config": {"presence": {"key": "watcher", "enabled": True}}})
        channel.on_presence_join(lambda key, current, new: joins.put_nowait((key, new)))
        await joined(channel)
        present = await joined(other.channel("room", {"config": {"presence": {"key": "ann", "enabled": True}}}))
        await present.track({"mood": "good"})
        key, new = await first(joins)
        assert key == "ann"
        assert new[0]["mood"] == "good"
        await watcher.remove_all_channels()
        await other.remove_all_channels()

    asyncio.run(run())


def test_changes_of_the_database_arrive(backend):
    backend.sql(
        """
        create table if not exists public.thing (id int primary key, name text);
        alter publication supabase_realtime add table public.thing;
        """
    )

    async def run():
        listener, _ = await two(backend)
        heard, told = asyncio.Queue(), asyncio.Queue()
        channel = listener.channel("things")
        channel.on_postgres_changes("*", heard.put_nowait, table="thing", schema="public", filter="id=lt.3")
        channel.on_system(told.put_nowait)
        await joined(channel)
        system = await first(told)
        assert system.message == "Subscribed to PostgreSQL"
        backend.sql(
            """
            insert into public.thing values (3, 'c'), (1, 'a');
            update public.thing set name = 'b' where id = 1;
            delete from public.thing;
            """
        )
        changes = [(await first(heard))["data"] for _ in range(3)]
        assert [change["type"] for change in changes] == ["INSERT", "UPDATE", "DELETE"]
        assert changes[0]["record"] == {"id": 1, "name": "a"}
        assert changes[1]["record"] == {"id": 1, "name": "b"}
        assert changes[2]["old_record"] == {"id": 1}
        assert [column["type"] for column in changes[0]["columns"]] == ["int4", "text"]
        await listener.remove_all_channels()

    asyncio.run(run())
