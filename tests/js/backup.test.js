// The steps of docs/backup.md, run as they stand there.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, rename } from 'node:fs/promises'
import { readFileSync, readlinkSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { signUp, startBackend } from './lib/backend.js'

const run = promisify(execFile)
const page = await readFile(new URL('../../docs/backup.md', import.meta.url), 'utf8')
const [whole, dump, restore] = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, steps]) => steps)

/** Where the running server's own programs are. */
async function engine(backend) {
  const { rows } = await backend.sql('select pg_backend_pid() as pid')
  const parent = /^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${rows[0].pid}/status`, 'utf8'))[1]
  return dirname(readlinkSync(`/proc/${parent}/exe`))
}

/** Runs steps in a project's folder; a started backend takes whatever ports are free. */
async function follow(steps, folder, programs) {
  const env = { ...process.env, PATH: [dirname(process.env.MONOBASE_BIN), programs, process.env.PATH].join(delimiter) }
  const anyPort = steps.replace('start --detach', 'start --detach --port 0')
  await run('bash', ['-euo', 'pipefail', '-c', anyPort], { cwd: folder, env })
}

const migration = `
  create table public.notes (id int primary key, text text);
  create policy "see" on storage.objects for select to anon using (bucket_id = 'b');`

test('a backup of rows and objects is restored into an empty project', async () => {
  const backend = await startBackend({ ephemeral: false })
  let restored
  try {
    const programs = await engine(backend)
    await backend.sql(migration)
    await backend.sql("insert into public.notes values (1, 'kept')")
    const { user } = await signUp(backend, 'ada@example.com')
    const admin = backend.client(backend.env.SERVICE_ROLE_KEY).storage
    assert.equal((await admin.createBucket('b')).error, null)
    assert.equal((await admin.from('b').upload('folder/a.txt', 'content')).error, null)

    await follow(dump, backend.folder, programs)
    // The project's migrations come first, then the rows.
    restored = await startBackend({
      ephemeral: false,
      prepare: (folder) => rename(join(backend.folder, 'backup'), join(folder, 'backup')),
    })
    await restored.sql(migration)
    await follow(restore, restored.folder, programs)
    await restored.served('notes')
    const { data } = await restored.client().storage.from('b').download('folder/a.txt')
    assert.equal(await data.text(), 'content')
    const { rows } = await restored.sql('select (select id from auth.users) as user, (select text from public.notes) as note')
    assert.deepEqual(rows, [{ user: user.id, note: 'kept' }])
    const folders = await restored.sql('select name from storage.prefixes')
    assert.deepEqual(folders.rows, [{ name: 'folder' }])
  } finally {
    await restored?.stop()
    await backend.stop()
  }
})

test('the folder itself is a backup when nothing runs', async () => {
  const backend = await startBackend({ ephemeral: false })
  try {
    const programs = await engine(backend)
    const admin = () => backend.client(backend.env.SERVICE_ROLE_KEY).storage
    assert.equal((await admin().createBucket('b')).error, null)
    assert.equal((await admin().from('b').upload('a.txt', 'content')).error, null)
    await follow(whole, backend.folder, programs)
    await follow('monobase stop; rm -rf .monobase; cp -a backup-whole .monobase', backend.folder, programs)
    await backend.restart()
    const { data } = await admin().from('b').download('a.txt')
    assert.equal(await data.text(), 'content')
  } finally {
    await backend.stop()
  }
})
