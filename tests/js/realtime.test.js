// Channels with the published client, in both versions of its serializer.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import WebSocket from 'ws'
import { startBackend, signUp } from './lib/backend.js'

let backend
const open = []

before(async () => {
  backend = await startBackend()
})

after(async () => {
  await Promise.all(open.map((client) => client.realtime.disconnect()))
  await backend?.stop()
})

const client = (vsn, key) => {
  const made = backend.client(key, { realtime: { transport: WebSocket, vsn } })
  open.push(made)
  return made
}

/** Subscribes; resolves when joined, rejects with what the server said. */
const joined = (channel) =>
  new Promise((resolve, reject) => {
    channel.subscribe((status, error) => {
      if (status === 'SUBSCRIBED') resolve(channel)
      if (status === 'CHANNEL_ERROR' || status === 'TIMED_OUT') reject(error ?? new Error(status))
    })
  })

/** Waits until `list` has `count` entries. */
async function filled(list, count) {
  for (let i = 0; i < 200 && list.length < count; i++) await sleep(25)
  return list
}

for (const vsn of ['1.0.0', '2.0.0']) {
  test(`vsn ${vsn}: a broadcast reaches another client, and with an acknowledgement the sender knows`, async () => {
    const heard = []
    const listener = client(vsn).channel('talk')
    listener.on('broadcast', { event: 'hello' }, (message) => heard.push(message.payload))
    await joined(listener)
    const sender = await joined(client(vsn).channel('talk', { config: { broadcast: { ack: true } } }))
    assert.equal(await sender.send({ type: 'broadcast', event: 'hello', payload: { text: 'é' } }), 'ok')
    assert.deepEqual(await filled(heard, 1), [{ text: 'é' }])
  })

  test(`vsn ${vsn}: presence is the same for everybody`, async () => {
    const [first, second] = await Promise.all(
      ['ann', 'bob'].map((key) => {
        const channel = client(vsn).channel(`room ${vsn}`, { config: { presence: { key } } })
        channel.on('presence', { event: 'sync' }, () => {})
        return joined(channel)
      }),
    )
    assert.equal(await first.track({ mood: 'good' }), 'ok')
    assert.equal(await second.track({ mood: 'better' }), 'ok')
    const moods = (channel) =>
      Object.fromEntries(Object.entries(channel.presenceState()).map(([key, metas]) => [key, metas.map((m) => m.mood)]))
    for (const channel of [first, second]) {
      for (let i = 0; i < 200 && Object.keys(channel.presenceState()).length < 2; i++) await sleep(25)
      assert.deepEqual(moods(channel), { ann: ['good'], bob: ['better'] })
    }
    await first.untrack()
    for (let i = 0; i < 200 && second.presenceState().ann; i++) await sleep(25)
    assert.deepEqual(moods(second), { bob: ['better'] })
  })

  test(`vsn ${vsn}: a message sent before joining goes over HTTP`, async () => {
    const heard = []
    const listener = client(vsn).channel('http')
    listener.on('broadcast', { event: 'hello' }, (message) => heard.push(message.payload))
    await joined(listener)
    const sender = client(vsn, backend.env.SERVICE_ROLE_KEY).channel('http')
    await sender.httpSend('hello', { n: 1 })
    assert.deepEqual(await filled(heard, 1), [{ n: 1 }])
  })
}

test('opaque bytes travel between current clients', async () => {
  const heard = []
  const listener = client('2.0.0').channel('bytes')
  listener.on('broadcast', { event: 'raw' }, (message) => heard.push(new Uint8Array(message.payload)))
  await joined(listener)
  const sender = await joined(client('2.0.0').channel('bytes'))
  await sender.send({ type: 'broadcast', event: 'raw', payload: new Uint8Array([0, 255, 7]).buffer })
  assert.deepEqual((await filled(heard, 1)).map((bytes) => [...bytes]), [[0, 255, 7]])
})

test('an API key that is no token connects, too', async () => {
  await joined(client('2.0.0', backend.env.PUBLISHABLE_KEY).channel('opaque-key'))
})

test('a private channel asks the policies', async () => {
  await backend.sql(`
    create policy "members read" on realtime.messages for select to authenticated
      using (realtime.topic() = 'club' and extension in ('broadcast', 'presence'));
    create policy "members write" on realtime.messages for insert to authenticated
      with check (realtime.topic() = 'club' and extension in ('broadcast', 'presence'));
  `)
  const stranger = client('2.0.0').channel('club', { config: { private: true } })
  await assert.rejects(joined(stranger), /Unauthorized: You do not have permissions to read from this Channel topic: club/)

  const { client: member } = await signUp(backend, 'member@example.com')
  open.push(member)
  const heard = []
  const channel = member.channel('club', { config: { private: true, broadcast: { self: true, ack: true } } })
  channel.on('broadcast', { event: 'hello' }, (message) => heard.push(message.payload))
  await joined(channel)
  assert.equal(await channel.send({ type: 'broadcast', event: 'hello', payload: { n: 1 } }), 'ok')
  assert.deepEqual(await filled(heard, 1), [{ n: 1 }])
})
