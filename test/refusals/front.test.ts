/** What the front refuses a browser and a client: each attempt has one thing wrong, and the right one beside it succeeds. */

import { deepEqual, equal, notEqual, ok } from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { FrontStage, isBack, newKey, otherResource, partsOf, redirect, resource } from '../fixtures/front-stage.ts'
import type { TokenReply } from '../fixtures/front-stage.ts'
import type { Visit } from '../fixtures/visitor.ts'

let stage: FrontStage
before(async () => {
  stage = await FrontStage.open()
})
after(() => stage.close())

const codeOf = ({ headers }: Pick<Visit, 'headers'>) => headers['doorward-code']
const told = ({ status, body }: TokenReply) => [status, body['error']]
const invalidGrant = [400, 'invalid_grant']

/** What came of a request to authorize: shown in the browser, or sent back to the client. */
async function authorized(change: Readonly<Record<string, string | undefined>>) {
  const flow = stage.flow()
  const visit = await flow.visitor.visit(stage.asked(flow, change))
  const back = typeof visit.headers['location'] === 'string' ? new URL(visit.headers['location']) : null
  return { visit, back, flow, error: back?.searchParams.get('error') ?? null }
}

const lastWord = { atProvider: () => stage.provider?.reached.length ?? 0 }

describe('where the answer goes', () => {
  const wrong = [
    'https://evil.test.example/cb',
    `${redirect}/`,
    `${redirect}?x=1`,
    `${redirect}#x`,
    redirect.replace('/cb', '/CB'),
    redirect.replace('client.', 'CLIENT.'),
    redirect.replace('https:', 'http:'),
    redirect.replace('https://', 'https://user@'),
    redirect.replace('/cb', '/x/../cb'),
    `${redirect}%00`,
    'https://other.test.example/cb',
    'http://localhost.evil.test.example/cb',
    'http://127.0.0.1:4711/other',
    'http://127.0.0.2:4711/cb',
    'javascript:alert(1)',
    '',
  ]
  for (const one of wrong)
    test(`a redirect to ${JSON.stringify(one)} is shown to the browser, and leads nowhere`, async () => {
      const before = lastWord.atProvider()
      const { visit } = await authorized({ redirect_uri: one })
      deepEqual([visit.status, codeOf(visit), visit.headers['location']], [400, 'client_unknown', undefined])
      equal(lastWord.atProvider(), before)
    })

  test('a client that nobody knows is shown to the browser, whatever redirect it names', async () => {
    for (const client_id of ['nobody', undefined, '', 'x'.repeat(600), 'https://client.test.example/metadata.json']) {
      const { visit } = await authorized({ client_id })
      deepEqual([visit.status, visit.headers['location']], [400, undefined], String(client_id))
    }
  })

  test('a parameter that comes twice, or is longer than any, is shown to the browser', async () => {
    const flow = stage.flow()
    for (const [name, value] of [
      ['redirect_uri', redirect],
      ['resource', resource],
      ['state', 'y'],
    ] as const) {
      const url = stage.asked(flow)
      url.searchParams.append(name, value)
      const visit = await flow.visitor.visit(url)
      deepEqual([visit.status, codeOf(visit), visit.headers['location']], [400, 'request_invalid', undefined], name)
    }
    const { visit } = await authorized({ scope: 'notes:read '.repeat(300) })
    deepEqual([visit.status, codeOf(visit)], [400, 'request_invalid'])
  })
})

describe('what is asked for', () => {
  const wrong: readonly (readonly [string, Readonly<Record<string, string | undefined>>, string])[] = [
    ['response_type token', { response_type: 'token' }, 'unsupported_response_type'],
    ['response_type code id_token', { response_type: 'code id_token' }, 'unsupported_response_type'],
    ['no response_type', { response_type: undefined }, 'invalid_request'],
    ['no PKCE', { code_challenge: undefined }, 'invalid_request'],
    ['PKCE by the method plain', { code_challenge_method: 'plain' }, 'invalid_request'],
    ['PKCE without a method, which is plain', { code_challenge_method: undefined }, 'invalid_request'],
    ['a challenge that is none', { code_challenge: 'short' }, 'invalid_request'],
    ['another resource', { resource: 'https://edge.test.example/mcp/unknown' }, 'invalid_target'],
    ['a resource with more to it', { resource: `${resource}/` }, 'invalid_target'],
    ['no resource', { resource: undefined }, 'invalid_target'],
    ['a scope of another resource', { scope: 'notes:read files:read' }, 'invalid_scope'],
    ['a scope that nobody knows', { scope: 'everything' }, 'invalid_scope'],
    ['a request object', { request: 'eyJ' }, 'invalid_request'],
    ['a request by reference', { request_uri: 'https://evil.test.example/' }, 'invalid_request'],
    ['another response mode', { response_mode: 'fragment' }, 'invalid_request'],
    ['a key that is none', { dpop_jkt: 'short' }, 'invalid_request'],
  ]
  for (const [what, change, error] of wrong)
    test(`${what} is told to the client, with its state and who says so`, async () => {
      const before = lastWord.atProvider()
      const { back, flow, error: got } = await authorized(change)
      deepEqual(
        [got, back?.searchParams.get('state'), back?.searchParams.get('iss')],
        [error, flow.state, stage.publicUrl],
      )
      equal(back?.searchParams.get('code'), null)
      equal(lastWord.atProvider(), before)
    })

  test('a state that is too long is told to the client, and not sent back', async () => {
    const { back, error } = await authorized({ state: 'x'.repeat(513) })
    deepEqual([error, back?.searchParams.get('state')], ['invalid_request', null])
    const whole = await authorized({ state: 'x'.repeat(512) })
    ok(whole.back !== null && whole.error === null)
  })
})

