/** Chains of exchanges by chance (reference ids DX-3 … DX-5): whatever is asked in whichever order, nothing gets wider, longer or stays unseen. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { epochSeconds, scopeCovers, toSeconds } from '@doorward/core'
import type { Action, Resource } from '@doorward/core'
import { importP256 } from '@doorward/sdk'
import { exchangeDelegated } from '../../../packages/server/src/authority/exchange-chain.ts'
import { exchangeToken } from '../../../packages/server/src/authority/exchange-token.ts'
import type { MintedToken, TokenDependencies } from '../../../packages/server/src/authority/exchange-token.ts'
import { publishedKeys } from '../../../packages/server/src/authority/published-keys.ts'
import { isAuthorityRefusal } from '../../../packages/server/src/authority/refusal.ts'
import type { AuthorityRefusal } from '../../../packages/server/src/authority/refusal.ts'
import { issuer, sharedGround, trustDomain } from '../../fixtures/authority/one-store.ts'
import type { SharedGround } from '../../fixtures/authority/one-store.ts'
import { seeded } from '../../fuzz/chance.ts'

const CHAINS = 120
const STEPS = 7
const agents = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => `spiffe://${trustDomain}/agent/${name}`)
const audienceOf = (id: string) => `https://${id.slice(-1)}.test.example`
const fingerprintOf = (id: string) => id.slice(-1).repeat(42) + 'A'
const gateway = 'https://gateway.test.example/mcp/files'
const scopes = [
  ['*'],
  ['read'],
  ['read:files/*'],
  ['read:files/a*', 'tools/call:mail/send'],
  ['read:files/ab'],
  ['write:files/*'],
  ['tools/call:files/*'],
  ['tools/call:files/a*'],
  ['tools/call:mail/*'],
]
const refusals = ['exchange_audience', 'exchange_actor', 'exchange_loop', 'exchange_depth', 'scope_widened']

interface Claims {
  readonly sub: string
  readonly aud: string
  readonly iat: number
  readonly exp: number
  readonly client_id: string
  readonly cnf: { readonly 'x5t#S256': string }
  readonly act?: Actor
  readonly scope?: string
  readonly may_act?: { readonly sub: readonly string[] }
  readonly 'urn:doorward:chain'?: readonly { readonly jti: string }[]
  readonly jti: string
}

interface Actor {
  readonly sub: string
  readonly act?: Actor
}

let ground: SharedGround
let dependencies: TokenDependencies
/** End of each workload's certificate. */
const ends = new Map<string, number>()
before(async () => {
  ground = await sharedGround()
  const { context, trust } = await ground.open('main')
  const find = async (fingerprint: string) => {
    const id = agents.find((one) => fingerprintOf(one) === fingerprint)!
    return { state: 'released', id, serial: `0${id.slice(-1)}`, anchorKeyId: 'anchor', notAfter: ends.get(id) }
  }
  const store = { ...context.store, issuance: { findByFingerprint: find } } as object as typeof context.store
  dependencies = {
    context: { ...context, store },
    slots: trust.slots,
    issuer,
    allowedAudience: async () => true,
    deniedBefore: () => 0,
    published: () => ({
      ...publishedKeys(trust.authority.trustState().state, importP256),
      isRegistered: (id) => agents.includes(id),
    }),
    audienceHolder: async (audience) => agents.find((id) => audienceOf(id) === audience) ?? null,
  }
})
after(() => ground.remove())

function claimsIn({ token }: MintedToken): Claims {
  return JSON.parse(Buffer.from(token.reveal().split('.')[1] ?? '', 'base64url').toString()) as Claims
}

function actorsIn({ act }: Pick<Actor, 'act'>): readonly string[] {
  return act === undefined ? [] : [act.sub, ...actorsIn(act)]
}

const calls: readonly (readonly [Action, Resource])[] = (['read', 'write'] as const).flatMap((group) =>
  ['files', 'mail'].flatMap((server) =>
    ['a', 'ab', 'b', 'send'].map(
      (name) =>
        [
          { name: 'tools/call', group },
          { server, kind: 'tool', name },
        ] as readonly [Action, Resource],
    ),
  ),
)

/** What a token may do of all that is asked for here, by number. */
function reach(scope: string | undefined): readonly number[] {
  const words = scope?.split(' ') ?? null
  return calls.flatMap(([action, resource], n) => (words === null || scopeCovers(words, action, resource) ? [n] : []))
}

