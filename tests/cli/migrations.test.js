// The published command line and our binary work on one project: each reads the history that the other wrote.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createProject } from './lib/project.js'

let project

before(async () => {
  project = await createProject({
    'roles.sql': 'create role reader nologin;\n',
    'migrations/20240101000000_notes.sql': 'create table notes (id int primary key, body text);\n',
    'migrations/20240102000000_policy.sql':
      "-- readers\nalter table notes enable row level security;\ncreate policy own on notes using (auth.role() = 'authenticated');\n",
    'seed.sql': "insert into notes values (1, 'seeded');\n",
  })
  await project.monobase('start', '--detach')
})

after(() => project.remove())

/** Runs `supabase ARGS…`, which must succeed; resolves with its JSON. */
async function supabase(...args) {
  const { code, stdout, stderr } = await project.supabase(...args, '--output-format', 'json')
  assert.equal(code, 0, `supabase ${args.join(' ')}\n${stdout}\n${stderr}`)
  return JSON.parse(stdout)
}

/** Local and remote version of each line of `migration list`. */
async function listed(...args) {
  const { migrations } = await supabase('migration', 'list', ...args)
  return migrations.map(({ local, remote }) => [local, remote])
}

test('what the first start applied is listed as applied', async () => {
  assert.deepEqual(await listed(), [
    ['20240101000000', '20240101000000'],
    ['20240102000000', '20240102000000'],
  ])
  assert.deepEqual(await project.sql('select body from notes'), [{ body: 'seeded' }])
  assert.deepEqual(await project.sql("select rolcanlogin from pg_roles where rolname = 'reader'"), [{ rolcanlogin: false }])
})

test('a database URL is reached over TLS and without', async () => {
  const versions = await listed()
  assert.deepEqual(await listed(`--remote=${project.url}`), versions)
  assert.deepEqual(await listed(`--remote=${project.url}?sslmode=disable`), versions)
})

test('a new migration is listed, applied by migration up, and known to the next start', async () => {
  await supabase('migration', 'new', 'tags')
  const [file] = (await project.list('migrations')).filter((name) => name.endsWith('_tags.sql'))
  await project.write({
    [`migrations/${file}`]:
      "create table tags (name text primary key, \"a;b\" text default 'it''s; one');\n" +
      'create function public.first_tag() returns text language sql begin atomic select name from tags order by 1; end;\n',
  })
  const version = file.slice(0, 14)
  assert.deepEqual((await listed()).at(-1), [version, ''])

  await supabase('migration', 'up')
  assert.deepEqual((await listed()).at(-1), [version, version])
  assert.deepEqual(
    await project.sql('select name, statements[1] as first from supabase_migrations.schema_migrations where version = $1', [
      version,
    ]),
    [{ name: 'tags', first: "create table tags (name text primary key, \"a;b\" text default 'it''s; one')" }],
  )

  await project.monobase('stop')
  await project.monobase('start', '--detach')
  assert.deepEqual((await listed()).at(-1), [version, version])
  assert.deepEqual(await project.sql('select body from notes'), [{ body: 'seeded' }])
})

test('db push applies what is pending, and seeds that have not run', async () => {
  await project.write({ 'migrations/29990101000000_push.sql': 'create table pushed (id int);\n' })
  const { migrations } = await supabase('db', 'push', `--remote=${project.url}`, '--dry-run', '--yes')
  assert.match(JSON.stringify(migrations), /29990101000000_push\.sql/)
  assert.deepEqual((await listed()).at(-1), ['29990101000000', ''])
  await supabase('db', 'push', `--remote=${project.url}`, '--include-seed', '--yes')
  assert.deepEqual((await listed()).at(-1), ['29990101000000', '29990101000000'])
  // The first start recorded the seed under the path and hash that the command line looks for.
  assert.deepEqual(await project.sql('select path, length(hash) as length from supabase_migrations.seed_files'), [
    { path: 'supabase/seed.sql', length: 64 },
  ])
  assert.deepEqual(await project.sql('select count(*)::int from notes'), [{ count: 1 }])
})

test('migration repair edits the history', async () => {
  await supabase('migration', 'repair', '--status', 'reverted', '29990101000000', '--yes')
  assert.deepEqual((await listed()).at(-1), ['29990101000000', ''])
  await supabase('migration', 'repair', '--status', 'applied', '29990101000000', '--yes')
  assert.deepEqual((await listed()).at(-1), ['29990101000000', '29990101000000'])
})

test('a failing migration leaves nothing behind', async () => {
  await project.write({ 'migrations/29990102000000_bad.sql': 'create table half (id int);\nselect 1 / 0;\n' })
  const { code, stdout, stderr } = await project.supabase('migration', 'up')
  assert.notEqual(code, 0)
  assert.match(stdout + stderr, /division by zero/)
  assert.deepEqual(await project.sql("select to_regclass('public.half') as half"), [{ half: null }])
  assert.deepEqual((await listed()).at(-1), ['29990102000000', ''])
})

test('migration fetch writes the files that the history holds', async () => {
  await project.write({ 'migrations/29990102000000_bad.sql': 'select 1;\n' })
  const elsewhere = await createProject()
  try {
    await elsewhere.supabase('migration', 'fetch', `--remote=${project.url}`, '--yes')
    const files = await elsewhere.list('migrations')
    assert.deepEqual(files.slice(0, 2), ['20240101000000_notes.sql', '20240102000000_policy.sql'])
    assert.equal(
      await elsewhere.read('migrations/20240102000000_policy.sql'),
      "-- readers\nalter table notes enable row level security;\ncreate policy own on notes using (auth.role() = 'authenticated');\n",
    )
  } finally {
    await elsewhere.remove()
  }
})

test('db query runs as postgres', async () => {
  const { code, stdout, stderr } = await project.supabase('db', 'query', 'select current_user as me', '-o', 'json')
  assert.equal(code, 0, stderr)
  assert.match(stdout, /"me":\s*"postgres"/)
})

test('a project that the command line made starts as it is', async () => {
  const fresh = await createProject()
  try {
    await fresh.supabase('init', '--force')
    const made = await fresh.read('config.toml')
    const config = made
      .replace(/^port = 54321$/m, `port = ${fresh.apiPort}`)
      .replace(/^port = 54322$/m, `port = ${fresh.dbPort}`)
      .replace(/^port = 54324$/m, `port = ${fresh.mailPort}`)
    assert.notEqual(config, made)
    await fresh.write({ 'config.toml': config })
    await fresh.monobase('start', '--detach')
    assert.deepEqual(await fresh.sql('select 1 as one'), [{ one: 1 }])
  } finally {
    await fresh.remove()
  }
})

test('a first start that fails says where, and goes on when the file is mended', async () => {
  const broken = await createProject({
    'migrations/1_good.sql': 'create table good (id int);\n',
    'migrations/2_bad.sql': 'create table bad (\n  id nothing\n);\n',
  })
  try {
    await assert.rejects(broken.monobase('start', '--detach'), (error) => {
      assert.match(error.message, /2_bad\.sql: ERROR: type "nothing" does not exist \(SQLSTATE 42704\)\n/)
      assert.match(error.message, /\nAt statement: 0\ncreate table bad \(\n  id nothing\n     \^\n/)
      return true
    })
    await broken.write({ 'migrations/2_bad.sql': 'create table bad (id int);\n' })
    await broken.monobase('start', '--detach')
    assert.deepEqual(await broken.sql('select version from supabase_migrations.schema_migrations order by 1'), [
      { version: '1' },
      { version: '2' },
    ])
  } finally {
    await broken.remove()
  }
})
