/**
 * Tokens in the names of callers, exchanged at a real provider: each for one caller alone, kept while it is good, gone with the
 * caller, and no call without. Nothing of what a caller has shown goes to server or provider.
 */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { epochSeconds, parseSpiffeId } from '@doorward/core'
import type { Principal } from '@doorward/core'
import { exchangedSubject } from '../../packages/server/src/apps/credentials/exchanged-subject.ts'
import type { TokenExchangeSettings } from '../../packages/server/src/config/secret-settings.ts'
import {
  exchangeGrant,
  exchangeSecret,
  ExchangeStage,
  gatewayName,
  newKey,
  people,
} from '../fixtures/exchange-stage.ts'
import { resource } from '../fixtures/grants-stage.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'

let stage: ExchangeStage

before(async () => {
  stage = await ExchangeStage.open()
})
after(() => stage.close())

const open = (change: Partial<TokenExchangeSettings> = {}) => stage.begin(change)

const codeOf = async (answer: Promise<RawAnswer>) => (await answer).headers['doorward-code']
const authorizations = () => new Set(stage.sent().map(({ headers }) => headers['authorization']))

/** Refused with the code, and on record with it; nothing reached the server. */
async function refused(answer: Promise<RawAnswer>, code: string): Promise<void> {
  const before = stage.sent().length
  const { headers, text } = await answer
  equal(headers['doorward-code'], code, text)
  equal(stage.sent().length, before)
  ok(!text.includes('canary'))
  equal((await stage.gateway.entries('outcome')).at(-1)?.body['code'], code)
}

test('a call goes with a token for its person, its server and its scopes, and for nobody else', async () => {
  await open()
  const [one, other] = [await stage.call('ada'), await stage.call('bob')]
  match(one.text, /for ada: \[redacted\]/)
  match(other.text, /for bob: \[redacted\]/)
  equal((await stage.call('ada')).headers['doorward-code'], 'allowed')
  equal(stage.exchanges.length, 2, 'one of each person')
  equal(authorizations().size, 2)
  const { claims, params } = stage.exchanges[0]!
  deepEqual([claims.iss, claims.sub, claims['act']], [gatewayName, 'ada', { sub: stage.agent.id.uri }])
  ok((claims.exp ?? 0) - (claims.iat ?? 0) <= 60)
  deepEqual(
    [params['grant_type'], params['resource'], params['scope'], params['requested_token_type']],
    [exchangeGrant, resource, 'notes.read', 'urn:ietf:params:oauth:token-type:access_token'],
  )
})

test('another agent for the same person has a token of its own', async () => {
  await open()
  const other = await stage.gateway.trust.issue('agent/writer', { roles: ['all'] })
  equal(await codeOf(stage.call('ada')), 'allowed')
  equal(await codeOf(stage.call('ada', { as: other })), 'allowed')
  deepEqual(
    stage.exchanges.map(({ claims }) => (claims['act'] as { sub: string }).sub),
    [stage.agent.id.uri, other.id.uri],
  )
})

test('who acts is said in order, the one at the connection first, and each line has a key of its own', () => {
  const ada: Principal['subject'] = { kind: 'user', issuer: people, subject: 'ada', groups: [] }
  const [middle, other] = ['middle', 'other'].map((name) => parseSpiffeId(`spiffe://test.example/agent/${name}`))
  const of = (act: Principal['act']) =>
    exchangedSubject({ ...principalOf(ada), act }, { people, workloads: false }, 'x')
  const [direct, through, elsewhere] = [of([]), of([middle!]), of([other!])]
  ok(!('code' in direct) && !('code' in through) && !('code' in elsewhere))
  deepEqual(through.act, { sub: 'spiffe://test.example/agent/planner', act: { sub: middle!.uri } })
  deepEqual(through.parties, [`${people}#ada`, 'spiffe://test.example/agent/planner', middle!.uri])
  equal(new Set([direct.key, through.key, elsewhere.key]).size, 3)
})