describe('whose browser it is', () => {
  /** The browser has signed in, and stands before `/callback`. */
  async function atCallback() {
    const flow = stage.flow()
    const stop = (url: URL) => url.pathname === '/callback'
    const { url } = await flow.visitor.agree(await flow.visitor.visit(stage.asked(flow)), 'ada', stop)
    equal(url.pathname, '/callback')
    return { flow, url }
  }

  test('an answer of the provider in another browser is refused, and still good in its own (login CSRF)', async () => {
    const { flow, url } = await atCallback()
    const other = await stage.visitor().visit(url)
    deepEqual([other.status, codeOf(other), other.headers['location']], [404, 'consent_unknown', undefined])
    equal((await flow.visitor.visit(url)).status, 200)
    const again = await flow.visitor.visit(url)
    deepEqual([again.status, codeOf(again)], [404, 'consent_unknown'])
  })

  test('an answer with the state of another sign-in of the same browser is refused', async () => {
    const { flow, url } = await atCallback()
    const second = stage.flow(flow.visitor)
    const begun = await flow.visitor.visit(stage.asked(second))
    const state = new URL(String(begun.headers['location'])).searchParams.get('state') ?? ''
    url.searchParams.set('state', state)
    const back = new URL(String((await flow.visitor.visit(url)).headers['location']))
    equal(isBack(back), true)
    deepEqual([back.searchParams.get('error'), back.searchParams.get('code')], ['server_error', null])
  })

  test('an answer that is of another issuer is refused (mix-up)', async () => {
    for (const iss of ['https://evil.test.example', undefined]) {
      const { flow, url } = await atCallback()
      if (iss === undefined) url.searchParams.delete('iss')
      else url.searchParams.set('iss', iss)
      const back = new URL(String((await flow.visitor.visit(url)).headers['location']))
      deepEqual([back.searchParams.get('error'), back.searchParams.get('code')], ['server_error', null], String(iss))
    }
  })

  test('a person who says no to the provider is sent back without a code', async () => {
    const { flow, url } = await atCallback()
    url.searchParams.delete('code')
    url.searchParams.set('error', 'access_denied')
    const back = new URL(String((await flow.visitor.visit(url)).headers['location']))
    deepEqual([back.searchParams.get('error'), back.searchParams.get('state')], ['access_denied', flow.state])
  })
})

describe('a provider that is away', () => {
  test('leaves the client without a code, and is told to it; the next sign-in is another one', async () => {
    const flow = stage.flow()
    const stop = (url: URL) => url.pathname === '/callback'
    const { url } = await flow.visitor.agree(await flow.visitor.visit(stage.asked(flow)), 'ada', stop)
    if (stage.provider !== null) stage.provider.down = true
    const back = new URL(String((await flow.visitor.visit(url)).headers['location']))
    ok(isBack(back))
    deepEqual([back.searchParams.get('code'), back.searchParams.get('state')], [null, flow.state])
    ok(back.searchParams.get('error') !== null)
    if (stage.provider !== null) stage.provider.down = false
    equal(codeOf(await flow.visitor.visit(url)), 'consent_unknown')
    notEqual((await stage.code('ada')).code, '')
  })
})

