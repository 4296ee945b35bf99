// Nothing that was acknowledged is lost, and everything works again, whoever dies.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { monobase, startBackend } from './lib/backend.js'

let backend

before(async () => {
  backend = await startBackend({ ephemeral: false })
  await backend.sql('create table public.ledger (id int primary key)')
  await backend.served('ledger')
})

after(() => backend?.stop())

const service = () => ({
  apikey: backend.env.SERVICE_ROLE_KEY,
  authorization: `Bearer ${backend.env.SERVICE_ROLE_KEY}`,
})

/** Adds a row; what came back. */
async function insert(id) {
  const answer = await fetch(`${backend.env.API_URL}/rest/v1/ledger`, {
    method: 'POST',
    headers: { ...service(), 'content-type': 'application/json' },
    body: JSON.stringify({ id }),
  })
  return { status: answer.status, retryAfter: answer.headers.get('retry-after'), body: await answer.text() }
}

const parentOf = (pid) => Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1])

/** PostgreSQL's first process: the parent of the one that serves our connection. */
async function postmaster() {
  const { rows } = await backend.sql('select pg_backend_pid() as pid')
  return parentOf(rows[0].pid)
}

const alive = (pid) => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))

test('when PostgreSQL is killed under load, requests get 503 meanwhile and nothing acknowledged is lost', async () => {
  const acknowledged = []
  const statuses = new Map()
  let next = 1
  let over = false
  const writers = Array.from({ length: 8 }, async () => {
    while (!over) {
      const id = next++
      const { status, retryAfter, body } = await insert(id)
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      if (status === 201) acknowledged.push(id)
      else {
        assert.equal(status, 503, body)
        assert.ok(Number(retryAfter) >= 0, 'a 503 says when to come back')
      }
    }
  })
  await sleep(300)
  const before = await postmaster()
  process.kill(before, 'SIGKILL')
  let recovered = false
  for (let i = 0; i < 300 && !recovered; i++) {
    await sleep(50)
    recovered = !alive(before) && (await insert(-1 - i)).status === 201
  }
  await sleep(300)
  over = true
  await Promise.all(writers)
  assert.ok(recovered, `never recovered: ${JSON.stringify([...statuses])}`)
  assert.notEqual(await postmaster(), before)
  const { rows } = await backend.sql('select id from ledger where id > 0')
  const kept = new Set(rows.map((row) => row.id))
  assert.deepEqual(acknowledged.filter((id) => !kept.has(id)), [])
  assert.ok(acknowledged.length > 10)
})

test('when the server is killed, PostgreSQL stops too, and a new start serves the same data', async () => {
  const id = 1_000_000
  assert.equal((await insert(id)).status, 201)
  const postgres = await postmaster()
  process.kill(parentOf(postgres), 'SIGKILL')
  for (let i = 0; i < 100 && alive(postgres); i++) await sleep(50)
  assert.equal(alive(postgres), false)
  await backend.restart()
  const { rows } = await backend.sql('select id from ledger where id = $1', [id])
  assert.deepEqual(rows, [{ id }])
  assert.equal((await insert(id + 1)).status, 201)
})

test('a second start in the same folder says that one is running and changes nothing', async () => {
  const before = await postmaster()
  const { stderr } = await monobase(backend.folder, 'start', '--detach', '--port', '0')
  assert.match(stderr, /already running/)
  assert.equal(await postmaster(), before)
})
