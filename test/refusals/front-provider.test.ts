/** What a provider can say of a sign-in that the front believes nothing of: the right one beside each attempt succeeds. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { recordOf } from '../fixtures/authority/running.ts'
import { FrontStage, isBack } from '../fixtures/front-stage.ts'
import { forged, keySet, platformKey } from '../fixtures/platform-issuer.ts'
import { ScriptedProvider } from '../fixtures/scripted-provider.ts'
import type { Script } from '../fixtures/scripted-provider.ts'

let provider: ScriptedProvider
let stage: FrontStage

before(async () => {
  provider = await ScriptedProvider.open()
  stage = await FrontStage.open({ people: provider })
})
after(async () => {
  await stage.close()
  await provider.close()
})

const now = () => Math.floor(Date.now() / 1000)
const foreignKey = platformKey('ES256', 'scripted-1')
/** Published, but not among the algorithms of the configuration. */
const strong = platformKey('ES384', 'scripted-384')

interface Refused {
  readonly count: number
  /** Of those that stand there one by one. */
  readonly explanations: readonly string[]
}

/** What is on the record of refusals with this code: one by one as long as the room for that lasts, and by number. */
async function recorded(code: string): Promise<Refused> {
  const entries = (await recordOf(stage.authority.authority.folders)).map(({ kind, body }) => ({ kind, ...body }))
  const said = entries as readonly Readonly<Record<string, unknown>>[]
  const counted = said.filter(({ kind, reason }) => kind === 'refusals' && reason === code)
  const explanations = said.flatMap((one) =>
    one['kind'] === 'decision' && one['code'] === code ? [String(one['explanation'])] : [],
  )
  return { count: counted.reduce((sum, { count }) => sum + Number(count), explanations.length), explanations }
}

/** Looks until it is so, half a minute at most. */
async function until(look: () => Promise<boolean>, what: string): Promise<void> {
  for (let turn = 0; turn < 300; turn++) {
    if (await look()) return
    await sleep(100)
  }
  ok(false, `not in time: ${what}`)
}

/** What the browser and the client have after a sign-in. */
async function outcome(script: Script) {
  const flow = stage.flow()
  const visit = await provider.signIn(stage, flow, script)
  const { location } = visit.headers
  const back = typeof location === 'string' ? new URL(location) : null
  ok(back === null || isBack(back), back?.href)
  return {
    asked: visit.body.includes('<form'),
    error: back?.searchParams.get('error') ?? null,
    code: back?.searchParams.get('code') ?? null,
    state: back?.searchParams.get('state') === flow.state,
    denial: visit.headers['doorward-code'],
  }
}

const nothing = { asked: false, error: 'server_error', code: null, state: true, denial: 'login_refused' }
const unavailable = { ...nothing, error: 'temporarily_unavailable', denial: 'consent_unavailable' }
const question = { asked: true, error: null, code: null, state: false, denial: undefined }

const wrong: readonly (readonly [what: string, script: () => Script])[] = [
  ['of another issuer', () => ({ claims: { iss: 'https://evil.test.example' } })],
  ['of our issuer with a slash', () => ({ claims: { iss: `${provider.url}/` } })],
  ['for another client', () => ({ claims: { aud: 'another' } })],
  ['for another client beside ours', () => ({ claims: { aud: ['doorward-front', 'another'] } })],
  ['that another client has asked for', () => ({ claims: { azp: 'another' } })],
  ['with the nonce of another sign-in', () => ({ claims: { nonce: 'A'.repeat(43) } })],
  ['without a nonce', () => ({ claims: { nonce: undefined } })],
  ['that has expired', () => ({ claims: { iat: now() - 200, exp: now() - 60 } })],
  ['that is old, though it has not expired', () => ({ claims: { iat: now() - 3600, exp: now() + 3600 } })],
  ['from the future', () => ({ claims: { iat: now() + 600, exp: now() + 900 } })],
  ['without an end', () => ({ claims: { exp: undefined } })],
  ['of nobody', () => ({ claims: { sub: undefined } })],
  ['signed by another key under the same id', () => ({ key: foreignKey })],
  ['signed by a key that nobody publishes', () => ({ key: platformKey('ES256', 'unknown') })],
  ['signed by nobody', () => ({ token: (claims) => forged(provider.key, claims, { alg: 'none' }) })],
  ['without a signature', () => ({ token: (claims) => forged(provider.key, claims).replace(/[^.]*$/, '') })],
  [
    'signed by our public key as a secret',
    () => ({ token: (claims) => forged(provider.key, claims, { alg: 'HS256' }) }),
  ],
  ['by an algorithm that is published and not configured', () => ({ key: strong })],
  ['with critical headers', () => ({ token: (claims) => forged(provider.key, claims, { crit: ['x'], x: 1 }) })],
  ['that brings its own key', () => ({ token: (claims) => forged(foreignKey, claims, { jwk: keySet(foreignKey) }) })],
  ['that is no token', () => ({ token: () => 'token' })],
]

