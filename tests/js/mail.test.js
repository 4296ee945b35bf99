// Every mail of auth, as an application's users receive it: caught, read, clicked and typed in.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startBackend } from './lib/backend.js'
import { click, forgetMails, mailTo } from './lib/mail.js'

let backend
const password = 'correct horse battery'

before(async () => {
  backend = await startBackend({
    prepare: async (folder) => {
      await mkdir(join(folder, 'supabase/templates'), { recursive: true })
      await writeFile(join(folder, 'supabase/templates/invite.html'), '<p>Dear {{ .Data.name }}, <a href="{{ .ConfirmationURL }}">come in</a></p>')
      await writeFile(
        join(folder, 'supabase/config.toml'),
        `project_id = "mails"
[auth]
site_url = "http://127.0.0.1:3000"
additional_redirect_urls = ["http://localhost:4000/**"]
[auth.email]
enable_confirmations = true
max_frequency = "1s"
[auth.email.template.invite]
subject = "{{ .Data.name }}, you are invited"
content_path = "./supabase/templates/invite.html"
`,
      )
    },
  })
})

after(() => backend?.stop())

const noError = ({ data, error }) => {
  assert.equal(error, null)
  return data
}

/** A user whose address is confirmed, signed in. */
async function confirmed(email) {
  const client = backend.client()
  noError(await client.auth.signUp({ email, password }))
  const { code } = await mailTo(backend, email)
  noError(await client.auth.verifyOtp({ email, token: code, type: 'signup' }))
  await forgetMails(backend)
  return client
}

test('a sign-up is confirmed by the link in its mail', async () => {
  const client = backend.client()
  const pending = noError(await client.auth.signUp({ email: 'ada@example.com', password, options: { emailRedirectTo: 'http://localhost:4000/welcome?from=mail' } }))
  assert.equal(pending.session, null)
  const early = await client.auth.signInWithPassword({ email: 'ada@example.com', password })
  assert.equal(early.error.code, 'email_not_confirmed')
  const mail = await mailTo(backend, 'ada@example.com')
  assert.equal(mail.subject, 'Confirm Your Email')
  assert.deepEqual(mail.from, { Name: 'Admin', Address: 'admin@email.com' })
  assert.match(mail.text, new RegExp(mail.code))
  const { target, fragment } = await click(mail.link)
  assert.equal(`${target.origin}${target.pathname}${target.search}`, 'http://localhost:4000/welcome?from=mail')
  const { user } = noError(await client.auth.getUser(fragment.get('access_token')))
  assert.equal(user.email, 'ada@example.com')
  noError(await client.auth.signInWithPassword({ email: 'ada@example.com', password }))
  const again = await fetch(mail.link, { redirect: 'manual' })
  assert.match(again.headers.get('location'), /error_code=otp_expired/)
})

test('a magic link and its code sign in', async () => {
  await confirmed('bob@example.com')
  const client = backend.client()
  noError(await client.auth.signInWithOtp({ email: 'bob@example.com' }))
  const first = await mailTo(backend, 'bob@example.com')
  assert.equal(first.subject, 'Your Magic Link')
  const { fragment } = await click(first.link)
  noError(await client.auth.setSession({ access_token: fragment.get('access_token'), refresh_token: fragment.get('refresh_token') }))
  await new Promise((resolve) => setTimeout(resolve, 1100))
  await forgetMails(backend)
  noError(await client.auth.signInWithOtp({ email: 'bob@example.com' }))
  const { code } = await mailTo(backend, 'bob@example.com')
  const { session } = noError(await backend.client().auth.verifyOtp({ email: 'bob@example.com', token: code, type: 'email' }))
  assert.equal(session.user.email, 'bob@example.com')
})

test('a forgotten password is replaced', async () => {
  await confirmed('carl@example.com')
  const client = backend.client()
  noError(await client.auth.resetPasswordForEmail('carl@example.com'))
  const mail = await mailTo(backend, 'carl@example.com')
  assert.equal(mail.subject, 'Reset Your Password')
  noError(await client.auth.verifyOtp({ email: 'carl@example.com', token: mail.code, type: 'recovery' }))
  noError(await client.auth.updateUser({ password: 'another horse' }))
  noError(await backend.client().auth.signInWithPassword({ email: 'carl@example.com', password: 'another horse' }))
})

