// Pictures of a bucket in other sizes and types, through the client's own transform options.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { startBackend } from './lib/backend.js'

let backend, service

/** A 24-bit bitmap, red on the left and blue on the right. */
function bitmap(width, height) {
  const stride = Math.ceil((width * 3) / 4) * 4
  const file = Buffer.alloc(54 + stride * height)
  file.write('BM')
  file.writeUInt32LE(file.length, 2)
  file.writeUInt32LE(54, 10)
  file.writeUInt32LE(40, 14)
  file.writeInt32LE(width, 18)
  file.writeInt32LE(height, 22)
  file.writeUInt16LE(1, 26)
  file.writeUInt16LE(24, 28)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) file[54 + y * stride + x * 3 + (x < width / 2 ? 2 : 0)] = 220
  return file
}

/** Type and size by the file's own header. */
async function measured(blob) {
  const bytes = Buffer.from(await blob.arrayBuffer())
  if (bytes[0] === 0xff && bytes[1] === 0xd8) {
    for (let at = 2; ; at += 2 + bytes.readUInt16BE(at + 2)) {
      const marker = bytes[at + 1]
      if (marker >= 0xc0 && marker <= 0xc2) return ['jpeg', bytes.readUInt16BE(at + 7), bytes.readUInt16BE(at + 5)]
    }
  }
  if (bytes.toString('latin1', 8, 12) === 'WEBP') {
    assert.equal(bytes.toString('latin1', 12, 16), 'VP8 ')
    return ['webp', bytes.readUInt16LE(26) & 0x3fff, bytes.readUInt16LE(28) & 0x3fff]
  }
  if (bytes.toString('latin1', 4, 12) === 'ftypavif') {
    const at = bytes.indexOf('ispe')
    return ['avif', bytes.readUInt32BE(at + 8), bytes.readUInt32BE(at + 12)]
  }
  throw new Error(`an unknown type: ${bytes.subarray(0, 16).toString('hex')}`)
}

before(async () => {
  backend = await startBackend()
  service = backend.client(backend.env.SERVICE_ROLE_KEY)
  for (const [name, open] of [['shown', true], ['hidden', false]]) {
    const { error } = await service.storage.createBucket(name, { public: open })
    assert.equal(error, null)
    const uploaded = await service.storage.from(name).upload('a b.bmp', bitmap(400, 200), { contentType: 'image/bmp' })
    assert.equal(uploaded.error, null)
  }
  await service.storage.from('shown').upload('text.txt', 'no picture', { contentType: 'text/plain' })
})

after(() => backend?.stop())

const at = (transform, name = 'a b.bmp') =>
  backend.client().storage.from('shown').getPublicUrl(name, { transform }).data.publicUrl

const get = (url, headers = {}) => fetch(url, { headers: { accept: '*/*', ...headers } })

test('a public picture comes in the asked size', async () => {
  const sizes = async (transform) => (await measured(await (await get(at(transform))).blob())).slice(1)
  assert.deepEqual(await sizes({ width: 100 }), [100, 50])
  assert.deepEqual(await sizes({ height: 50 }), [100, 50])
  assert.deepEqual(await sizes({ width: 100, height: 100 }), [100, 100])
  assert.deepEqual(await sizes({ width: 100, height: 100, resize: 'contain' }), [100, 50])
  assert.deepEqual(await sizes({ width: 100, height: 100, resize: 'fill' }), [100, 100])
  assert.deepEqual(await sizes({ width: 1000, height: 1000 }), [400, 200])
  assert.deepEqual(await sizes({ quality: 50 }), [400, 200])
})

test('the answer says what it is, and is not sent twice', async () => {
  const url = at({ width: 60, quality: 70 })
  const first = await get(url)
  assert.equal(first.headers.get('content-type'), 'image/jpeg')
  assert.equal(first.headers.get('x-transformations'), 'width:60,resizing_type:fill,quality:70')
  assert.equal(first.headers.get('cache-control'), 'max-age=3600')
  assert.match(first.headers.get('vary'), /Accept/)
  const etag = first.headers.get('etag')
  assert.equal((await get(url, { 'if-none-match': etag })).status, 304)
  assert.equal((await get(url, { 'if-none-match': etag, accept: 'image/webp' })).status, 200)
  assert.notEqual((await get(at({ width: 61, quality: 70 }))).headers.get('etag'), etag)
  const bytes = Buffer.from(await first.arrayBuffer())
  // Once made it comes from the store, the same to the byte.
  assert.deepEqual(Buffer.from(await (await get(url)).arrayBuffer()), bytes)
  const head = await fetch(url, { method: 'HEAD' })
  assert.deepEqual([head.status, Number(head.headers.get('content-length'))], [200, bytes.length])
})

test('the type follows Accept, unless one was asked for', async () => {
  const type = async (transform, accept) => (await measured(await (await get(at(transform), { accept })).blob()))[0]
  assert.equal(await type({ width: 50 }, 'image/avif,image/webp,*/*'), 'webp')
  assert.equal(await type({ width: 50, format: 'origin' }, 'image/avif,image/webp,*/*'), 'jpeg')
  const avif = await get(`${at({ width: 50 })}&format=avif`)
  assert.deepEqual(await measured(await avif.blob()), ['avif', 50, 25])
})

test('a hidden picture needs who may see it', async () => {
  const hidden = service.storage.from('hidden')
  const { data, error } = await hidden.download('a b.bmp', { transform: { width: 40 } })
  assert.equal(error, null)
  assert.deepEqual((await measured(data)).slice(1), [40, 20])
  const refused = await backend.client().storage.from('hidden').download('a b.bmp', { transform: { width: 40 } })
  assert.notEqual(refused.error, null)
  const looksAbsent = await get(at({ width: 40 }).replace('/shown/', '/hidden/'))
  assert.equal(looksAbsent.status, 400)
  assert.equal((await looksAbsent.json()).error, 'Bucket not found')
})

test('a signed picture is what was signed', async () => {
  const { data, error } = await service.storage
    .from('hidden')
    .createSignedUrl('a b.bmp', 60, { transform: { width: 30, height: 30, resize: 'contain' } })
  assert.equal(error, null)
  assert.match(data.signedUrl, /\/render\/image\/sign\/hidden\//)
  const signed = await get(`${data.signedUrl}&width=300`)
  assert.deepEqual((await measured(await signed.blob())).slice(1), [30, 15])
  assert.notEqual(signed.headers.get('expires'), null)
  const original = await get(data.signedUrl.replace('/render/image/sign/', '/object/sign/'))
  assert.equal((await original.json()).message, 'Invalid signature')
  const other = await get(data.signedUrl.replace('a%20b.bmp', 'c.bmp'))
  assert.equal((await other.json()).message, 'Invalid signature')
})

test('what is no picture, or no transformation, is refused in the words that clients know', async () => {
  const told = async (url) => {
    const answer = await get(url)
    const { statusCode, error, message } = await answer.json()
    return [answer.status, statusCode, error, message]
  }
  const invalid = [400, '422', 'InvalidRequest', 'Invalid source image']
  assert.deepEqual(await told(at({ width: 10 }, 'text.txt')), invalid)
  assert.equal((await told(at({ width: 10 }, 'none.png')))[2], 'not_found')
  assert.deepEqual((await told(`${at({ width: 10 })}&quality=101`)).slice(0, 2), [400, '400'])
  assert.deepEqual((await told(`${at({ width: 10 })}&resize=crop`)).slice(0, 2), [400, '400'])
})
