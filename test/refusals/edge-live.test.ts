/** At the edge as elsewhere: what was good may be taken away, and what is under way ends with it. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { compilePolicy, epochSeconds, parseTrustDomain, toSeconds } from '@doorward/core'
import type { Approvals } from '@doorward/enforcement'
import { EdgeStage, issuerUrl } from '../fixtures/edge-stage.ts'
import type { Shown } from '../fixtures/edge-stage.ts'
import { modern } from '../fixtures/modern-server.ts'
import { talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { CedarEngine } from '../../packages/server/src/policy/cedar-engine.ts'
import { sessionMustEnd } from '@doorward/enforcement'

const call = () => modern('tools/call', { params: { name: 'write_note', arguments: { text: 'x' } } })
const initialize = {
  body: JSON.stringify({
    jsonrpc: '2.0',
    id: 0,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
  }),
}
const ping = { body: '{"jsonrpc":"2.0","id":7,"method":"ping"}' }
const codeOf = (answer: RawAnswer) => answer.headers['doorward-code'] ?? answer.status
const at = () => Math.floor(Date.now() / 1000)

async function staged(use: (stage: EdgeStage) => Promise<void>, options: Parameters<typeof EdgeStage.open>[0] = {}) {
  const stage = await EdgeStage.open(options)
  try {
    await use(stage)
  } finally {
    await stage.close()
  }
}

describe('what is denied', () => {
  const denied = (what: string, code: string, deny: (stage: EdgeStage) => void) =>
    void test(`${what} is refused`, () =>
      staged(async (stage) => {
        const first = await stage.send(call())
        equal(first.status, 200, first.text)
        deny(stage)
        const reached = stage.tap.reached.length
        const answer = await stage.send(call())
        equal(codeOf(answer), code)
        equal(stage.entryOf(answer)?.['code'], code)
        equal(stage.tap.reached.length, reached)
      }))

  const identity = (id: string) => (stage: EdgeStage) => {
    stage.gateway.trust.denied.identities.push({ id, issuedBefore: epochSeconds(at() + 1) })
    stage.gateway.trust.apply()
  }
  denied('a person who is denied', 'identity_denied', identity(`${issuerUrl}#ada`))
  denied('a client at the edge that is denied', 'identity_denied', identity('spiffe://test.example/edge/claude'))

  test('a token is refused by the name that the record has for it, and others of the person are not', () =>
    staged(async (stage) => {
      const token = await stage.token()
      const first = await stage.send(call(), { token })
      stage.gateway.trust.denied.tokens.push(String(stage.entryOf(first)?.['token']))
      stage.gateway.trust.apply()
      equal(codeOf(await stage.send(call(), { token })), 'token_denied')
      equal((await stage.send(call())).status, 200)
    }))

  test('somebody else of the same name at another issuer, or with a name that begins so, is not meant', () =>
    staged(async (stage) => {
      for (const id of [`https://other.test.example#ada`, `${issuerUrl}#ad`, 'spiffe://test.example/edge/claud'])
        stage.gateway.trust.denied.identities.push({ id, issuedBefore: epochSeconds(at() + 1) })
      stage.gateway.trust.apply()
      equal((await stage.send(call())).status, 200)
    }))
})

test('a call that has waited for its approval longer than its token is good does not leave, and the approval is not used', async () => {
  const compiled = compilePolicy({
    trustDomain: parseTrustDomain('test.example'),
    rbac: [],
    roles: [{ role: 'writer', permissions: ['write:notes/*'] }],
    bindings: [
      { role: 'writer', workloads: ['spiffe://test.example/edge/*'] },
      { role: 'writer', issuer: issuerUrl, users: ['ada'] },
    ],
    servers: ['notes', 'hidden'],
    files: [],
    approvals: { groups: ['team'], rules: [{ permission: 'tools/call:notes/write_*', by: 'team' }] },
  })
  ok(compiled.ok)
  const decisions = new CedarEngine()
  await decisions.activate(compiled.policy)
  let [used, waited] = [0, (): void => undefined]
  let approved = false
  const approvals: Approvals = {
    claim: async () => (approved ? { id: `a${++used}`, giveBack: async () => undefined } : null),
    ask: async () => {
      waited()
      approved = true
      return { kind: 'approved', id: 'a', by: ['team'], expires: epochSeconds(at() + 600) }
    },
  }
  await staged(
    async (stage) => {
      const { holder } = stage.gateway.trust
      const exp = at() + 300
      for (const [seconds, code] of [
        [0, 'allowed'],
        [330, 'token_expired'],
      ] as const) {
        ;[used, approved] = [0, false]
        const reached = stage.tap.having('write_note').length
        waited = () => holder.confirm(epochSeconds(exp - 300 + seconds))
        const answer = await stage.send(call(), { claims: { exp } })
        equal(codeOf(answer), code, answer.text)
        equal(stage.entryOf(answer)?.['code'] ?? 'allowed', code)
        deepEqual([used, stage.tap.having('write_note').length - reached], code === 'allowed' ? [1, 1] : [0, 0])
      }
    },
    { gateway: { pipeline: { decisions, approvals } } },
  )
})

describe('sessions and streams', () => {
  async function session(stage: EdgeStage, shown: Shown = {}): Promise<string> {
    const answer = await stage.send(initialize, shown)
    const id = answer.headers['mcp-session-id']
    ok(id !== undefined, answer.text)
    await stage.send({ session: id, body: '{"jsonrpc":"2.0","method":"notifications/initialized"}' }, shown)
    return id
  }

  test('a session belongs to a person and a client: nobody else finds it', () =>
    staged(
      async (stage) => {
        const id = await session(stage)
        equal((await stage.send({ ...ping, session: id })).status, 200)
        for (const claims of [{ sub: 'bob', groups: ['readers'] }, { client_id: 'cursor-client' }])
          equal(
            codeOf(await stage.send({ ...ping, session: id }, { claims })),
            'session_unknown',
            JSON.stringify(claims),
          )
      },
      {
        edge: {
          clients: new Map([
            ['claude-client', 'claude'],
            ['cursor-client', 'cursor'],
          ]),
        },
      },
    ))

  async function stream(stage: EdgeStage, shown: Shown = {}): Promise<{ socket: TLSSocket; ended: Promise<string> }> {
    const socket = await stage.connect()
    const listen = modern('subscriptions/listen', { params: { notifications: { toolsListChanged: true } } })
    const request = await stage.request(listen, shown)
    let begun: () => void = () => undefined
    const open = new Promise<void>((resolve) => (begun = resolve))
    const ended = talk(socket, request, (soFar) => {
      if (soFar.includes('event-stream')) begun()
      return soFar.endsWith('0\r\n\r\n')
    })
    await Promise.race([open, ended])
    return { socket, ended }
  }

  const listening = async () =>
    EdgeStage.open({
      gateway: { keepAliveMilliseconds: 20 },
    })

  test('a stream ends when the person is denied', async () => {
    const stage = await listening()
    try {
      const { socket, ended } = await stream(stage)
      stage.gateway.trust.denied.identities.push({ id: `${issuerUrl}#ada`, issuedBefore: epochSeconds(at() + 1) })
      stage.gateway.trust.apply()
      await stage.gateway.pipeline.review()
      match(await ended, /event-stream/)
      socket.destroy()
    } finally {
      await stage.close()
    }
  })

  test('a stream ends with the token that opened it', async () => {
    const stage = await listening()
    try {
      const { socket, ended } = await stream(stage, { claims: { exp: at() + 2 } })
      stage.gateway.endpoint.endExpired(toSeconds(stage.gateway.pipeline.dependencies.trust.now()))
      equal(stage.gateway.pipeline.open.size, 1)
      await sleep(2100)
      stage.gateway.endpoint.endExpired(toSeconds(stage.gateway.pipeline.dependencies.trust.now()))
      match(await Promise.race([ended, sleep(20_000).then(() => 'it goes on')]), /event-stream/)
      for (let looks = 0; stage.gateway.pipeline.open.size > 0 && looks < 200; looks++) await sleep(10)
      equal(stage.gateway.pipeline.open.size, 0)
      socket.destroy()
    } finally {
      await stage.close()
    }
  })

  test('a session must end when its person or its client is denied', () =>
    staged(async (stage) => {
      await session(stage)
      const { trust, sessions } = stage.gateway
      const ending = () => {
        const view = trust.holder.current()
        ok(view !== null)
        return sessions.endWhere((one) => sessionMustEnd(one, view))
      }
      equal(ending(), 0)
      trust.denied.identities.push({ id: 'spiffe://test.example/edge/claude', issuedBefore: epochSeconds(at() + 1) })
      trust.apply()
      equal(ending(), 1)
    }))
})

describe('limits', () => {
  test('the limit per user is that of the person, whatever client it is', () =>
    staged(
      async (stage) => {
        for (let i = 0; i < 3; i++) equal((await stage.send(call())).status, 200)
        const over = await stage.send(call(), { claims: { client_id: 'anybody' } })
        equal(codeOf(over), 'limit_user')
        equal((await stage.send(modern('tools/list'), { claims: { sub: 'bob', groups: ['readers'] } })).status, 200)
      },
      { edge: { unlistedClients: true }, gateway: { perUser: { count: 3, periodSeconds: 60 } } },
    ))
})

describe('quotas at the edge', () => {
  test('a quota is that of the person: nobody takes from others by the host that all of them use', () =>
    staged(
      async (stage) => {
        const read = () => modern('tools/call', { params: { name: 'read_note', arguments: {} } })
        const bob = { claims: { sub: 'bob', groups: ['readers'] } }
        for (let i = 0; i < 2; i++) equal((await stage.send(read())).status, 200)
        equal(codeOf(await stage.send(read())), 'limit_user')
        equal((await stage.send(read(), bob)).status, 200)
      },
      {
        gateway: {
          pipeline: {
            quotas: [{ action: 'tools/call', rate: { count: 2, periodSeconds: 60 } }],
          },
        },
      },
    ))
})

describe('with bearer tokens, as an operator insisted', () => {
  let stage: EdgeStage
  before(async () => void (stage = await EdgeStage.open({ edge: { bearer: true } })))
  after(() => stage.close())

  test('it is told loudly', () => deepEqual(stage.told, ['edge_open', 'edge_bearer']))

  test('a token that is bound to no key passes, and is on record as weaker', async () => {
    const answer = await stage.send(call(), { scheme: 'Bearer', claims: { cnf: undefined } })
    equal(answer.status, 200, answer.text)
    equal(stage.entryOf(answer)?.['strength'], 'bearer-token')
  })

  test('a token that is bound to a key is refused as a bearer token all the same', async () => {
    const before = stage.tap.having('tools/call').length
    equal(codeOf(await stage.send(call(), { scheme: 'Bearer' })), 'token_scheme')
    equal(codeOf(await stage.send(call(), { claims: { cnf: undefined } })), 'token_scheme')
    equal(stage.tap.having('tools/call').length, before)
  })

  test('the metadata says that no key is demanded', async () => {
    const path = '/.well-known/oauth-protected-resource/mcp/notes'
    const answer = await stage.raw(`GET ${path} HTTP/1.1\r\nHost: edge.test.example\r\n\r\n`)
    equal((JSON.parse(answer.body) as Record<string, unknown>)['dpop_bound_access_tokens_required'], false)
  })
})

describe('with clients that are not listed, as an operator insisted', () => {
  test('they are called unlisted, all of them', () =>
    staged(
      async (stage) => {
        const answer = await stage.send(call(), { claims: { client_id: 'anybody' } })
        equal(stage.entryOf(answer)?.['presenter'], 'spiffe://test.example/edge/unlisted')
        ok(stage.told.includes('edge_unlisted_clients'))
      },
      { edge: { unlistedClients: true } },
    ))
})

describe('where scopes are required', () => {
  let stage: EdgeStage
  before(async () => {
    stage = await EdgeStage.open({ edge: { scopesRequired: true, requestScopes: ['openid'] } })
  })
  after(() => stage.close())
  const challenge = (answer: RawAnswer) => /www-authenticate: (.*)\r\n/i.exec(answer.text)?.[1] ?? ''

  test('a call that policy allows needs a scope that covers it, with all that is needed', async () => {
    equal((await stage.send(call(), { claims: { scope: 'openid notes:write' } })).status, 200)
    const before = stage.tap.having('tools/call').length
    const answer = await stage.send(call(), { claims: { scope: 'openid notes:read' } })
    equal(answer.status, 403)
    equal(codeOf(answer), 'scope_insufficient')
    match(
      challenge(answer),
      /^DPoP error="insufficient_scope", scope="openid notes:read notes:write", resource_metadata=/,
    )
    equal(stage.entryOf(answer)?.['code'], 'scope_insufficient')
    equal(stage.tap.having('tools/call').length, before)
  })

  test('a stronger scope covers weaker actions, one of another server nothing', async () => {
    const list = () => modern('tools/list')
    for (const scope of ['notes:read', 'notes:write', 'notes:admin'])
      equal((await stage.send(list(), { claims: { scope } })).status, 200, scope)
    for (const scope of ['', 'notes', 'notes:', 'other:admin', 'xnotes:admin', 'notes:admin2', '*'])
      equal(codeOf(await stage.send(list(), { claims: { scope } })), 'scope_insufficient', scope)
  })

  test('scopes alone allow nothing', async () => {
    const shown = { claims: { sub: 'eve', scope: 'notes:admin' } }
    equal(codeOf(await stage.send(call(), shown)), 'policy_denied')
  })

  test('what is not shown is asked for at least', async () => {
    match(challenge(await stage.send(call(), { token: null })), /scope="openid notes:read"/)
  })
})

describe('where nonces are optional', () => {
  let stage: EdgeStage
  before(async () => void (stage = await EdgeStage.open({ edge: { nonceRequired: false } })))
  after(() => stage.close())

  test('RP-6: a proof from before the start is refused', async () => {
    const answer = await stage.send(call(), { proof: { nonce: null, iat: at() - 30 } })
    equal(codeOf(answer), 'dpop_invalid')
    await sleep(1100)
    equal((await stage.send(call(), { proof: { nonce: null } })).status, 200)
  })

  test('a proof without a nonce is used once, and one with somebody else’s nonce is refused', async () => {
    await sleep(1100)
    const request = await stage.request(call(), { proof: { nonce: null } })
    equal((await stage.raw(request)).status, 200)
    equal(codeOf(await stage.raw(request)), 'dpop_replayed')
    equal(codeOf(await stage.send(call(), { proof: { nonce: 'A'.repeat(48) } })), 'dpop_nonce')
  })

  test('a proof that is older than a minute is refused', async () => {
    equal(codeOf(await stage.send(call(), { proof: { nonce: null, iat: at() - 61 } })), 'dpop_invalid')
    equal(codeOf(await stage.send(call(), { proof: { nonce: null, iat: at() + 62 } })), 'dpop_invalid')
  })
})

test('RP-4: a proof that one gateway has accepted is refused by another, which shares nothing with it', () =>
  staged((one) =>
    staged(async (other) => {
      const shown = { proof: { nonce: one.nonce } }
      equal((await one.send(call(), shown)).status, 200)
      equal(codeOf(await other.send(call(), shown)), 'dpop_nonce')
    }),
  ))

test('RP-5: when no more proofs can be remembered, none is accepted', async () => {
  const stage = await EdgeStage.open()
  try {
    const { edge } = stage.gateway.pipeline.dependencies
    ok(edge !== undefined)
    Reflect.set(edge.proofs, 'guard', { consume: async () => 'full' })
    const full = await stage.send(call())
    deepEqual([full.status, codeOf(full)], [503, 'dpop_unavailable'])
    Reflect.set(edge.proofs, 'guard', { consume: () => Promise.reject(new Error('gone')) })
    equal(codeOf(await stage.send(call())), 'dpop_unavailable')
    equal(stage.tap.having('tools/call').length, 0)
  } finally {
    await stage.close()
  }
})

test('a trust state that is too old lets nobody in, however good the token is', () =>
  staged(async (stage) => {
    equal((await stage.send(call())).status, 200)
    Reflect.set(stage.gateway.trust.holder, 'ageSeconds', () => 301)
    equal(codeOf(await stage.send(call())), 'trust_stale')
    Reflect.set(stage.gateway.trust.holder, 'ageSeconds', () => 100)
    equal((await stage.send(call())).status, 200)
    equal(
      codeOf(await stage.send(modern('tools/list'), { claims: { sub: 'bob', groups: ['readers'] } })),
      'trust_stale',
    )
  }))