test('for whom nothing may be said nothing is asked: workloads, and people of another issuer', async () => {
  await open()
  equal(await codeOf(stage.call('ada')), 'allowed')
  const asked = stage.asked().length
  await refused(stage.call(null), 'credential_user_needed')
  const { trust } = stage.gateway
  trust.apply()
  const stranger: Principal['subject'] = { kind: 'user', issuer: 'https://evil.example', subject: 'ada', groups: [] }
  const settings = { people, workloads: true }
  const found = exchangedSubject(principalOf(stranger), settings, 'notes')
  equal('code' in found && found.code, 'credential_withheld')
  equal(stage.asked().length, asked)
})

test('workloads have tokens where the configuration says so, under their own ids', async () => {
  await open({ workloads: true, people: null })
  equal(await codeOf(stage.call(null)), 'allowed')
  const { claims } = stage.exchanges[0]!
  deepEqual([claims.sub, claims['act']], [stage.agent.id.uri, undefined])
  await refused(stage.call('ada'), 'credential_withheld')
})

test('however many calls wait, one question is asked', async () => {
  await open()
  const answers = await Promise.all(Array.from({ length: 10 }, () => stage.call('ada')))
  deepEqual(new Set(answers.map(({ headers }) => headers['doorward-code'])), new Set(['allowed']))
  equal(stage.exchanges.length, 1)
})

test('a token is not used at the end of its life', async () => {
  await open()
  stage.mood.expiresIn = 3
  equal(await codeOf(stage.call('ada')), 'allowed')
  await sleep(3000)
  equal(await codeOf(stage.call('ada')), 'allowed')
  deepEqual([stage.exchanges.length, stage.sent().length], [2, 2])
})

test('a token that its server refuses is replaced once, and not with every call', async () => {
  await open()
  await stage.call('ada')
  await sleep(1000)
  const [first] = authorizations()
  stage.refusedTokens.add(first!.replace('Bearer ', ''))
  equal(await codeOf(stage.call('ada')), 'allowed')
  const second = [...authorizations()].at(-1)!
  stage.refusedTokens.add(second.replace('Bearer ', ''))
  equal(await codeOf(stage.call('ada')), 'credential_refused')
  equal(stage.exchanges.length, 2)
})

test('whom the provider gives no token is refused, and nobody else', async () => {
  await open()
  stage.mood.refused.add('ada')
  await refused(stage.call('ada'), 'credential_withheld')
  await refused(stage.call('ada'), 'credential_withheld')
  equal(stage.exchanges.length, 1, 'it is not asked by every call')
  equal(await codeOf(stage.call('bob')), 'allowed')
  await open()
  stage.mood.refused.add('ada')
  stage.mood.refusal = 'InvalidRequest'
  await refused(stage.call('ada'), 'credential_withheld')
  await open()
  stage.mood.refused.add('ada')
  stage.mood.refusal = 'InvalidScope'
  await refused(stage.call('ada'), 'credential_unavailable')
  equal(await codeOf(stage.call('bob')), 'allowed', 'whatever it says of one, it is asked for others')
})

test('with the provider down, slow or answering with something else, nothing is sent', async () => {
  await open()
  equal(await codeOf(stage.call('bob')), 'allowed')
  stage.provider.down = true
  await refused(stage.call('ada'), 'credential_unavailable')
  equal(await codeOf(stage.call('bob')), 'allowed', 'a token that is there goes on')
  stage.provider.down = false
  await sleep(1000)
  stage.mood.issuedType = 'urn:ietf:params:oauth:token-type:refresh_token'
  await refused(stage.call('ada'), 'credential_unavailable')
  stage.mood.issuedType = 'urn:ietf:params:oauth:token-type:access_token'
  await sleep(1000)
  let go: () => void = () => undefined
  stage.mood.wait = new Promise<void>((resolve) => (go = resolve))
  await refused(stage.call('ada'), 'credential_unavailable')
  go()
  await sleep(1000)
  equal(await codeOf(stage.call('ada')), 'allowed')
})

