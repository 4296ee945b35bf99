// Resumable uploads with the published client.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import * as tus from 'tus-js-client'
import { startBackend } from './lib/backend.js'

const MIB = 1 << 20

let backend

before(async () => {
  backend = await startBackend({ ephemeral: false })
  const { error } = await service().storage.createBucket('files', { public: false, fileSizeLimit: '30MB' })
  assert.equal(error, null)
})

after(() => backend?.stop())

const service = () => backend.client(backend.env.SERVICE_ROLE_KEY)
const endpoint = (path = '') => `${backend.env.API_URL}/storage/v1/upload/resumable${path}`
const bearer = () => ({ authorization: `Bearer ${backend.env.SERVICE_ROLE_KEY}` })

/** Uploads, and resolves with the upload when it has succeeded. */
function upload(body, name, options = {}) {
  const { bucketName = 'files', metadata = {}, headers = {}, begun, ...rest } = options
  return new Promise((resolve, reject) => {
    const upload = new tus.Upload(body, {
      endpoint: endpoint(),
      chunkSize: 6 * MIB,
      retryDelays: null,
      headers: { ...bearer(), ...headers },
      metadata: { bucketName, objectName: name, contentType: 'application/x-test', cacheControl: '60', ...metadata },
      onError: reject,
      onSuccess: () => resolve(upload),
      ...rest,
    })
    begun?.(upload)
    upload.start()
  })
}

async function download(name) {
  const { data, error } = await service().storage.from('files').download(name)
  if (error) throw error
  return Buffer.from(await data.arrayBuffer())
}

/** A request of the protocol by hand. */
function raw(method, url, headers = {}, body) {
  return fetch(url, { method, body, headers: { ...bearer(), 'tus-resumable': '1.0.0', ...headers } })
}

const metadata = (pairs) =>
  Object.entries(pairs)
    .map(([name, value]) => `${name} ${Buffer.from(value).toString('base64')}`)
    .join(',')

async function create(name, length, headers = {}) {
  const answer = await raw('POST', endpoint(), {
    'upload-length': String(length),
    'upload-metadata': metadata({ bucketName: 'files', objectName: name }),
    ...headers,
  })
  return { status: answer.status, url: answer.headers.get('location'), headers: answer.headers, text: await answer.text() }
}

const patch = (url, offset, body, headers = {}) =>
  raw('PATCH', url, { 'upload-offset': String(offset), 'content-type': 'application/offset+octet-stream', ...headers }, body)

test('a file arrives in chunks with its type, cache control and metadata', async () => {
  const body = randomBytes(13 * MIB)
  const done = await upload(body, 'a/file.bin', { metadata: { metadata: JSON.stringify({ colour: 'blue' }) } })
  assert.ok(done.url.startsWith(endpoint('/')), done.url)
  assert.deepEqual(await download('a/file.bin'), body)
  const { data } = await service().storage.from('files').info('a/file.bin')
  assert.deepEqual(
    [data.contentType, data.cacheControl, data.size, data.metadata],
    ['application/x-test', 'max-age=60', body.length, { colour: 'blue' }],
  )
})

test('data may come with the creation, and the length later', async () => {
  const body = randomBytes(1000)
  await upload(body, 'with-creation', { uploadDataDuringCreation: true })
  assert.deepEqual(await download('with-creation'), body)
  const begun = await raw('POST', endpoint(), {
    'upload-defer-length': '1',
    'upload-metadata': metadata({ bucketName: 'files', objectName: 'deferred' }),
  })
  const url = begun.headers.get('location')
  assert.equal((await patch(url, 0, 'abc')).headers.get('upload-offset'), '3')
  assert.equal((await raw('HEAD', url)).headers.get('upload-defer-length'), '1')
  assert.equal((await patch(url, 3, 'def', { 'upload-length': '6' })).headers.get('tus-complete'), '1')
  assert.equal(String(await download('deferred')), 'abcdef')
})

