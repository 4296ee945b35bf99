// What a stranger can send to the front door, and the answer that each gets.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { connect } from 'node:net'
import { startBackend, signUp } from './lib/backend.js'

let backend

before(async () => {
  backend = await startBackend()
  await backend.sql('create table public.things (id int primary key)')
  await backend.served('things')
})

after(() => backend?.stop())

const get = (path, headers = {}) => fetch(`${backend.env.API_URL}${path}`, { headers })

function sign(claims, secret) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const head = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`
  return `${head}.${createHmac('sha256', secret).update(head).digest('base64url')}`
}

/** Sends raw bytes and resolves with all that comes back. */
function raw(bytes) {
  const { hostname, port } = new URL(backend.env.API_URL)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes))
    let answer = ''
    socket.on('data', (chunk) => (answer += chunk))
    socket.on('error', reject)
    socket.on('close', () => resolve(answer))
    socket.setTimeout(5000, () => socket.destroy())
  })
}

test('a request without a key is refused', async () => {
  const answer = await get('/rest/v1/things')
  assert.equal(answer.status, 401)
  assert.equal((await answer.json()).message, 'No API key found in request')
})

test('a wrong key is refused', async () => {
  const answer = await get('/rest/v1/things', { apikey: 'nonsense' })
  assert.equal(answer.status, 401)
  assert.equal((await answer.json()).message, 'Invalid authentication credentials')
})

test('an expired token is refused', async () => {
  const expired = sign({ role: 'authenticated', exp: 1 }, backend.env.JWT_SECRET)
  const answer = await get('/rest/v1/things', { apikey: backend.env.ANON_KEY, authorization: `Bearer ${expired}` })
  assert.equal(answer.status, 401)
  assert.deepEqual(await answer.json(), { code: 'PGRST303', details: null, hint: null, message: 'JWT expired' })
})

test('a token signed by somebody else is refused', async () => {
  const forged = sign({ role: 'service_role', exp: 4102444800 }, 'another secret that is long enough to be one')
  const answer = await get('/rest/v1/things', { apikey: backend.env.ANON_KEY, authorization: `Bearer ${forged}` })
  assert.equal(answer.status, 401)
  assert.equal((await answer.json()).code, 'PGRST301')
})

test('a token with a changed payload is refused', async () => {
  const { session } = await signUp(backend, 'eve@example.com')
  const [head, payload, signature] = session.access_token.split('.')
  const claims = JSON.parse(Buffer.from(payload, 'base64url'))
  const tampered = [head, Buffer.from(JSON.stringify({ ...claims, role: 'service_role' })).toString('base64url'), signature]
  const answer = await get('/rest/v1/things', {
    apikey: backend.env.ANON_KEY,
    authorization: `Bearer ${tampered.join('.')}`,
  })
  assert.equal(answer.status, 401)
})

test('an unknown path is answered in the gateway’s form', async () => {
  const answer = await get('/nowhere', { apikey: backend.env.ANON_KEY })
  assert.equal(answer.status, 404)
  assert.deepEqual(await answer.json(), { message: 'no Route matched with those values' })
})

test('invalid percent-encoding and UTF-8 are client errors', async () => {
  for (const path of ['/rest/v1/things?id=eq.%ff', '/rest/v1/%ff', '/rest/v1/things?select=%C3%28']) {
    const answer = await get(path, { apikey: backend.env.ANON_KEY })
    assert.ok(answer.status >= 400 && answer.status < 500, `${path} answered ${answer.status}`)
  }
})

test('a header block without end is refused', async () => {
  const answer = await raw(`GET /rest/v1/things HTTP/1.1\r\nhost: x\r\nx-filler: ${'a'.repeat(1 << 20)}\r\n\r\n`)
  assert.match(answer, /^HTTP\/1\.1 4(31|00|94)/)
})

test('a body with two lengths is refused', async () => {
  const answer = await raw(
    'POST /rest/v1/things HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n',
  )
  assert.ok(!answer.includes('200 OK'), answer)
  assert.match(answer, /^HTTP\/1\.1 4\d\d/)
})

test('a body that is not JSON is refused', async () => {
  const answer = await fetch(`${backend.env.API_URL}/rest/v1/things`, {
    method: 'POST',
    headers: { apikey: backend.env.SERVICE_ROLE_KEY, 'content-type': 'application/json' },
    body: '{"id":',
  })
  assert.equal(answer.status, 400)
  assert.equal((await answer.json()).code, 'PGRST102')
})

test('an unknown method is refused', async () => {
  const answer = await fetch(`${backend.env.API_URL}/rest/v1/things`, {
    method: 'PROPFIND',
    headers: { apikey: backend.env.ANON_KEY },
  })
  assert.equal(answer.status, 405)
})

test('a browser’s preflight is answered at the door', async () => {
  const answer = await fetch(`${backend.env.API_URL}/rest/v1/things`, {
    method: 'OPTIONS',
    headers: {
      origin: 'http://localhost:3000',
      'access-control-request-method': 'GET',
      'access-control-request-headers': 'apikey,x-client-info',
    },
  })
  assert.equal(answer.status, 200)
  assert.equal(answer.headers.get('access-control-allow-origin'), '*')
  assert.equal(answer.headers.get('access-control-allow-headers'), 'apikey,x-client-info')
})
