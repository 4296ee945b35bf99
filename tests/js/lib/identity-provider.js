// A company's identity provider: samlify behind a page of its own, with whoever is set as its one user.
import { createServer } from 'node:http'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import * as samlify from 'samlify'

const keys = new URL('../../../crates/auth/tests/it/saml/', import.meta.url)
const redirect = 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect'

// What arrives is checked by its signature here, and by its content in the tests.
samlify.setSchemaValidator({ validate: async () => 'accepted' })

/** Starts a provider; `service` is the metadata of whom it may answer. */
export async function startIdentityProvider(service, { email }) {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${server.address().port}`
  const provider = samlify.IdentityProvider({
    entityID: `${url}/metadata`,
    privateKey: await readFile(new URL('rsa.key', keys), 'utf8'),
    signingCert: await readFile(new URL('rsa.crt', keys), 'utf8'),
    wantAuthnRequestsSigned: true,
    nameIDFormat: ['urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress'],
    singleSignOnService: [{ Binding: redirect, Location: `${url}/sign-in` }],
  })
  const known = samlify.ServiceProvider({ metadata: service })

  async function signIn(search) {
    const query = Object.fromEntries(new URLSearchParams(search))
    // The signature is over the parameters as they were written.
    const octetString = search.slice(1).split('&Signature=')[0]
    const request = await provider.parseLoginRequest(known, 'redirect', { query, octetString })
    const answer = await provider.createLoginResponse(known, request, 'post', { email })
    const field = (name, value) => `<input type="hidden" name="${name}" value="${value}">`
    return `<form method="post" action="${answer.entityEndpoint}">${field('SAMLResponse', answer.context)}${field('RelayState', query.RelayState)}</form>`
  }
  server.on('request', async (request, response) => {
    const { pathname, search } = new URL(request.url, url)
    if (pathname !== '/sign-in') return response.writeHead(404).end()
    try {
      response.writeHead(200, { 'content-type': 'text/html' }).end(await signIn(search))
    } catch (error) {
      response.writeHead(500).end(String(error))
    }
  })
  return { entityId: `${url}/metadata`, metadata: provider.getMetadata(), stop: () => server.close() }
}

/** What a browser does with the provider's page: posts its form and says where that leads. */
export async function follow(address) {
  const page = await (await fetch(address)).text()
  const [, action] = page.match(/action="([^"]+)"/) ?? []
  if (!action) throw new Error(page)
  const fields = [...page.matchAll(/name="([^"]+)" value="([^"]*)"/g)].map(([, name, value]) => [name, value])
  const answer = await fetch(action, { method: 'POST', body: new URLSearchParams(fields), redirect: 'manual' })
  return { status: answer.status, location: new URL(answer.headers.get('location')), post: { action, fields } }
}