describe('the question', () => {
  async function asked() {
    const flow = stage.flow()
    const page = await stage.signIn(flow, 'grace', { redirect_uri: 'http://127.0.0.1:4711/cb' })
    const token = /name="token" value="([^"]+)"/.exec(page.body)?.[1] ?? ''
    notEqual(token, '')
    return { flow, page, form: { token, decision: 'allow' } }
  }

  test('cannot be framed, runs nothing, loads nothing and is kept nowhere', async () => {
    const { page } = await asked()
    const policy = String(page.headers['content-security-policy'])
    for (const part of ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"])
      ok(policy.includes(part), part)
    ok(!policy.includes('script-src') && !policy.includes('unsafe'))
    deepEqual([page.headers['cache-control'], page.headers['x-frame-options']], ['no-store', 'DENY'])
    ok(!/<script|onload|onclick/i.test(page.body))
    const cookie = String(page.headers['set-cookie'])
    for (const part of ['__Host-doorward-front-', 'Secure', 'HttpOnly', 'SameSite=Lax']) ok(cookie.includes(part), part)
  })

  const elsewhere: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ['from another origin', { origin: 'https://evil.test.example' }],
    ['from nowhere', { origin: 'null' }],
    ['across sites', { 'sec-fetch-site': 'cross-site' }],
  ]
  for (const [what, headers] of elsewhere)
    test(`an answer ${what} is refused, and the right one still counts (consent CSRF)`, async () => {
      const { flow, form } = await asked()
      const url = `${stage.publicUrl}/consent`
      const forged = await flow.visitor.visit(url, { form, headers })
      equal(forged.status, 403)
      equal((await flow.visitor.visit(url, { form })).status, 200)
    })

  test('an answer of another browser, with another token, twice or without a decision is refused', async () => {
    const { flow, form } = await asked()
    const url = `${stage.publicUrl}/consent`
    const other = await asked()
    const attempts = [
      await stage.visitor().visit(url, { form }),
      await other.flow.visitor.visit(url, { form }),
      await flow.visitor.visit(url, { form: { ...form, token: 'A'.repeat(43) } }),
      await flow.visitor.visit(url, { form: { token: form.token } }),
    ]
    for (const one of attempts) deepEqual([one.status, codeOf(one)], [404, 'consent_unknown'])
    equal((await flow.visitor.visit(url, { form })).status, 200)
    equal((await flow.visitor.visit(url, { form })).status, 404)
  })

  test('a person who says no leaves the client without a code', async () => {
    const { flow, page } = await asked()
    const back = await stage.answer(flow, page, 'deny')
    deepEqual([back.searchParams.get('error'), back.searchParams.get('code')], ['access_denied', null])
  })

  test('what a client is called is text, and nothing else', async () => {
    const { page } = await asked()
    ok(page.body.includes('127.0.0.1:4711'))
  })
})

describe('a code', () => {
  test('of another client, redirect, verifier or resource gives nothing, and is spent by it', async () => {
    const wrong: readonly (readonly [Readonly<Record<string, string>>, string])[] = [
      [{ client_id: 'other-client' }, 'invalid_grant'],
      [{ redirect_uri: 'http://127.0.0.1/cb' }, 'invalid_grant'],
      [{ redirect_uri: '' }, 'invalid_grant'],
      [{ code_verifier: 'v'.repeat(43) }, 'invalid_grant'],
      [{ code_verifier: '' }, 'invalid_grant'],
      [{ resource: otherResource }, 'invalid_target'],
      [{ code: 'A'.repeat(43) }, 'invalid_grant'],
    ]
    for (const [change, error] of wrong) {
      const held = await stage.code('ada')
      deepEqual(told(await stage.redeem(held, change)), [400, error], JSON.stringify(change))
      const after = await stage.redeem(held)
      if (change['code'] === undefined) deepEqual(told(after), invalidGrant, JSON.stringify(change))
      else equal(after.status, 200)
    }
  })

  test('that is used twice gives nothing more, and takes back what it gave', async () => {
    const held = await stage.code('ada')
    const first = await stage.redeem(held)
    equal(first.status, 200)
    deepEqual(told(await stage.redeem(held)), invalidGrant)
    deepEqual(told(await stage.refresh(first.body['refresh_token'])), invalidGrant)
    const [denied] = (await stage.entries('front-token')).filter((one) => one['by'] === 'code').slice(-1)
    const answer = await stage.authority.admin('GET /v1/revocations')
    ok(typeof denied?.['token'] === 'string' && answer.text.includes(denied['token']), answer.text)
    const [end] = (await stage.entries('front-end')).slice(-1)
    ok(typeof end?.['why'] === 'string' && end['why'].startsWith('a code was used twice'))
  })

  test('for a key that the client has named is for that key alone', async () => {
    const held = await stage.code('ada', stage.flow(), { dpop_jkt: 'A'.repeat(43) })
    deepEqual(told(await stage.redeem(held)), invalidGrant)
  })
})

