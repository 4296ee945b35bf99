// Single sign-on by SAML with a provider that is not ours.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startBackend } from './lib/backend.js'
import { follow, startIdentityProvider } from './lib/identity-provider.js'

let backend, provider, registered

const root = () => backend.env.API_URL
const certificate = new URL('lib/localhost.crt', import.meta.url)
const asAdmin = () => ({ apikey: backend.env.SERVICE_ROLE_KEY, authorization: `Bearer ${backend.env.SERVICE_ROLE_KEY}` })

before(async () => {
  // The one authority that the backend trusts.
  process.env.SSL_CERT_FILE = fileURLToPath(certificate)
  // The company is on this machine, too.
  process.env.GOTRUE_EXTERNAL_ALLOW_PRIVATE_ADDRESSES = 'true'
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs1', format: 'der' },
  })
  backend = await startBackend({
    prepare: async (folder) => {
      await mkdir(join(folder, 'supabase'))
      await writeFile(
        join(folder, 'supabase/config.toml'),
        `[auth]\nsite_url = "https://app.example.com"\n[auth.saml]\nenabled = true\nprivate_key = "${privateKey.toString('base64')}"\n`,
      )
    },
  })
  // No key is needed here: providers have none.
  const metadata = await fetch(`${root()}/sso/saml/metadata`)
  assert.equal(metadata.status, 200)
  provider = await startIdentityProvider(await metadata.text(), { email: 'Ada@Example.com' })
  const answer = await admin('POST', '', { type: 'saml', metadata_xml: provider.metadata, domains: ['example.com'] })
  assert.equal(answer.status, 201)
  registered = await answer.json()
})

function admin(method, path, body) {
  return fetch(`${root()}/auth/v1/admin/sso/providers${path}`, {
    method,
    headers: { ...asAdmin(), 'content-type': 'application/json', 'x-supabase-api-version': '2024-01-01' },
    body: JSON.stringify(body),
  })
}

after(async () => {
  provider?.stop()
  await backend?.stop()
})

test('a company’s people sign in with its word', async () => {
  const client = backend.client()
  const { data, error } = await client.auth.signInWithSSO({
    domain: 'example.com',
    options: { redirectTo: 'https://app.example.com/welcome' },
  })
  assert.equal(error, null)
  const { status, location } = await follow(data.url)
  assert.equal(`${status} ${location.origin}${location.pathname}`, '302 https://app.example.com/welcome', location.href)
  const tokens = Object.fromEntries(new URLSearchParams(location.hash.slice(1)))
  const session = await client.auth.setSession(tokens)
  assert.equal(session.error, null)
  const { user } = session.data
  assert.equal(user.email, 'ada@example.com')
  assert.deepEqual(user.app_metadata, { provider: `sso:${registered.id}`, providers: [`sso:${registered.id}`] })
  assert.equal(user.identities[0].identity_data.iss, provider.entityId)
  const { data: level } = await client.auth.mfa.getAuthenticatorAssuranceLevel()
  assert.equal(level.currentAuthenticationMethods[0].method, 'sso/saml')
  const refreshed = await client.auth.refreshSession()
  assert.equal(refreshed.error, null)
})

test('so they do with a proof key', async () => {
  const client = backend.client(undefined, {
    auth: { flowType: 'pkce', persistSession: true, autoRefreshToken: false, storage: memory() },
  })
  const { data } = await client.auth.signInWithSSO({ providerId: registered.id })
  const { location } = await follow(data.url)
  const { data: session, error } = await client.auth.exchangeCodeForSession(location.searchParams.get('code'))
  assert.equal(error, null, location.href)
  assert.equal(session.user.email, 'ada@example.com')
  assert.equal((await backend.sql('select count(*)::int as n from auth.users')).rows[0].n, 1)
})

test('an answer lets in once', async () => {
  const { data } = await backend.client().auth.signInWithSSO({ domain: 'example.com' })
  const { post } = await follow(data.url)
  const again = await fetch(post.action, { method: 'POST', body: new URLSearchParams(post.fields), redirect: 'manual' })
  assert.equal(again.status, 303)
  assert.equal(new URL(again.headers.get('location')).searchParams.get('error_code'), 'saml_relay_state_not_found')
})

test('a domain that nobody registered is told', async () => {
  const { error } = await backend.client().auth.signInWithSSO({ domain: 'example.org' })
  assert.equal(error.code, 'sso_provider_not_found')
  assert.equal(error.message, 'No SSO provider assigned for this domain')
})

test('metadata is fetched from where the company publishes it', async () => {
  const key = await readFile(new URL('lib/localhost.key', import.meta.url))
  const site = createServer({ key, cert: await readFile(certificate) }, (request, response) => {
    const found = request.url === '/metadata'
    response.writeHead(found ? 200 : 404).end(found ? provider.metadata : '')
  })
  site.listen(0)
  await once(site, 'listening')
  const url = `https://localhost:${site.address().port}`
  try {
    const changed = await admin('PUT', `/${registered.id}`, { metadata_url: `${url}/metadata` })
    assert.equal(changed.status, 200)
    assert.equal((await changed.json()).saml.metadata_url, `${url}/metadata`)
    const missing = await admin('PUT', `/${registered.id}`, { metadata_url: `${url}/other` })
    assert.deepEqual(await missing.json(), {
      code: 'saml_metadata_fetch_failed',
      message: `HTTP 404 error fetching SAML Metadata from URL '${url}/other'`,
    })
    // What is a day old is fetched again when it is needed.
    await backend.sql(`update auth.saml_providers set metadata_xml = replace(metadata_xml, '<X509Certificate>', '<X509Certificate>AAAA'),
      updated_at = now() - interval '25 hours'`)
    const { data } = await backend.client().auth.signInWithSSO({ domain: 'example.com' })
    const { status, location } = await follow(data.url)
    assert.equal(status, 302, location.href)
    const { rows } = await backend.sql('select metadata_xml, updated_at > now() - interval \'1 hour\' as fresh from auth.saml_providers')
    assert.deepEqual(rows, [{ metadata_xml: provider.metadata, fresh: true }])
  } finally {
    site.close()
  }
})

function memory() {
  const items = new Map()
  return {
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, value) => void items.set(name, value),
    removeItem: (name) => void items.delete(name),
  }
}