test('with another key or another secret of the client there is no token, from the next call on', async () => {
  await open()
  equal(await codeOf(stage.call('ada')), 'allowed')
  await stage.secrets.put('key', newKey())
  await refused(stage.call('ada'), 'credential_withheld')
  await stage.secrets.put('key', 'canary-no-key')
  await refused(stage.call('ada'), 'credential_unavailable')
  await sleep(1000)
  await stage.secrets.put('client', 'canary-wrong')
  await refused(stage.call('ada'), 'credential_unavailable')
})

test('a person who is denied has no token any more, and the provider is told', () => denied('person'))

test('an agent that is denied has no token any more for anybody', () => denied('agent'))

async function denied(who: 'person' | 'agent'): Promise<void> {
  await open()
  equal(await codeOf(stage.call('ada')), 'allowed')
  equal(await codeOf(stage.call('bob')), 'allowed')
  const [token = ''] = [...authorizations()].map((text) => text?.replace('Bearer ', ''))
  deny(who === 'person' ? `${people}#ada` : stage.agent.id.uri)
  const gone = who === 'person' ? ['done'] : ['done', 'done']
  await until(() => stage.events('token.revoked').length === gone.length)
  deepEqual(
    stage.events('token.revoked').map(({ at_provider: told }) => told),
    gone,
  )
  equal(await stage.provider.provider.AccessToken.find(token), undefined)
  const asked = stage.asked().length
  equal(await codeOf(stage.call('ada')), 'identity_denied')
  equal(stage.asked().length, asked)
}

test('a person who is denied while a token is asked for gets none of it', async () => {
  await open()
  let go: () => void = () => undefined
  stage.mood.wait = new Promise<void>((resolve) => (go = resolve))
  const call = stage.call('ada')
  await until(() => stage.exchanges.length === 1)
  deny(`${people}#ada`)
  go()
  equal((await call).headers['doorward-code'] === 'allowed', false)
  await until(() => stage.events('token.revoked').length === 1)
  equal(stage.sent().length, 0)
})

test('tokens go back when their server is taken away or changed, also one that is asked for, and nothing goes with it', async () => {
  await open()
  equal(await codeOf(stage.call('ada')), 'allowed')
  equal(await codeOf(stage.call('bob')), 'allowed')
  const tokens = [...authorizations()].map((text) => text?.replace('Bearer ', '') ?? '')
  equal(tokens.length, 2)
  let go: () => void = () => undefined
  stage.mood.wait = new Promise<void>((resolve) => (go = resolve))
  const helper = await stage.gateway.trust.issue('agent/helper', { roles: ['all'] })
  const call = stage.call('ada', { as: helper })
  await until(() => stage.exchanges.length === 3)
  const sent = stage.sent().length
  const told = () => stage.events('token.revoked').map(({ at_provider: one }) => one)
  const ended = stage.secrets.end()
  await until(() => told().length === 2)
  for (const token of tokens) equal(await stage.provider.provider.AccessToken.find(token), undefined)
  go()
  await ended
  deepEqual(told(), ['done', 'done', 'done'], 'whoever ends waits for what is under way')
  equal(await codeOf(call), 'credential_unavailable')
  equal(await codeOf(stage.call('ada')), 'credential_unavailable')
  deepEqual([stage.sent().length, stage.exchanges.length], [sent, 3])
})

test('a provider that cannot be reached keeps no reload waiting, and the record says what it was not told', async () => {
  await open()
  equal(await codeOf(stage.call('ada')), 'allowed')
  stage.provider.down = true
  await stage.secrets.end()
  const [revoked, ...more] = stage.events('token.revoked')
  equal(more.length, 0)
  equal(typeof revoked?.['at_provider'], 'string')
  ok(revoked?.['at_provider'] !== 'done')
})

