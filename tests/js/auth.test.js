// Sessions over a real connection, and the trigger that nearly every application puts on auth.users.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { startBackend, signUp } from './lib/backend.js'

let backend

before(async () => {
  backend = await startBackend()
  await backend.sql(`
    create table public.users (id uuid primary key references auth.users (id) on delete cascade, email text, name text);
    create function public.handle_new_user() returns trigger
      language plpgsql security definer set search_path = '' as $$
    begin
      if new.email like 'refused%' then
        raise exception 'this address is not welcome';
      end if;
      insert into public.users (id, email, name)
      values (new.id, new.email, new.raw_user_meta_data ->> 'name');
      return new;
    end $$;
    create trigger on_auth_user_created after insert on auth.users
      for each row execute function public.handle_new_user();
  `)
})

after(() => backend?.stop())

test('sign-up answers with a session and fills the application’s own table', async () => {
  const { user, session } = await signUp(backend, 'ada@example.com', { data: { name: 'Ada' } })
  assert.equal(user.email, 'ada@example.com')
  assert.equal(session.token_type, 'bearer')
  const { rows } = await backend.sql('select * from public.users')
  assert.deepEqual(rows, [{ id: user.id, email: 'ada@example.com', name: 'Ada' }])
})

test('when the trigger fails, sign-up says so and leaves no user', async () => {
  const { data, error } = await backend.client().auth.signUp({ email: 'refused@example.com', password: 'long enough' })
  assert.equal(data.user, null)
  assert.equal(error.status, 500)
  assert.equal(error.message, 'Database error saving new user')
  const { rows } = await backend.sql(`select count(*)::int as n from auth.users where email = 'refused@example.com'`)
  assert.equal(rows[0].n, 0)
})

test('a password signs in, a wrong one does not', async () => {
  await signUp(backend, 'bob@example.com')
  const good = await backend.client().auth.signInWithPassword({
    email: 'bob@example.com',
    password: 'correct horse battery',
  })
  assert.equal(good.error, null)
  assert.equal(good.data.user.email, 'bob@example.com')
  const bad = await backend.client().auth.signInWithPassword({ email: 'bob@example.com', password: 'wrong' })
  assert.equal(bad.error.status, 400)
  assert.equal(bad.error.code, 'invalid_credentials')
  assert.equal(bad.error.message, 'Invalid login credentials')
})

test('a refresh token rotates and the user can be read and changed', async () => {
  const { client, session } = await signUp(backend, 'cleo@example.com')
  const refreshed = await client.auth.refreshSession()
  assert.equal(refreshed.error, null)
  assert.notEqual(refreshed.data.session.refresh_token, session.refresh_token)
  const changed = await client.auth.updateUser({ data: { colour: 'blue' } })
  assert.equal(changed.data.user.user_metadata.colour, 'blue')
  const { data } = await client.auth.getUser()
  assert.equal(data.user.user_metadata.colour, 'blue')
})

test('after sign-out the session is gone', async () => {
  const { client, session } = await signUp(backend, 'dora@example.com')
  assert.equal((await client.auth.signOut()).error, null)
  const { error } = await backend.client().auth.getUser(session.access_token)
  assert.equal(error.name, 'AuthSessionMissingError')
  const again = await backend.client().auth.refreshSession({ refresh_token: session.refresh_token })
  assert.equal(again.error.status, 400)
})

test('the same address cannot sign up twice', async () => {
  const { error } = await backend.client().auth.signUp({ email: 'ada@example.com', password: 'long enough' })
  assert.equal(error.status, 422)
  assert.equal(error.code, 'user_already_exists')
})

test('settings, health and key set are served', async () => {
  const get = async (path) =>
    (await fetch(`${backend.env.API_URL}${path}`, { headers: { apikey: backend.env.ANON_KEY } })).json()
  assert.equal((await get('/auth/v1/settings')).mailer_autoconfirm, true)
  assert.equal((await get('/auth/v1/health')).name, 'GoTrue')
  assert.ok(Array.isArray((await get('/auth/v1/.well-known/jwks.json')).keys))
})
