// Changes of the database and messages out of it, with the published client.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { postgresChangesFilter } from '@supabase/supabase-js'
import { signUp, startBackend } from './lib/backend.js'

let backend
const open = []

before(async () => {
  backend = await startBackend({ ephemeral: false })
  await backend.sql(`
    create table public.note (id int generated always as identity primary key, owner uuid default auth.uid(), body text);
    alter table public.note enable row level security;
    create policy own on public.note to authenticated using (owner = (select auth.uid()));
    create table public.score (id int primary key, points int, player text);
    alter table public.score replica identity full;
    alter publication supabase_realtime add table public.note, public.score;
  `)
  await backend.served('note')
})

after(async () => {
  await Promise.all(open.map((client) => client.realtime.disconnect()))
  await backend?.stop()
})

const anonymous = () => {
  const client = backend.client()
  open.push(client)
  return client
}

const user = async (email) => {
  const { client } = await signUp(backend, email)
  open.push(client)
  return client
}

/** Subscribes; resolves when changes flow. `channel.active` counts how often the server has said so. */
function active(channel) {
  channel.active = 0
  return new Promise((resolve, reject) => {
    channel.on('system', {}, ({ status, message }) => {
      if (status !== 'ok') reject(new Error(message))
      else if (message === 'Subscribed to PostgreSQL') resolve(++channel.active && channel)
    })
    channel.subscribe((status, error) => {
      if (status === 'CHANNEL_ERROR' || status === 'TIMED_OUT') reject(error ?? new Error(status))
    })
  })
}

async function until(what, met) {
  for (let i = 0; i < 600; i++) {
    if (await met()) return
    await sleep(25)
  }
  assert.fail(`never: ${what}`)
}

const filled = (list, count) => until(`${count} in ${JSON.stringify(list)}`, () => list.length >= count)

test('each user hears of its own rows, and everybody of deletions', async () => {
  const heard = {}
  const clients = {}
  for (const name of ['ann', 'bob']) {
    clients[name] = await user(`${name}@example.com`)
    heard[name] = []
    await active(
      clients[name]
        .channel('notes')
        .on('postgres_changes', { event: '*', schema: 'public', table: 'note' }, ({ eventType, new: now, old }) =>
          heard[name].push([eventType, now.body, old.id]),
        ),
    )
  }
  for (const name of ['ann', 'bob', 'ann']) {
    const { error } = await clients[name].from('note').insert({ body: `of ${name}` })
    assert.equal(error, null)
  }
  await clients.ann.from('note').update({ body: 'changed' }).eq('id', 1)
  await clients.ann.from('note').delete().eq('id', 3)
  await Promise.all([filled(heard.ann, 4), filled(heard.bob, 2)])
  assert.deepEqual(heard.ann, [
    ['INSERT', 'of ann', undefined],
    ['INSERT', 'of ann', undefined],
    ['UPDATE', 'changed', 1],
    ['DELETE', undefined, 3],
  ])
  assert.deepEqual(heard.bob, [
    ['INSERT', 'of bob', undefined],
    ['DELETE', undefined, 3],
  ])
})

test('filters and columns are those of the typed builder', async () => {
  const heard = []
  const filter = postgresChangesFilter().gte('points', 10).not('player', 'like', 'x%')
  const channel = anonymous()
    .channel('scores')
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'score', filter, select: ['points'] }, (change) =>
      heard.push(change.new),
    )
  await active(channel)
  await backend.sql(`insert into score values (1, 9, 'a'), (2, 10, 'xa'), (3, 10, 'a'), (4, null, 'a'), (5, 11, 'b')`)
  await filled(heard, 2)
  await sleep(200)
  assert.deepEqual(heard, [
    { id: 3, points: 10 },
    { id: 5, points: 11 },
  ])
})