test('a change of address needs both', async () => {
  const client = await confirmed('dora@example.com')
  noError(await client.auth.updateUser({ email: 'dora@example.org' }))
  const [old, fresh] = [await mailTo(backend, 'dora@example.com'), await mailTo(backend, 'dora@example.org')]
  assert.match(fresh.html, /from dora@example\.com to dora@example\.org/)
  const half = await click(old.link)
  assert.match(half.fragment.get('message'), /other email/)
  const { fragment } = await click(fresh.link)
  const { user } = noError(await client.auth.getUser(fragment.get('access_token')))
  assert.equal(user.email, 'dora@example.org')
})

test('an invitation has the project’s own words and lets in', async () => {
  const admin = backend.client(backend.env.SERVICE_ROLE_KEY)
  noError(await admin.auth.admin.inviteUserByEmail('eve@example.com', { data: { name: 'Eve <3' } }))
  const mail = await mailTo(backend, 'eve@example.com')
  assert.equal(mail.subject, 'Eve &lt;3, you are invited')
  assert.match(mail.html, /^<p>Dear Eve &lt;3, <a href=/)
  const { fragment } = await click(mail.link)
  assert.equal(fragment.get('type'), 'invite')
})

test('a template is read again when it changes', async () => {
  await writeFile(join(backend.folder, 'supabase/templates/invite.html'), '<p>New words, <a href="{{ .ConfirmationURL }}">come in</a></p>')
  const admin = backend.client(backend.env.SERVICE_ROLE_KEY)
  noError(await admin.auth.admin.inviteUserByEmail('fred@example.com', { data: {} }))
  assert.match((await mailTo(backend, 'fred@example.com')).html, /^<p>New words/)
})

test('reauthentication sends a nonce', async () => {
  const client = await confirmed('gina@example.com')
  noError(await client.auth.reauthenticate())
  const mail = await mailTo(backend, 'gina@example.com')
  assert.equal(mail.subject, 'Confirm reauthentication')
  noError(await client.auth.updateUser({ password: 'another horse', nonce: mail.code }))
})

test('a mail can be sent again, but not at once', async () => {
  const client = backend.client()
  noError(await client.auth.signUp({ email: 'hal@example.com', password }))
  const first = await mailTo(backend, 'hal@example.com')
  const early = await client.auth.resend({ type: 'signup', email: 'hal@example.com' })
  assert.equal(early.error?.code ?? 'over_email_send_rate_limit', 'over_email_send_rate_limit')
  await new Promise((resolve) => setTimeout(resolve, 1100))
  await forgetMails(backend)
  noError(await client.auth.resend({ type: 'signup', email: 'hal@example.com' }))
  const second = await mailTo(backend, 'hal@example.com')
  const stale = await client.auth.verifyOtp({ email: 'hal@example.com', token: first.code, type: 'signup' })
  if (first.code !== second.code) assert.equal(stale.error.code, 'otp_expired')
  noError(await client.auth.verifyOtp({ email: 'hal@example.com', token: second.code, type: 'signup' }))
})

test('a proof key exchanges the code that a mail’s link leads to', async () => {
  const storage = new Map()
  const client = backend.client(undefined, {
    auth: {
      flowType: 'pkce',
      persistSession: true,
      autoRefreshToken: false,
      storage: { getItem: (k) => storage.get(k) ?? null, setItem: (k, v) => storage.set(k, v), removeItem: (k) => storage.delete(k) },
    },
  })
  noError(await client.auth.signUp({ email: 'ines@example.com', password }))
  const { target } = await click((await mailTo(backend, 'ines@example.com')).link)
  const { session } = noError(await client.auth.exchangeCodeForSession(target.searchParams.get('code')))
  assert.equal(session.user.email, 'ines@example.com')
})

test('the catcher has a page, and an API for those who know its older one', async () => {
  const page = await (await fetch(backend.env.INBUCKET_URL)).text()
  assert.match(page, /<title>Mail<\/title>/)
  noError(await backend.client().auth.signUp({ email: 'joe@example.com', password }))
  await mailTo(backend, 'joe@example.com')
  const [mail] = await (await fetch(`${backend.env.INBUCKET_URL}/api/v1/mailbox/joe`)).json()
  assert.equal(mail.subject, 'Confirm Your Email')
})