test('an upload goes on after the server was killed', async () => {
  const body = randomBytes(20 * MIB)
  const origin = backend.env.API_URL
  const interrupted = await new Promise((resolve, reject) => {
    upload(body, 'killed', {
      begun: (upload) => {
        upload.options.onChunkComplete = async () => {
          await upload.abort()
          resolve(upload)
        }
      },
    }).catch(reject)
  })
  const { rows } = await backend.sql('select pg_backend_pid() as pid')
  const parent = (pid) => Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1])
  process.kill(parent(parent(rows[0].pid)), 'SIGKILL')
  await sleep(500)
  await backend.restart()
  const uploadUrl = interrupted.url.replace(origin, backend.env.API_URL)
  const offset = Number((await raw('HEAD', uploadUrl)).headers.get('upload-offset'))
  assert.ok(offset >= 6 * MIB, `what was acknowledged is there: ${offset}`)
  await upload(body, 'killed', { uploadUrl })
  assert.deepEqual(await download('killed'), body)
})

test('bytes that arrived before the connection broke count', async () => {
  const { url } = await create('broken', 10)
  await new Promise((resolve) => {
    const request = http.request(url, {
      method: 'PATCH',
      headers: {
        ...bearer(),
        'tus-resumable': '1.0.0',
        'upload-offset': '0',
        'content-type': 'application/offset+octet-stream',
        'content-length': '10',
      },
    })
    request.on('error', resolve)
    request.write('01234')
    setTimeout(() => request.destroy(new Error('gone')), 200)
  })
  await sleep(200)
  assert.equal((await raw('HEAD', url)).headers.get('upload-offset'), '5')
  assert.equal((await patch(url, 5, '56789')).status, 204)
  assert.equal(String(await download('broken')), '0123456789')
})

test('the newest request wins, and no byte is taken twice', async () => {
  const { url } = await create('contended', 10)
  const stalled = http.request(url, {
    method: 'PATCH',
    headers: {
      ...bearer(),
      'tus-resumable': '1.0.0',
      'upload-offset': '0',
      'content-type': 'application/offset+octet-stream',
      'content-length': '10',
    },
  })
  const refused = new Promise((resolve) => stalled.on('response', (answer) => resolve(answer.statusCode)))
  stalled.on('error', () => {})
  stalled.write('0123')
  await sleep(300)
  assert.equal((await raw('HEAD', url)).headers.get('upload-offset'), '4')
  assert.equal(await refused, 400)
  assert.equal((await patch(url, 0, 'xxxx')).status, 409)
  assert.equal((await patch(url, 4, '456789')).status, 204)
  assert.equal(String(await download('contended')), '0123456789')
})

test('an upload that is taken back leaves nothing', async () => {
  const { url } = await create('terminated', 10)
  await patch(url, 0, '01234')
  assert.equal((await raw('DELETE', url)).status, 204)
  assert.equal((await raw('HEAD', url)).status, 404)
  const done = await create('finished', 3)
  await patch(done.url, 0, 'abc')
  const answer = await raw('DELETE', done.url, { 'x-upsert': 'true' })
  assert.deepEqual([answer.status, await answer.text()], [400, 'Cannot terminate an already completed upload'])
  assert.equal((await raw('HEAD', done.url)).headers.get('upload-offset'), '3')
})

test('an upload that nobody goes on with expires', async () => {
  const { url, headers } = await create('expired', 10)
  assert.ok(Date.parse(headers.get('upload-expires')) > Date.now())
  await backend.sql(`update _storage.uploads set expires_at = now() - interval '1 second' where key = 'expired'`)
  assert.equal((await raw('HEAD', url)).status, 410)
  assert.equal((await patch(url, 0, 'abc')).status, 410)
})

