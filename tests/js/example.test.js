// examples/notes as its README.md uses it.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { startBackend } from './lib/backend.js'

const example = join(import.meta.dirname, '../../examples/notes')
let backend
let program

before(async () => {
  // Beside this file, where its imports find the clients that are tested here.
  program = await mkdtemp(join(import.meta.dirname, '.example-'))
  await cp(join(example, 'notes.js'), join(program, 'notes.js'))
  backend = await startBackend({
    prepare: (folder) => cp(join(example, 'supabase'), join(folder, 'supabase'), { recursive: true }),
  })
})
after(async () => {
  await rm(program, { recursive: true, force: true })
  await backend?.stop()
})

/** What `node notes.js …` prints for a user; rejects with its error line when it fails. */
async function notes(name, ...words) {
  const { API_URL, ANON_KEY } = backend.env
  const env = { PATH: process.env.PATH, API_URL, ANON_KEY, EMAIL: `${name}@example.com`, PASSWORD: 'correct horse battery' }
  try {
    return (await promisify(execFile)(process.execPath, ['notes.js', ...words], { cwd: program, env })).stdout
  } catch ({ code, stderr }) {
    // The client warns of old versions of Node.js before it.
    throw new Error(`${code}: ${stderr.trimEnd().split('\n').at(-1)}`)
  }
}

test('notes are private until they are shared, and stay their owner’s', async () => {
  assert.equal(await notes('ada', 'sign-up'), 'ada@example.com is signed up\n')
  await notes('bob', 'sign-up')
  assert.equal(await notes('ada', 'add', 'buy', 'milk'), 'note 1\n')
  assert.equal(await notes('ada', 'add', 'tell Bob'), 'note 2\n')
  assert.equal(await notes('bob', 'list'), '')
  await notes('ada', 'share', '2')
  assert.equal(await notes('ada', 'list'), '1 ada: buy milk\n2 ada (shared): tell Bob\n')
  assert.equal(await notes('bob', 'list'), '2 ada (shared): tell Bob\n')
  await assert.rejects(notes('bob', 'remove', '2'), { message: '1: error: you have no note 2' })
  await notes('ada', 'remove', '2')
  assert.equal(await notes('ada', 'list'), '1 ada: buy milk\n')
})

test('a mistake of the user is one line', async () => {
  await assert.rejects(notes('eve', 'list'), { message: '1: error: Invalid login credentials' })
  await assert.rejects(notes('ada', 'add', ''), {
    message: '1: error: new row for relation "notes" violates check constraint "notes_body_check"',
  })
})