interface Asked {
  readonly id: string
  readonly audience: string
  readonly scope: readonly string[] | null
  readonly mayAct: readonly string[] | null
}

/** What has to hold of the new token, given the one that was shown for it. */
function checkNarrower(shown: Claims, made: Claims, { id, audience }: Asked): void {
  const actors = actorsIn(made)
  assert.deepEqual([made.sub, made.aud, made.client_id], [shown.sub, audience, id])
  assert.deepEqual(actors, [id, ...actorsIn(shown)])
  assert.ok(actors.length <= 4)
  assert.equal(new Set([made.sub, ...actors]).size, actors.length + 1)
  assert.equal(made.cnf['x5t#S256'], fingerprintOf(id))
  assert.deepEqual(
    (made['urn:doorward:chain'] ?? []).map(({ jti }) => jti),
    [shown.jti, ...(shown['urn:doorward:chain'] ?? []).map(({ jti }) => jti)],
  )
  assert.ok(made.exp <= Math.min(shown.exp, made.iat + 300, ends.get(id)!, ends.get(shown.client_id)!))
  const wide = new Set(reach(shown.scope))
  assert.ok(reach(made.scope).every((call) => wide.has(call)))
  assert.ok(shown.scope === undefined || made.scope !== undefined)
  if (shown.may_act === undefined) return
  assert.ok(shown.may_act.sub.includes(id))
  assert.ok(made.may_act?.sub.every((one) => shown.may_act?.sub.includes(one) === true && one !== id))
}

/** Whether one of the rules that only look at who asks is against it. */
function isRefused(shown: Claims, { id }: Asked): boolean {
  const actors = actorsIn(shown)
  return (
    audienceOf(id) !== shown.aud ||
    shown.may_act?.sub.includes(id) === false ||
    shown.sub === id ||
    actors.includes(id) ||
    actors.length >= 4
  )
}

test('DX-3, DX-4, DX-5: no chain of exchanges widens, outlives what it is made of, loops, or leaves somebody out', async () => {
  const chance = seeded(8)
  const some = <T>(value: () => T): T | null => (chance.below(5) === 0 ? value() : null)
  const now = toSeconds(ground.now())
  const seen = new Map<string, number>()
  const ask = async (asked: Asked, shown: MintedToken | null): Promise<MintedToken | AuthorityRefusal> => {
    const { id } = asked
    const of = { certificateFingerprint: fingerprintOf(id), certificateNotAfter: epochSeconds(ends.get(id)!), epoch: 1 }
    const request = { ...asked, ...of }
    if (shown === null) return exchangeToken(dependencies, request)
    return exchangeDelegated(dependencies, { ...request, subjectToken: shown.token })
  }
  for (let chain = 0; chain < CHAINS; chain++) {
    for (const id of agents) ends.set(id, now + 30 + chance.below(600))
    let shown: MintedToken | null = null
    for (let step = 0; step < STEPS; step++) {
      const before = shown === null ? null : claimsIn(shown)
      const called: string | undefined = agents.find((id) => audienceOf(id) === before?.aud)
      const within = before === null ? [] : [before.sub, called, ...actorsIn(before)]
      const others = agents.filter((id) => !within.includes(id))
      const asked: Asked = {
        id: called !== undefined && chance.below(8) > 0 ? called : chance.of(agents),
        audience:
          chance.below(20) === 0
            ? gateway
            : audienceOf(chance.of(others.length > 0 && chance.below(4) > 0 ? others : agents)),
        scope: some(() => chance.of(scopes)),
        mayAct: some(() => agents.filter(() => chance.below(4) > 0)),
      }
      const answer = await ask(asked, shown)
      const word = isAuthorityRefusal(answer) ? answer.code : `actors ${actorsIn(claimsIn(answer)).length}`
      seen.set(word, (seen.get(word) ?? 0) + 1)
      if (isAuthorityRefusal(answer)) {
        assert.ok(refusals.includes(answer.code), JSON.stringify(answer))
        continue
      }
      if (before !== null) {
        assert.ok(!isRefused(before, asked), JSON.stringify([before, asked]))
        checkNarrower(before, claimsIn(answer), asked)
      }
      shown = answer
    }
  }
  // Each rule was met, and chains of every length were made.
  for (const word of [...refusals, 'actors 0', 'actors 1', 'actors 2', 'actors 3', 'actors 4'])
    assert.ok((seen.get(word) ?? 0) > 0, `${word}: ${JSON.stringify([...seen])}`)
})