test('an object that is there is replaced only with x-upsert', async () => {
  await upload(Buffer.from('one'), 'replaced')
  const refused = await create('replaced', 3)
  assert.deepEqual([refused.status, refused.text], [409, 'The resource already exists'])
  await upload(Buffer.from('two'), 'replaced', { headers: { 'x-upsert': 'true' } })
  assert.equal(String(await download('replaced')), 'two')
})

test('limits hold at creation and while writing', async () => {
  const refused = await create('large', 31_000_000)
  assert.deepEqual([refused.status, refused.text], [413, 'Maximum size exceeded\n'])
  const { url } = await create('short', 3)
  assert.equal((await patch(url, 0, 'abcd')).status, 413)
  await service().storage.createBucket('images', { public: false, allowedMimeTypes: ['image/png'] })
  const typed = await raw('POST', endpoint(), {
    'upload-length': '3',
    'upload-metadata': metadata({ bucketName: 'images', objectName: 'untyped' }),
  })
  assert.deepEqual(
    [typed.status, await typed.text()],
    [415, 'mime type application/octet-stream is not supported'],
  )
})

test('policies are asked before a byte is taken', async () => {
  const answer = await fetch(endpoint(), {
    method: 'POST',
    headers: {
      authorization: `Bearer ${backend.env.ANON_KEY}`,
      'tus-resumable': '1.0.0',
      'upload-length': '3',
      'upload-metadata': metadata({ bucketName: 'files', objectName: 'forbidden' }),
    },
  })
  assert.deepEqual([answer.status, await answer.text()], [403, 'new row violates row-level security policy'])
})

test('an upload token stands for one object', async () => {
  const { data } = await service().storage.from('files').createSignedUploadUrl('signed/one')
  const body = randomBytes(7 * MIB)
  const headers = { 'x-signature': data.token, authorization: '' }
  await upload(body, 'signed/one', { endpoint: endpoint('/sign'), headers })
  assert.deepEqual(await download('signed/one'), body)
  const other = await raw('POST', endpoint('/sign'), {
    'x-signature': data.token,
    'upload-length': '3',
    'upload-metadata': metadata({ bucketName: 'files', objectName: 'signed/other' }),
  })
  assert.equal(other.status, 400)
})

test('the location is the address that a proxy answers at', async () => {
  const forwarded = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'files.example.com', 'x-forwarded-port': '443' }
  const { url } = await create('proxied', 3, forwarded)
  assert.ok(url.startsWith('https://files.example.com/storage/v1/upload/resumable/'), url)
})

test('what the protocol asks of a request', async () => {
  const options = await fetch(endpoint(), { method: 'OPTIONS' })
  assert.deepEqual(
    [options.status, options.headers.get('tus-version'), options.headers.get('tus-extension')],
    [204, '1.0.0', 'creation,creation-with-upload,creation-defer-length,termination,expiration'],
  )
  const bare = await fetch(endpoint(), { method: 'POST', headers: bearer() })
  assert.deepEqual([bare.status, await bare.text()], [412, 'Tus-Resumable Required\n'])
  const post = async (headers) => {
    const answer = await raw('POST', endpoint(), headers)
    return [answer.status, await answer.text()]
  }
  const named = metadata({ bucketName: 'files', objectName: 'k' })
  assert.deepEqual(await post({ 'upload-length': '3' }), [400, 'Metadata header is required'])
  assert.deepEqual(await post({ 'upload-metadata': named }), [
    400,
    'Upload-Length or Upload-Defer-Length header required\n',
  ])
  assert.deepEqual(await post({ 'upload-length': 'x', 'upload-metadata': named }), [400, 'Invalid upload-length\n'])
  const nowhere = metadata({ bucketName: 'nowhere', objectName: 'k' })
  assert.deepEqual(await post({ 'upload-length': '3', 'upload-metadata': nowhere }), [404, 'Bucket not found'])
  assert.equal((await raw('HEAD', endpoint('/bm93aGVyZS9rL3Y'))).status, 404)
})
