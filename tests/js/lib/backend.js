// Starts the real binary in an empty folder, once per test file, and stops it afterwards.
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { createClient } from '@supabase/supabase-js'
import WebSocket from 'ws'

const binary = process.env.MONOBASE_BIN
if (!binary) throw new Error('MONOBASE_BIN must name the monobase binary')

/** Runs `monobase ARGS…` in `cwd`; resolves with what it printed, rejects when it fails. */
export function monobase(cwd, ...args) {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk) => (stdout += chunk))
    child.stderr.on('data', (chunk) => (stderr += chunk))
    child.on('error', reject)
    child.on('close', (code) =>
      code === 0
        ? resolve({ stdout, stderr })
        : reject(new Error(`monobase ${args.join(' ')} ended with ${code}\n${stdout}\n${stderr}`)),
    )
  })
}

/** A running backend: its addresses and keys, a client maker and SQL access as `postgres`. */
export async function startBackend({ prepare, ephemeral = true } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'monobase-js-'))
  if (prepare) await prepare(folder)
  const backend = { folder, env: {}, stop, restart: start, sql, served, client }
  let pool

  async function start() {
    await monobase(folder, 'start', '--detach', '--port', '0', ...(ephemeral ? ['--ephemeral'] : []))
    backend.env = JSON.parse((await monobase(folder, 'status', '-o', 'json')).stdout)
    await pool?.end()
    pool = new pg.Pool({ connectionString: backend.env.DB_URL, max: 2 })
    // An idle connection may be cut off by a test that kills PostgreSQL.
    pool.on('error', () => {})
  }
  function sql(text, values) {
    return pool.query(text, values)
  }
  /** Waits until REST knows a table that was just made: it hears of it through a notification. */
  async function served(table) {
    for (let i = 0; i < 100; i++) {
      const { error } = await client(backend.env.SERVICE_ROLE_KEY).from(table).select().limit(0)
      if (!error) return
      if (error.code !== 'PGRST205') throw new Error(error.message)
      await sleep(20)
    }
    throw new Error(`${table} was never served`)
  }
  function client(key = backend.env.ANON_KEY, options = {}) {
    return createClient(backend.env.API_URL, key, {
      auth: { persistSession: false, autoRefreshToken: false },
      // Node.js 20 has no WebSocket of its own.
      realtime: { transport: WebSocket },
      ...options,
    })
  }
  async function stop() {
    await pool?.end()
    await monobase(folder, 'stop')
    await rm(folder, { recursive: true, force: true })
  }

  await start()
  return backend
}

/** A new user of `backend`, signed in: the client and the user. */
export async function signUp(backend, email, options) {
  const client = backend.client()
  const { data, error } = await client.auth.signUp({ email, password: 'correct horse battery', options })
  if (error) throw error
  return { client, user: data.user, session: data.session }
}