// First: where its provider is, the front keeps for ten minutes once it has heard it.
describe('a provider that the front knows nothing of yet', () => {
  test('and that is gone leads nowhere, and is asked again by whoever comes next', async () => {
    provider.gone = true
    deepEqual(await outcome({}), unavailable)
    provider.gone = false
  })

  test('and that says it is another one is asked nothing more', async () => {
    provider.places = { issuer: 'https://evil.test.example' }
    const before = provider.reached.length
    deepEqual(await outcome({}), unavailable)
    deepEqual(provider.reached.slice(before), ['/.well-known/openid-configuration'])
  })

  test('and that sends people where nothing is encrypted sends nobody', async () => {
    for (const places of [
      { authorization_endpoint: provider.url.replace('https:', 'http:') },
      { token_endpoint: `${provider.url.replace('https:', 'http:')}/token` },
      { authorization_endpoint: 'javascript:alert(1)' },
    ]) {
      provider.places = places
      deepEqual(await outcome({}), unavailable, JSON.stringify(places))
    }
  })

  test('is asked for its keys, and lies about algorithms: what counts is the configuration', async () => {
    provider.places = { id_token_signing_alg_values_supported: ['none', 'HS256', 'ES384'] }
    provider.published = [provider.key, strong]
    deepEqual(await outcome({ token: (claims) => forged(provider.key, claims, { alg: 'none' }) }), nothing)
    deepEqual(await outcome({ token: (claims) => forged(provider.key, claims, { alg: 'HS256' }) }), nothing)
    deepEqual(await outcome({ key: strong }), nothing)
    deepEqual(await outcome({}), question)
  })
})

test('why a provider cannot be asked is on the record', async () => {
  const [gone, another] = ['issuer_unavailable', `issuer_document_invalid: expected issuer ${provider.url}`]
  await until(async () => {
    const { explanations } = await recorded('consent_unavailable')
    return [gone, another].every((why) => explanations.some((one) => one.includes(`cannot be asked: ${why}`)))
  }, 'the reasons on the record')
})

describe('an ID token', () => {
  test('that is right leads to the question', async () => {
    deepEqual(await outcome({}), question)
  })

  for (const [what, script] of wrong)
    test(`${what} is refused`, async () => {
      deepEqual(await outcome(script()), nothing)
    })

  test('that nobody gives, and a provider that says no, give nothing', async () => {
    for (const answer of [
      { status: 200, body: '{}' },
      { status: 200, body: 'no JSON' },
      { status: 200, body: '{"id_token":"a.b.c","id_token":"d.e.f"}' },
      { status: 400, body: '{"error":"invalid_grant"}' },
      { status: 302, body: '' },
    ])
      deepEqual(await outcome({ answer }), nothing, JSON.stringify(answer))
  })

  test('each refusal is on the record, and nobody has signed in by one', async () => {
    const refused = wrong.length + 5 + 3
    await until(async () => (await recorded('login_refused')).count >= refused, 'the refusals on the record')
    const { count, explanations } = await recorded('login_refused')
    equal(count, refused)
    ok(explanations.length > 0 && explanations.every((one) => one.startsWith('claude: the sign-in failed: ')))
    ok(explanations.every((one) => !one.includes('code-') && !one.includes('eyJ')))
    equal((await stage.entries('front-sign-in')).length, 2)
    equal((await stage.entries('front-token')).length, 0)
  })
})

describe('a provider that has answered before', () => {
  test('and never does again leaves the client without a code, and says that it is away', async () => {
    deepEqual(await outcome({ answer: 'never' }), unavailable)
    deepEqual(await outcome({}), question)
  })

  test('and is gone when the person comes back has signed nobody in, and that sign-in is over', async () => {
    const flow = stage.flow()
    const sent = await flow.visitor.visit(stage.asked(flow))
    const back = provider.back(stage, new URL(String(sent.headers['location'])), { person: 'ada' })
    provider.gone = true
    const { headers } = await flow.visitor.visit(back)
    equal(new URL(String(headers['location'])).searchParams.get('error'), 'temporarily_unavailable')
    provider.gone = false
    equal((await flow.visitor.visit(back)).headers['doorward-code'], 'consent_unknown')
    deepEqual(await outcome({}), question)
  })

  test('and replaces its key is believed by the new one, and no longer by the old one', async (t) => {
    const old = provider.key
    provider.key = platformKey('ES256', 'scripted-2')
    provider.published = [provider.key]
    // For a key that nobody knows it is asked again after half a minute, which passes for everybody.
    for (const clock of [performance, Date]) {
      const real = clock.now.bind(clock)
      t.mock.method(clock, 'now', () => real() + 31_000)
    }
    // An authority that has heard nothing for so long looks at its own state first.
    await until(async () => (await outcome({})).asked, 'a sign-in by the new key')
    deepEqual(await outcome({ key: old }), nothing)
  })
})
