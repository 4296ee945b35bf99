// Buckets that `supabase/config.toml` names.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { monobase, startBackend } from './lib/backend.js'

const CONFIG = `
[storage.buckets.album]
public = true
file_size_limit = "1MiB"
allowed_mime_types = ["text/*"]
objects_path = "./album"
`
let backend

const storage = () => backend.client(backend.env.SERVICE_ROLE_KEY).storage

async function prepare(folder) {
  await mkdir(join(folder, 'supabase/album/deep'), { recursive: true })
  await writeFile(join(folder, 'supabase/config.toml'), CONFIG)
  await writeFile(join(folder, 'supabase/album/a.txt'), 'hello')
  await writeFile(join(folder, 'supabase/album/deep/b.css'), 'b {}')
}

before(async () => {
  backend = await startBackend({ prepare, ephemeral: false })
})

after(() => backend?.stop())

test('a bucket that is missing is made as it is described, and filled', async () => {
  const { data: bucket } = await storage().getBucket('album')
  assert.deepEqual([bucket.public, bucket.file_size_limit, bucket.allowed_mime_types], [true, 1048576, ['text/*']])
  const { data } = storage().from('album').getPublicUrl('deep/b.css')
  const answer = await fetch(data.publicUrl)
  assert.deepEqual([answer.headers.get('content-type'), await answer.text()], ['text/css; charset=utf-8', 'b {}'])
})

test('a bucket that is there keeps what became of it, and others are made beside it', async () => {
  await storage().from('album').remove(['a.txt'])
  await storage().updateBucket('album', { public: false })
  await restartWith('\n[storage.buckets.later]\n')
  const { data: buckets } = await storage().listBuckets()
  assert.deepEqual(buckets.map((bucket) => [bucket.id, bucket.public]).sort(), [['album', false], ['later', false]])
  const { data: left } = await storage().from('album').list()
  assert.deepEqual(left.map((entry) => entry.name), ['deep'])
})

/** Restarts with more lines in the file. */
async function restartWith(lines) {
  await monobase(backend.folder, 'stop')
  await writeFile(join(backend.folder, 'supabase/config.toml'), CONFIG + lines)
  await backend.restart()
}
