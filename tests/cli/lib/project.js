// A project in a folder of its own, with our binary and the published command line working on it.
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'

const binary = process.env.MONOBASE_BIN
if (!binary) throw new Error('MONOBASE_BIN must name the monobase binary')
const cli = fileURLToPath(new URL('../node_modules/supabase/dist/supabase.js', import.meta.url))

/** A project with the given files below `supabase/`; ports that are free now are in its configuration. */
export async function createProject(files = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'monobase-cli-'))
  const home = await mkdtemp(join(tmpdir(), 'monobase-cli-home-'))
  const [apiPort, dbPort, mailPort] = await freePorts(3)
  // Nothing of the caller's: no project's variables, and no programs but Node.js (no docker, psql, deno).
  const env = {
    HOME: home,
    PATH: dirname(process.execPath),
    SUPABASE_TELEMETRY_DISABLED: '1',
    DO_NOT_TRACK: '1',
    NO_COLOR: '1',
  }
  const project = {
    folder,
    apiPort,
    dbPort,
    mailPort,
    url: `postgresql://postgres:postgres@127.0.0.1:${dbPort}/postgres`,
    /** Runs `supabase ARGS…`; resolves with code, stdout and stderr, however it ends. */
    supabase: (...args) => run(process.execPath, [cli, '--agent', 'no', ...args], { cwd: folder, env }),
    /** Runs `monobase ARGS…`; rejects when it fails. */
    async monobase(...args) {
      const result = await run(binary, args, { cwd: folder, env: { ...process.env, HOME: home } })
      if (result.code !== 0) throw new Error(`monobase ${args.join(' ')}\n${result.stdout}\n${result.stderr}`)
      return result
    },
    async write(files) {
      for (const [file, content] of Object.entries(files)) {
        const path = join(folder, 'supabase', file)
        await mkdir(dirname(path), { recursive: true })
        await writeFile(path, content)
      }
    },
    read: (file) => readFile(join(folder, 'supabase', file), 'utf8'),
    list: (directory) => readdir(join(folder, 'supabase', directory)),
    /** The rows of a query as `postgres`. */
    async sql(text, values) {
      const client = new pg.Client({ connectionString: project.url })
      await client.connect()
      try {
        return (await client.query(text, values)).rows
      } finally {
        await client.end()
      }
    },
    async remove() {
      // It may not be running.
      await run(binary, ['stop'], { cwd: folder, env: { ...process.env, HOME: home } })
      await rm(folder, { recursive: true, force: true })
      await rm(home, { recursive: true, force: true })
    },
  }
  await project.write({
    'config.toml': `project_id = "cli"\n\n[api]\nport = ${apiPort}\n\n[db]\nport = ${dbPort}\n\n[local_smtp]\nport = ${mailPort}\n`,
    ...files,
  })
  return project
}

function run(program, args, options) {
  return new Promise((resolve, reject) => {
    const child = execFile(program, args, { ...options, timeout: 60_000 }, (error, stdout, stderr) => {
      if (error && typeof error.code !== 'number') return reject(error)
      resolve({ code: error?.code ?? 0, stdout, stderr })
    })
    // `migration new` takes the migration from there.
    child.stdin.end()
  })
}

/** Ports on which nothing listens, outside the range from which the system takes ports for outgoing connections. */
async function freePorts(count) {
  const ports = new Set()
  while (ports.size < count) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    const server = createServer()
    const free = await new Promise((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (free) {
      await new Promise((resolve) => server.close(resolve))
      ports.add(port)
    }
  }
  return [...ports]
}
