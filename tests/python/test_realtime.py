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