test('a table that is not published, and a filter that is none, are refused in words', async () => {
  const entry = { event: '*', schema: 'public', table: 'nowhere' }
  await assert.rejects(
    active(anonymous().channel('a').on('postgres_changes', entry, () => {})),
    /Unable to subscribe to changes with given parameters\. Please check Realtime is enabled/,
  )
  const bad = { event: '*', schema: 'public', table: 'score', filter: 'points=eq.many' }
  await assert.rejects(
    active(anonymous().channel('b').on('postgres_changes', bad, () => {})),
    /invalid input syntax for type integer: "many"/,
  )
})

test('a new token decides from then on', async () => {
  const [carl, dora] = [await user('carl@example.com'), await user('dora@example.com')]
  const heard = []
  const channel = carl
    .channel('notes')
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'note' }, ({ new: now }) => heard.push(now.body))
  await active(channel)
  const { data } = await dora.auth.getSession()
  await carl.realtime.setAuth(data.session.access_token)
  await until('the subscription is renewed', () => channel.active === 2)
  await carl.from('note').insert({ body: 'of carl' })
  await dora.from('note').insert({ body: 'of dora' })
  await filled(heard, 1)
  await sleep(200)
  assert.deepEqual(heard, ['of dora'])
})

test('what the database sends arrives, and is replayed to who comes later', async () => {
  await backend.sql(`create policy "all read" on realtime.messages for select to authenticated using (true)`)
  const since = Date.now() - 1000
  const listen = async (client, replay) => {
    const heard = []
    const channel = client.channel('news', { config: { private: true, broadcast: replay ? { replay } : {} } })
    channel.on('broadcast', { event: 'note' }, ({ payload, meta }) => heard.push([payload.n, meta?.replayed ?? false]))
    await new Promise((resolve, reject) =>
      channel.subscribe((status, error) => {
        if (status === 'SUBSCRIBED') resolve()
        if (status === 'CHANNEL_ERROR') reject(error)
      }),
    )
    return heard
  }
  const eve = await user('eve@example.com')
  const live = await listen(eve)
  // A moment after the first channel the log is read.
  await until('the log is read', async () => {
    const { rows } = await backend.sql(`select 1 from pg_replication_slots where active`)
    return rows.length === 1
  })
  for (const n of [1, 2]) await backend.sql(`select realtime.send(jsonb_build_object('n', $1::int), 'note', 'news', true)`, [n])
  await filled(live, 2)
  assert.deepEqual(live, [
    [1, false],
    [2, false],
  ])
  const late = await listen(await user('fay@example.com'), { since, limit: 1 })
  await filled(late, 1)
  assert.deepEqual(late, [[2, true]])
})

const parentOf = (pid) => Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1])
const alive = (pid) => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))

async function postmaster() {
  const { rows } = await backend.sql('select pg_backend_pid() as pid')
  return parentOf(rows[0].pid)
}

test('when PostgreSQL is killed, channels stay and changes flow again', async () => {
  const heard = []
  const channel = anonymous()
    .channel('scores')
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'score' }, ({ new: now }) => heard.push(now.id))
  await active(channel)
  process.kill(await postmaster(), 'SIGKILL')
  await until('the subscription is renewed', () => channel.active === 2)
  await until('PostgreSQL answers', () => backend.sql(`insert into score values (100)`).then(() => true, () => false))
  await filled(heard, 1)
  assert.deepEqual(heard, [100])
})

test('when the server is killed, nothing keeps its successor from reading changes', async () => {
  await active(anonymous().channel('s').on('postgres_changes', { event: '*', schema: 'public', table: 'score' }, () => {}))
  const postgres = await postmaster()
  process.kill(parentOf(postgres), 'SIGKILL')
  await Promise.all(open.splice(0).map((client) => client.realtime.disconnect()))
  await until('PostgreSQL ends, too', () => !alive(postgres))
  await backend.restart()
  const heard = []
  await active(
    anonymous()
      .channel('s')
      .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'score' }, ({ new: now }) => heard.push(now.id)),
  )
  await backend.sql(`insert into score values (200)`)
  await filled(heard, 1)
  assert.deepEqual(heard, [200])
  const { rows } = await backend.sql('select count(*)::int as slots from pg_replication_slots')
  assert.deepEqual(rows, [{ slots: 1 }])
})
