// Buckets and objects with the published client.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { signUp, startBackend } from './lib/backend.js'

let backend, admin, ada

before(async () => {
  backend = await startBackend()
  admin = backend.client(backend.env.SERVICE_ROLE_KEY).storage
  await backend.sql(`
    create policy own on storage.objects for all to authenticated
      using (bucket_id = 'private' and (storage.foldername(name))[1] = auth.uid()::text)
      with check (bucket_id = 'private' and (storage.foldername(name))[1] = auth.uid()::text)`)
  await done(admin.createBucket('private'))
  await done(admin.createBucket('public', { public: true, fileSizeLimit: '1MB', allowedMimeTypes: ['text/*', 'image/png'] }))
  ada = await signUp(backend, 'ada@example.com')
})

after(() => backend?.stop())

async function done(promise) {
  const { data, error } = await promise
  assert.equal(error, null, error?.message)
  return data
}

test('buckets are listed, changed, emptied and deleted', async () => {
  await done(admin.createBucket('temporary', { public: false }))
  assert.deepEqual((await done(admin.listBuckets())).map(({ id }) => id).sort(), ['private', 'public', 'temporary'])
  await done(admin.updateBucket('temporary', { public: true, fileSizeLimit: 1000 }))
  const bucket = await done(admin.getBucket('temporary'))
  assert.deepEqual([bucket.public, bucket.file_size_limit], [true, 1000])
  await done(admin.from('temporary').upload('a/b.txt', 'x'))
  const { error } = await admin.deleteBucket('temporary')
  assert.equal(error.message, 'The bucket you tried to delete is not empty')
  await done(admin.emptyBucket('temporary'))
  await done(admin.deleteBucket('temporary'))
})

test('users have folders of their own', async () => {
  const mine = ada.client.storage.from('private')
  const path = `${ada.user.id}/notes/first draft.txt`
  const uploaded = await done(mine.upload(path, new Blob(['one two']), { contentType: 'text/plain', cacheControl: '60', metadata: { k: 'v' } }))
  assert.equal(uploaded.path, path)
  assert.equal(await (await done(mine.download(path))).text(), 'one two')
  assert.equal((await mine.upload(path, 'again')).error.message, 'The resource already exists')
  await done(mine.update(path, 'three', { contentType: 'text/plain' }))
  const info = await done(mine.info(path))
  assert.deepEqual([info.size, info.contentType, info.name], [5, 'text/plain', path])
  assert.equal((await done(mine.exists(path))), true)
  assert.equal((await mine.upload('elsewhere.txt', 'x')).error.message, 'new row violates row-level security policy')

  const bert = await signUp(backend, 'bert@example.com')
  const his = bert.client.storage.from('private')
  assert.equal((await his.download(path)).data, null)
  assert.deepEqual(await done(his.list(`${ada.user.id}/notes`)), [])

  await done(mine.copy(path, `${ada.user.id}/copy.txt`))
  await done(mine.move(`${ada.user.id}/copy.txt`, `${ada.user.id}/moved.txt`))
  const listed = await done(mine.list(ada.user.id))
  assert.deepEqual(listed.map(({ name, id }) => [name, id === null]), [['notes', true], ['moved.txt', false]])
  const removed = await done(mine.remove([`${ada.user.id}/moved.txt`, 'unknown']))
  assert.deepEqual(removed.map(({ name }) => name), [`${ada.user.id}/moved.txt`])
})

test('a public object has an address, with ranges and a name', async () => {
  const files = admin.from('public')
  await done(files.upload('héllo'.normalize('NFD').replace(/[^\x20-\x7e]/g, '') + '.txt', 'hello world', { contentType: 'text/plain', cacheControl: '3600' }))
  const { data } = files.getPublicUrl('hello.txt', { download: 'greeting.txt' })
  const whole = await fetch(data.publicUrl)
  assert.equal(await whole.text(), 'hello world')
  assert.equal(whole.headers.get('content-disposition'), "attachment; filename=greeting.txt; filename*=UTF-8''greeting.txt")
  assert.equal(whole.headers.get('cache-control'), 'max-age=3600')
  const part = await fetch(data.publicUrl, { headers: { range: 'bytes=6-' } })
  assert.deepEqual([part.status, part.headers.get('content-range'), await part.text()], [206, 'bytes 6-10/11', 'world'])
  const known = await fetch(data.publicUrl, { headers: { 'if-none-match': whole.headers.get('etag') } })
  assert.equal(known.status, 304)
  assert.match((await files.upload('page.pdf', 'x', { contentType: 'application/pdf' })).error.message, /mime type application\/pdf is not supported/)
  assert.match((await files.upload('big.txt', 'x'.repeat(1_000_001), { contentType: 'text/plain' })).error.message, /exceeded the maximum allowed size/)
})

test('signed addresses read and write without a session', async () => {
  const files = admin.from('private')
  await done(files.upload('shared/a & b.txt', 'shared', { contentType: 'text/plain' }))
  const { signedUrl } = await done(files.createSignedUrl('shared/a & b.txt', 60, { download: true }))
  const answer = await fetch(signedUrl)
  assert.deepEqual([await answer.text(), answer.headers.get('content-disposition')], ['shared', 'attachment;'])
  const many = await done(files.createSignedUrls(['shared/a & b.txt', 'none'], 60))
  assert.deepEqual(many.map(({ error }) => error !== null), [false, true])

  const grant = await done(files.createSignedUploadUrl('shared/up.txt'))
  const anonymous = backend.client().storage.from('private')
  await done(anonymous.uploadToSignedUrl(grant.path, grant.token, 'sent', { contentType: 'text/plain' }))
  assert.equal(await (await done(files.download('shared/up.txt'))).text(), 'sent')
  assert.equal((await anonymous.uploadToSignedUrl(grant.path, grant.token, 'again')).error.message, 'The resource already exists')
})

test('listings go page by page', async () => {
  const files = admin.from('private')
  for (const name of ['a', 'b', 'c/1', 'c/2', 'd']) await done(files.upload(`paged/${name}`, name))
  const seen = []
  let cursor
  do {
    const page = await done(files.listV2({ prefix: 'paged/', with_delimiter: true, limit: 2, cursor }))
    seen.push(...page.folders.map(({ name }) => name), ...page.objects.map(({ name }) => name))
    cursor = page.nextCursor
  } while (cursor)
  assert.deepEqual(seen.sort(), ['paged/a', 'paged/b', 'paged/c/', 'paged/d'])
  const second = await done(files.list('paged', { limit: 2, offset: 2, sortBy: { column: 'name', order: 'desc' } }))
  assert.deepEqual(second.map(({ name }) => name), ['b', 'a'])
})
