// Places to sign in at that an administrator describes at run time.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { startBackend } from './lib/backend.js'

let backend, admin

// An address of documentation: public, and nobody's.
const site = 'https://192.0.2.1'
const forge = {
  provider_type: 'oauth2',
  identifier: 'custom:forge',
  name: 'Forge',
  client_id: 'our-client',
  client_secret: 'our-secret',
  authorization_url: `${site}/authorize`,
  token_url: `${site}/token`,
  userinfo_url: `${site}/user`,
  scopes: ['profile'],
  attribute_mapping: { sub: 'id' },
}

before(async () => {
  backend = await startBackend()
  admin = backend.client(backend.env.SERVICE_ROLE_KEY).auth.admin.customProviders
})

after(() => backend?.stop())

test('a provider is described, used, changed and removed', async () => {
  const { data: made, error } = await admin.createProvider(forge)
  assert.equal(error, null)
  assert.equal(made.identifier, 'custom:forge')
  assert.equal(made.pkce_enabled, true)
  assert.equal('client_secret' in made, false)
  const { data: listed } = await admin.listProviders({ type: 'oauth2' })
  assert.deepEqual(listed.providers, [made])
  assert.deepEqual((await admin.getProvider('custom:forge')).data, made)

  const options = { skipBrowserRedirect: true, redirectTo: 'http://127.0.0.1:3000/home' }
  const { data } = await backend.client().auth.signInWithOAuth({ provider: 'custom:forge', options })
  const answer = await fetch(data.url, { redirect: 'manual' })
  assert.equal(answer.status, 302)
  const page = new URL(answer.headers.get('location'))
  assert.equal(`${page.origin}${page.pathname}`, `${site}/authorize`)
  assert.equal(page.searchParams.get('redirect_uri'), `${backend.env.API_URL}/auth/v1/callback`)
  assert.equal(page.searchParams.get('code_challenge_method'), 'S256')
  assert.equal(page.searchParams.get('scope'), 'profile')

  const { data: changed } = await admin.updateProvider('custom:forge', { name: 'The Forge', enabled: false })
  assert.deepEqual([changed.name, changed.enabled], ['The Forge', false])
  assert.equal((await admin.deleteProvider('custom:forge')).error, null)
  assert.equal((await admin.getProvider('custom:forge')).error.code, 'custom_provider_not_found')
})

test('a provider cannot be at an address of this network', async () => {
  const { error } = await admin.createProvider({ ...forge, token_url: 'https://169.254.169.254/token' })
  assert.equal(error.code, 'validation_failed')
  assert.equal(error.message, 'URL cannot resolve to link-local addresses')
})

test('only an administrator describes providers', async () => {
  const { error } = await backend.client().auth.admin.customProviders.listProviders()
  assert.equal(error.status, 403)
})