describe('a refresh token', () => {
  async function tokens(person = 'ada') {
    const { body, status } = await stage.redeem(await stage.code(person))
    equal(status, 200, JSON.stringify(body))
    return body
  }

  test('that is used twice ends all that came of it, and its live tokens are denied', async () => {
    const first = await tokens()
    const second = await stage.refresh(first['refresh_token'])
    equal(second.status, 200)
    deepEqual(told(await stage.refresh(first['refresh_token'])), invalidGrant)
    deepEqual(told(await stage.refresh(second.body['refresh_token'])), invalidGrant)
    const status = await stage.authority.admin('GET /v1/status')
    ok(status.text.includes('front_reuse'), status.text.slice(0, 400))
  })

  test('of another client, without a proof or with that of another key gives nothing, and is not spent', async () => {
    const first = await tokens()
    const token = first['refresh_token']
    deepEqual(told(await stage.refresh(token, { client_id: 'other-client' })), invalidGrant)
    deepEqual(told(await stage.refresh(token, {}, newKey())), invalidGrant)
    deepEqual(told(await stage.refresh(token, {}, null)), invalidGrant)
    equal((await stage.refresh(token)).status, 200)
  })

  test('gives no more than was granted, and for no other resource', async () => {
    const first = await tokens()
    const token = first['refresh_token']
    deepEqual(told(await stage.refresh(token, { scope: 'notes:read notes:write' })), [400, 'invalid_scope'])
    deepEqual(told(await stage.refresh(token, { resource: otherResource })), [400, 'invalid_target'])
    const { body, status } = await stage.refresh(token)
    equal(status, 200)
    equal(partsOf(body['access_token'])[1]['aud'], resource)
  })

  test('that is no refresh token gives nothing', async () => {
    for (const text of ['', 'x', `${'A'.repeat(22)}.${'A'.repeat(43)}`, String((await tokens())['access_token'])])
      deepEqual(told(await stage.refresh(text)), invalidGrant)
  })

  test('ends with the denial of its person, and of its client, while others go on', async () => {
    const [ada, bob] = [await tokens('ada'), await tokens('bob')]
    await stage.authority.revoke({ subject: 'user', user: `${stage.provider?.url}#ada` })
    deepEqual(told(await stage.refresh(ada['refresh_token'])), invalidGrant)
    const next = await stage.refresh(bob['refresh_token'])
    equal(next.status, 200)
    await stage.authority.revoke({ subject: 'workload', id: 'spiffe://test.example/edge/claude' })
    deepEqual(told(await stage.refresh(next.body['refresh_token'])), invalidGrant)
    // What was issued within the second of a denial is denied, too.
    await sleep(2000)
    equal((await tokens('bob'))['token_type'], 'DPoP')
  })
})

describe('the token endpoint', () => {
  test('refuses no proof, a proof without our nonce, for another URL, and one that was used', async () => {
    const held = await stage.code('ada')
    const form = {
      grant_type: 'authorization_code',
      code: held.code,
      redirect_uri: redirect,
      code_verifier: held.flow.verifier,
      client_id: 'claude-client',
    }
    deepEqual(told(await stage.token(form, null)), [400, 'invalid_dpop_proof'])
    const without = await stage.post('/token', form, stage.key)
    deepEqual([...told(without), typeof without.headers['dpop-nonce']], [400, 'use_dpop_nonce', 'string'])
    equal((await stage.token(form)).status, 200)
  })

  test('refuses a credential of the client, another grant type, repeated parameters and other media types', async () => {
    const form = { grant_type: 'refresh_token', refresh_token: 'x', client_id: 'claude-client' }
    deepEqual(told(await stage.post('/token', { ...form, client_secret: 'x' })), [400, 'invalid_client'])
    const password = { ...form, grant_type: 'password' }
    deepEqual(told(await stage.post('/token', password)), [400, 'unsupported_grant_type'])
    const { client_id: _none, ...nobody } = form
    deepEqual(told(await stage.post('/token', nobody)), [400, 'invalid_client'])
    const visitor = stage.visitor()
    const url = `${stage.publicUrl}/token`
    const json = await visitor.visit(url, { form, headers: { 'content-type': 'application/json' } })
    equal(json.status, 400)
    equal((await visitor.visit(url)).status, 400)
    equal((await visitor.visit(`${stage.publicUrl}/v1/token`, { form })).status, 404)
  })
})

describe('time', () => {
  // Last: the clock of the authority is ahead from here on.
  test('a code ends after a minute', async () => {
    const [held, other] = [await stage.code('ada'), await stage.code('ada')]
    equal((await stage.redeem(other)).status, 200)
    stage.advance(61)
    deepEqual(told(await stage.redeem(held)), invalidGrant)
  })

  test('a refresh token ends eight hours after the sign-in, however often it was used', async () => {
    const { body } = await stage.redeem(await stage.code('ada'))
    const next = await stage.refresh(body['refresh_token'])
    equal(next.status, 200)
    stage.advance(stage.settings.refreshSeconds)
    const late = await stage.refresh(next.body['refresh_token'])
    deepEqual(told(late), invalidGrant)
  })
})