test('a token that is not there when its server has been gone for a while is on record as one that nobody took back', async (t) => {
  await open()
  const { secrets } = stage.secrets
  let go: () => void = () => undefined
  const durable = new Promise<void>((resolve) => (go = resolve))
  const { mock } = t.mock.method(secrets, 'recordOwnUse', () => durable)
  const call = stage.call('ada')
  await until(() => mock.callCount() === 1)
  await stage.secrets.end()
  deepEqual(
    stage.events('token.revoked').map(({ token, at_provider: told }) => [token, told]),
    [[null, 'not told: it took too long']],
  )
  go()
  equal(await codeOf(call), 'credential_unavailable')
  await until(() => stage.events('token.revoked').length === 2)
  deepEqual(stage.events('token.revoked').at(-1)?.['at_provider'], 'done')
})

test('what the gateway asks the server for itself is asked in nobody’s name', async () => {
  await open({ own: 'own' })
  equal(await codeOf(stage.call('ada')), 'allowed')
  const asked = stage.asked().length
  const own = await stage.late.credential?.fields({ principal: null })
  equal(own !== undefined && 'fields' in own && own.fields['authorization'], 'Bearer canary-of-its-own')
  await open()
  deepEqual(await stage.late.credential?.fields({ principal: null }), { fields: {}, use: {} })
  ok(asked >= stage.asked().length)
})

test('a question for a token is on record before it is asked; values are in no entry, and nothing shown goes on', async () => {
  await open()
  await stage.call('ada')
  const uses = stage.events('secret.use').filter((one) => one['for'] === 'token')
  deepEqual(
    uses.map(({ secret, subject }) => [secret, subject]),
    [['client', `${stage.agent.id.uri} for ${people}#ada`]],
  )
  const outcome = (await stage.gateway.entries('outcome')).at(-1)?.body
  match(JSON.stringify(outcome?.['credentials']), /"secret":"client".*"token":1/)
  const [token = ''] = [...authorizations()].map((text) => text?.replace('Bearer ', ''))
  const told = JSON.stringify([stage.gateway.record.entries, stage.secrets.uses])
  for (const secret of [exchangeSecret, token, 'PRIVATE KEY']) ok(secret !== '' && !told.includes(secret))
  const onward = JSON.stringify([stage.server.reached, stage.provider.reached])
  ok(!onward.includes(stage.agent.certificate.fingerprint) && !onward.includes('"dpop"'))
  for (const { headers } of stage.server.reached) ok(!(headers['authorization'] ?? '').includes('eyJ'))
})

function deny(id: string, before = Math.floor(Date.now() / 1000) + 60): void {
  const { trust } = stage.gateway
  trust.denied.identities.push({ id, issuedBefore: epochSeconds(before) })
  trust.apply()
}

function principalOf(subject: Principal['subject']): Principal {
  const presenter = parseSpiffeId('spiffe://test.example/agent/planner')
  return {
    subject,
    presenter,
    act: [],
    roles: [],
    epoch: 1,
    strength: 'mtls-bound-token',
    certificateFingerprint: '',
    certificateSerial: '',
    tokenId: null,
    expires: epochSeconds(0),
  }
}

async function until(holds: () => boolean): Promise<void> {
  const end = Date.now() + 20_000
  while (!holds()) {
    if (Date.now() > end) throw new Error('it did not come about')
    await sleep(10)
  }
}

test('by the clock of the trust state a token is younger than a denial or older, whatever the machine says', async () => {
  await open()
  const { trust } = stage.gateway
  const at = Math.floor(Date.now() / 1000)
  const principal = principalOf({ kind: 'user', issuer: people, subject: 'ada', groups: [] })
  const code = async () => {
    const found = await stage.late.credential?.fields({ principal })
    return found !== undefined && 'code' in found ? found.code : 'sent'
  }
  deny(`${people}#ada`, at + 10)
  equal(await code(), 'credential_withheld')
  trust.holder.confirm(epochSeconds(at + 20))
  equal(await code(), 'sent')
})
