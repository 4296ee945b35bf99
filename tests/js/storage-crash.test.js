// Objects that were acknowledged are there, whole, whoever dies; what was not is not there at all.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { startBackend } from './lib/backend.js'

let backend

before(async () => {
  backend = await startBackend({ ephemeral: false })
  const { error } = await backend.client(backend.env.SERVICE_ROLE_KEY).storage.createBucket('b')
  assert.equal(error, null)
})

after(() => backend?.stop())

const object = (key) => `${backend.env.API_URL}/storage/v1/object/b/${key}`
const headers = () => ({ authorization: `Bearer ${backend.env.SERVICE_ROLE_KEY}` })
const parentOf = (pid) => Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1])
const alive = (pid) => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
const digest = (bytes) => createHash('md5').update(bytes).digest('hex')

async function postmaster() {
  const { rows } = await backend.sql('select pg_backend_pid() as pid')
  return parentOf(rows[0].pid)
}

/** Uploads, replaces and deletes until told to stop; what every key must hold, or that nobody can know. */
function writers(folder) {
  const known = new Map()
  const state = { over: false, known }
  state.ended = Promise.all(
    Array.from({ length: 6 }, async (_, writer) => {
      for (let step = 0; !state.over; step++) {
        const key = `${folder}/${writer}/${step % 10}`
        const deletes = step % 7 === 6 && known.get(key)
        const body = randomBytes(1 + ((step * 7919) % 300_000))
        const wanted = deletes ? null : digest(body)
        const before = known.get(key) ?? null
        known.set(key, [before, wanted].flat())
        try {
          const answer = await fetch(object(key), deletes ? { method: 'DELETE', headers: headers() } : { method: 'PUT', headers: headers(), body })
          await answer.arrayBuffer()
          if (answer.status === 200) known.set(key, [wanted])
          else await sleep(20)
        } catch {
          await sleep(20)
        }
      }
    }),
  )
  return state
}

async function check(known) {
  for (const [key, possible] of known) {
    const answer = await fetch(object(key), { headers: headers() })
    const body = Buffer.from(await answer.arrayBuffer())
    const found = answer.status === 200 ? digest(body) : null
    if (found === null) assert.match(body.toString(), /"Object not found"/, key)
    assert.ok(possible.includes(found), `${key}: ${found} is none of ${possible}`)
  }
}

test('when PostgreSQL is killed under load, no acknowledged object is lost and no row is without its blob', async () => {
  const state = writers('postgres')
  await sleep(700)
  const before = await postmaster()
  process.kill(before, 'SIGKILL')
  for (let i = 0; i < 200; i++) {
    await sleep(50)
    if (alive(before)) continue
    const answer = await fetch(object('probe'), { method: 'PUT', headers: headers(), body: 'x' }).catch(() => null)
    if (answer?.status === 200) break
  }
  await sleep(300)
  state.over = true
  await state.ended
  assert.ok(state.known.size > 10)
  await check(state.known)
})

test('when the server is killed under load, the same holds after a new start', async () => {
  const state = writers('server')
  await sleep(700)
  const postgres = await postmaster()
  process.kill(parentOf(postgres), 'SIGKILL')
  state.over = true
  for (let i = 0; i < 100 && alive(postgres); i++) await sleep(50)
  await state.ended
  await backend.restart()
  assert.ok(state.known.size > 10)
  await check(state.known)
})
