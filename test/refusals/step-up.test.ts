/**
 * A server that demands more scopes than a person has granted: the person is asked for them within what configuration allows, once,
 * and what is not allowed is asked of nobody. And a client that nobody has registered: known by the document that the edge has of it.
 * Both providers are real.
 */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { request } from 'node:https'
import { after, before, beforeEach, describe, test } from 'node:test'
import { clientSecret, GrantsStage } from '../fixtures/grants-stage.ts'

describe('more scopes than were granted', () => {
  let stage: GrantsStage

  before(async () => {
    stage = await GrantsStage.open({ stepUp: ['notes.write'] })
  })
  after(() => stage.close())
  beforeEach(async () => {
    stage.time.ahead = 0
    for (const grant of stage.people.grants.list()) await stage.people.grants.end(grant, 'operator')
  })

  const call = (tool: string) => stage.call('ada', stage.agent, tool)
  const codeOf = async (tool: string) => (await call(tool)).headers['doorward-code']
  const linkIn = (text: string) => /https:\/\/\S+\/consent\/[A-Za-z0-9_-]{43}/.exec(text)?.[0]
  const scopes = () => stage.people.grants.list()[0]?.scopes
  const outcome = async () => (await stage.gateway.entries('outcome')).at(-1)?.body['code']

  test('the person is asked for what the server demands, and calls that need less go on meanwhile', async () => {
    await stage.grant('ada')
    deepEqual(scopes(), ['notes.read'])
    equal(await codeOf('x'), 'allowed')
    const answer = await call('write')
    deepEqual([answer.headers['doorward-code'], await outcome()], ['consent_needed', 'consent_needed'])
    const link = linkIn(answer.body)
    ok(link !== undefined, answer.text)
    equal(await codeOf('x'), 'allowed', 'the narrower token is still there')
    const visitor = stage.visitor()
    match((await visitor.visit(link)).body, /asks for more than before: notes\.read, notes\.write/)
    equal((await stage.grant('ada', visitor, link)).status, 200)
    deepEqual(new Set(scopes()), new Set(['notes.read', 'notes.write']))
    equal(await codeOf('write'), 'allowed')
    equal(stage.people.grants.list().length, 1)
  })

  test('what configuration does not allow is asked of nobody', async () => {
    await stage.grant('ada')
    const { authorizations } = asked()
    const answer = await call('administer')
    deepEqual([answer.headers['doorward-code'], await outcome()], ['credential_withheld', 'credential_withheld'])
    equal(linkIn(answer.body), undefined)
    equal(asked().authorizations, authorizations)
    deepEqual(scopes(), ['notes.read'])
  })

  test('what was asked for once is kept when the tokens are refreshed, and in the file', async () => {
    await stage.grant('ada')
    await stage.grant('ada', stage.visitor(), linkIn((await call('write')).body))
    stage.time.ahead = 3590
    equal(await codeOf('write'), 'allowed')
    deepEqual(new Set(stage.people.grants.list()[0]?.asked), new Set(['notes.read', 'notes.write']))
  })

  test('a server that is not content with what it demanded has nobody asked again, but for an hour later', async () => {
    await stage.grant('ada')
    const first = await call('greedy')
    equal(first.headers['doorward-code'], 'consent_needed')
    await stage.grant('ada', stage.visitor(), linkIn(first.body))
    for (let times = 0; times < 3; times++) equal(await codeOf('greedy'), 'credential_refused')
    stage.time.ahead = 3601
    equal(await codeOf('greedy'), 'consent_needed')
  })

  /** Of the browser at the provider. */
  function asked() {
    return { authorizations: stage.guard.reached.filter(({ path }) => path.startsWith('/auth')).length }
  }
})

test('without step_up the refusal is the server’s own', async () => {
  const stage = await GrantsStage.open()
  try {
    await stage.grant('ada')
    const { status, headers } = await stage.call('ada', stage.agent, 'write')
    deepEqual([status, headers['doorward-code'], headers['www-authenticate']], [403, 'allowed', undefined])
  } finally {
    await stage.close()
  }
})

describe('a client that is known by its document', () => {
  const fetched: string[] = []
  /** As the provider fetches it: by the certificate of the edge. */
  const fetchOf = (ca: string) => (url: string | URL) => {
    fetched.push(String(url))
    return new Promise<Response>((resolve, reject) => {
      const sent = request(url, { ca, agent: false }, (answer) => {
        let text = ''
        answer.setEncoding('utf8').on('data', (part: string) => (text += part))
        answer.on('end', () =>
          resolve(
            new Response(text, { status: answer.statusCode ?? 0, headers: { 'content-type': 'application/json' } }),
          ),
        )
      })
      sent.on('error', reject)
      sent.end()
    })
  }
  const own = { clientId: null, clientSecret: null }
  let stage: GrantsStage

  before(async () => {
    stage = await GrantsStage.open(own, (_publicUrl, ca) => ({
      clients: [],
      fetch: fetchOf(ca),
      features: { clientIdMetadataDocument: { enabled: true, ack: 'draft-02' } },
      clientDefaults: { id_token_signed_response_alg: 'ES256' },
    }))
  })
  after(() => stage.close())

  test('the authorization server reads it at the edge, and the person grants it as any other', async () => {
    const page = await stage.grant('ada')
    equal(page.status, 200, page.body + stage.guard.errors.join())
    deepEqual(new Set(fetched), new Set([`${stage.publicUrl}/consent/client`]))
    equal((await stage.call('ada')).headers['doorward-code'], 'allowed')
    const asked = stage.guard.reached
      .filter(({ path }) => path === '/token')
      .map(({ body }) => new URLSearchParams(body))
    deepEqual(new Set(asked.map((form) => form.get('client_id'))), new Set([`${stage.publicUrl}/consent/client`]))
    ok(asked.every((form) => form.get('code_verifier') !== null && form.get('client_secret') === null))
  })

  test('the document says where answers go and nothing secret, and takes no other method', async () => {
    const visitor = stage.visitor()
    const page = await visitor.visit(`${stage.publicUrl}/consent/client`)
    deepEqual(JSON.parse(page.body), {
      client_id: `${stage.publicUrl}/consent/client`,
      client_name: `Doorward at ${new URL(stage.publicUrl).host}`,
      redirect_uris: [`${stage.publicUrl}/consent/callback`],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    })
    ok(!page.body.includes(clientSecret))
    const posted = await visitor.visit(`${stage.publicUrl}/consent/client`, { form: {} })
    equal(posted.headers['doorward-code'], 'http_method')
  })

  test('an authorization server that reads no documents is not asked, and one with a registered client has none to read', async () => {
    const plain = await GrantsStage.open(own)
    try {
      const page = await plain.grant('ada')
      equal(page.headers['doorward-code'], 'consent_unavailable')
      equal(
        plain.guard.reached.some(({ path }) => path.startsWith('/auth')),
        false,
      )
      equal(plain.people.grants.list().length, 0)
    } finally {
      await plain.close()
    }
    const registered = await GrantsStage.open()
    try {
      const page = await registered.visitor().visit(`${registered.publicUrl}/consent/client`)
      equal(page.headers['doorward-code'], 'path_unknown')
    } finally {
      await registered.close()
    }
  })
})
