// Notes on the command line. See README.md.
import { createClient } from '@supabase/supabase-js'
import WebSocket from 'ws'

const { API_URL, ANON_KEY, EMAIL, PASSWORD } = process.env
if (!API_URL || !ANON_KEY) fail('API_URL and ANON_KEY are not set: set -a; eval "$(monobase status -o env)"')
if (!EMAIL || !PASSWORD) fail('EMAIL and PASSWORD are not set')

const supabase = createClient(API_URL, ANON_KEY, {
  auth: { persistSession: false, autoRefreshToken: false },
  // Node.js has a WebSocket of its own from version 22 on.
  realtime: { transport: WebSocket },
})

const commands = { 'sign-up': signUp, add, list, share, remove }
const [name, ...words] = process.argv.slice(2)
if (!commands[name]) fail(`usage: node notes.js ${Object.keys(commands).join(' | ')}`)
if (name !== 'sign-up') must(await supabase.auth.signInWithPassword({ email: EMAIL, password: PASSWORD }))
await commands[name](words.join(' '))

async function signUp() {
  const { user } = must(await supabase.auth.signUp({ email: EMAIL, password: PASSWORD }))
  console.log(`${user.email} is signed up`)
}

async function add(body) {
  const note = must(await supabase.from('notes').insert({ body }).select('id').single())
  console.log(`note ${note.id}`)
}

async function list() {
  const notes = must(await supabase.from('notes').select('id, owner, body, shared').order('id'))
  const names = must(await supabase.from('profiles').select('id, name'))
  const nameOf = new Map(names.map(({ id, name }) => [id, name]))
  for (const note of notes) {
    console.log(`${note.id} ${nameOf.get(note.owner)}${note.shared ? ' (shared)' : ''}: ${note.body}`)
  }
}

async function share(id) {
  const changed = must(await supabase.from('notes').update({ shared: true }).eq('id', id).select('id'))
  // Row level security hides what is somebody else's: the update finds nothing.
  if (changed.length === 0) fail(`you have no note ${id}`)
}

async function remove(id) {
  const gone = must(await supabase.from('notes').delete().eq('id', id).select('id'))
  if (gone.length === 0) fail(`you have no note ${id}`)
}

/** The data of an answer; ends the program when it is an error. */
function must({ data, error }) {
  if (error) fail(error.message)
  return data
}

function fail(message) {
  console.error(`error: ${message}`)
  process.exit(1)
}
