// A backend with the library of ../../library.sql, and whole answers to assert on.
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { startBackend } from './backend.js'

/** A running backend that serves the library; `library.from(…)` and `library.rpc(…)` ask it as `service_role`. */
export async function startLibrary() {
  const backend = await startBackend()
  await backend.sql(await readFile(new URL('../../library.sql', import.meta.url), 'utf8'))
  const client = backend.client(backend.env.SERVICE_ROLE_KEY)
  // The last statement of the file is heard last: whoever sees the new schema sees everything.
  for (let tries = 0; (await client.schema('archive').rpc('age')).data !== 99; tries++) {
    if (tries > 200) throw new Error('the library was never served')
    await sleep(20)
  }
  return Object.assign(backend, {
    service: client,
    from: (table) => client.from(table),
    rpc: (...call) => client.rpc(...call),
  })
}

/** What an application sees of an answer; the count only where one was asked for. */
export async function answer(request) {
  const { status, data, error, count } = await request
  if (error) return { status, error: { ...error } }
  return count === null ? { status, data } : { status, data, count }
}

/** The rows of an answer that must be one. */
export async function rows(request) {
  const { data, error } = await request
  if (error) throw new Error(`${error.code} ${error.message}`)
  return data
}
