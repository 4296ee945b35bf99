// The first application everyone writes: people sign up, keep notes, and see only their own.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { startBackend, signUp } from './lib/backend.js'

let backend, ada, bob

before(async () => {
  backend = await startBackend()
  await backend.sql(`
    create table public.notes (
      id bigint generated always as identity primary key,
      owner uuid not null default auth.uid() references auth.users (id) on delete cascade,
      body text not null,
      stars int not null default 0
    );
    alter table public.notes enable row level security;
    create policy "own notes" on public.notes to authenticated
      using (owner = (select auth.uid())) with check (owner = (select auth.uid()));
  `)
  await backend.served('notes')
  ada = await signUp(backend, 'ada@example.com')
  bob = await signUp(backend, 'bob@example.com')
})

after(() => backend?.stop())

test('a new table is served at once and an insert answers with the row', async () => {
  const { data, error, status } = await ada.client.from('notes').insert({ body: 'hello' }).select()
  assert.equal(error, null)
  assert.equal(status, 201)
  assert.deepEqual(data, [{ id: 1, owner: ada.user.id, body: 'hello', stars: 0 }])
})

test('each user sees only their own rows', async () => {
  await bob.client.from('notes').insert([{ body: 'one' }, { body: 'two' }])
  const forAda = await ada.client.from('notes').select('body').order('id')
  const forBob = await bob.client.from('notes').select('body').order('id')
  assert.deepEqual(forAda.data, [{ body: 'hello' }])
  assert.deepEqual(forBob.data, [{ body: 'one' }, { body: 'two' }])
})

test('anon sees no row and may not write', async () => {
  const anon = backend.client()
  assert.deepEqual((await anon.from('notes').select()).data, [])
  const { error, status } = await anon.from('notes').insert({ body: 'no', owner: ada.user.id })
  assert.equal(status, 401)
  assert.deepEqual(error, {
    code: '42501',
    details: null,
    hint: null,
    message: 'new row violates row-level security policy for table "notes"',
  })
})

test('service_role sees every row', async () => {
  const service = backend.client(backend.env.SERVICE_ROLE_KEY)
  const { data, count } = await service.from('notes').select('body', { count: 'exact' }).order('id')
  assert.deepEqual(data, [{ body: 'hello' }, { body: 'one' }, { body: 'two' }])
  assert.equal(count, 3)
})

test('the opaque keys stand for anon and service_role', async () => {
  const publishable = backend.client(backend.env.PUBLISHABLE_KEY)
  assert.deepEqual((await publishable.from('notes').select()).data, [])
  const secret = backend.client(backend.env.SECRET_KEY)
  assert.equal((await secret.from('notes').select()).data.length, 3)
})

test('rows are filtered, ordered, limited, changed and deleted', async () => {
  const notes = () => bob.client.from('notes')
  await notes().insert([
    { body: 'three', stars: 3 },
    { body: 'four', stars: 4 },
    { body: 'five', stars: 5 },
  ])
  const top = await notes().select('body,stars').gt('stars', 2).order('stars', { ascending: false }).limit(2)
  assert.deepEqual(top.data, [
    { body: 'five', stars: 5 },
    { body: 'four', stars: 4 },
  ])
  const page = await notes().select('body', { count: 'exact' }).order('id').range(1, 2)
  assert.deepEqual(page.data, [{ body: 'two' }, { body: 'three' }])
  assert.equal(page.count, 5)
  const changed = await notes().update({ stars: 9 }).eq('body', 'three').select('body,stars')
  assert.deepEqual(changed.data, [{ body: 'three', stars: 9 }])
  const silent = await notes().delete().eq('body', 'three')
  assert.equal(silent.status, 204)
  assert.equal(silent.data, null)
  assert.equal((await notes().select().eq('body', 'three')).data.length, 0)
})

test('a user cannot change a stranger’s rows', async () => {
  const { data, error } = await ada.client.from('notes').update({ body: 'mine' }).eq('body', 'one').select()
  assert.equal(error, null)
  assert.deepEqual(data, [])
  const { rows } = await backend.sql(`select count(*)::int as n from notes where body = 'one'`)
  assert.equal(rows[0].n, 1)
})

test('mistakes are answered in the form of PostgREST', async () => {
  const missing = await ada.client.from('nothing').select()
  assert.equal(missing.status, 404)
  assert.equal(missing.error.code, 'PGRST205')
  const column = await ada.client.from('notes').select('nope')
  assert.equal(column.status, 400)
  assert.equal(column.error.code, '42703')
  const operator = await ada.client.from('notes').select().filter('id', 'nope', 1)
  assert.equal(operator.status, 400)
  assert.equal(operator.error.code, 'PGRST100')
  const value = await ada.client.from('notes').select().eq('id', 'abc')
  assert.equal(value.status, 400)
  assert.equal(value.error.code, '22P02')
})

test('a changed table is served in its new shape', async () => {
  await backend.sql('alter table public.notes add column color text')
  const { data } = await ada.client.from('notes').update({ color: 'red' }).eq('body', 'hello').select('color')
  assert.deepEqual(data, [{ color: 'red' }])
})

test('a table is served the moment it exists', async () => {
  for (let i = 0; i < 10; i++) {
    await backend.sql(`create table public.fresh_${i} (id int)`)
    const { data, error } = await backend.client(backend.env.SERVICE_ROLE_KEY).from(`fresh_${i}`).select()
    assert.equal(error, null)
    assert.deepEqual(data, [])
  }
})
