/**
 * What strangers, and readers of the record, can do at the front to people whom they are not: lead them elsewhere, end what they
 * have, keep them out, or go on after a recovery. One stage for all, with clients that a document describes.
 */

import { deepEqual, equal, notEqual, ok } from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { FrontStage, redirect } from '../fixtures/front-stage.ts'
import type { TokenReply } from '../fixtures/front-stage.ts'
import { makeFolders, removeFolders } from '../fixtures/authority/running.ts'
import type { Folders } from '../fixtures/authority/running.ts'
import { ScriptedProvider } from '../fixtures/scripted-provider.ts'
import type { Script } from '../fixtures/scripted-provider.ts'
import type { Visit } from '../fixtures/visitor.ts'

type Asked = Readonly<Record<string, string | undefined>>

const page = 'https://host.test.example'
let provider: ScriptedProvider
let stage: FrontStage
let documents: Folders
/** Two clients that nobody has configured. */
let host: string
let other: string

before(async () => {
  provider = await ScriptedProvider.open()
  host = provider.publish('/host.json')
  other = provider.publish('/other.json', { client_name: 'Other' })
  documents = await makeFolders()
  const caFile = join(documents.root, 'documents.pem')
  await writeFile(caFile, provider.ca)
  const settings = {
    cimd: { caFile, allowPrivateAddresses: true },
    clientName: (id: string) => (id === 'claude-client' ? 'claude' : 'unlisted'),
    origins: [page],
  }
  stage = await FrontStage.open({ people: provider, settings })
})
after(async () => {
  await stage.close()
  await provider.close()
  await removeFolders(documents)
})

/** Who signs in within the second of a denial has signed in before it: times are in whole seconds. */
const denialsOver = () => sleep(1010 - (Date.now() % 1000))

const codeOf = ({ headers }: Pick<Visit, 'headers'>) => headers['doorward-code']
const told = ({ status, body }: TokenReply) => [status, body['error']]
const invalidGrant = [400, 'invalid_grant']

/** The authority's own store, as somebody has it who can read or write the file. */
function inStore<T>(work: (database: DatabaseSync) => T): T {
  const path = join(stage.authority.authority.folders.stateDir, 'authority.db')
  const database = new DatabaseSync(path, { timeout: 10_000 })
  try {
    return work(database)
  } finally {
    database.close()
  }
}

/** Nothing of the page leads to the client: no redirect, no link, nothing that goes by itself. */
function staysHere({ headers, body }: Visit): boolean {
  return headers['location'] === undefined && !body.includes('client.test.example') && !body.includes('refresh')
}

describe('a client that a document alone describes', () => {
  const wrong: readonly (readonly [what: string, asked: Asked, code: string])[] = [
    ['a scope that nobody knows', { scope: 'everything' }, 'scope_unknown'],
    ['another resource', { resource: 'https://edge.test.example/mcp/unknown' }, 'audience_unknown'],
    ['no PKCE', { code_challenge: undefined }, 'request_invalid'],
    ['response_type token', { response_type: 'token' }, 'request_invalid'],
    ['a state that is too long', { state: 'x'.repeat(513) }, 'request_invalid'],
  ]
  for (const [what, asked, code] of wrong)
    test(`that asks for ${what} leads nobody anywhere`, async () => {
      const flow = stage.flow()
      const visit = await flow.visitor.visit(stage.asked(flow, { client_id: host, ...asked }))
      deepEqual([codeOf(visit), visit.status, staysHere(visit)], [code, 400, true])
      const known = await flow.visitor.visit(stage.asked(flow, asked))
      ok(String(known.headers['location']).startsWith(redirect), 'one of the configuration is told')
    })

  const failed: readonly (readonly [what: string, script: Script, code: string])[] = [
    ['says no', { answer: { status: 400, body: '{"error":"invalid_grant"}' } }, 'login_refused'],
    ['lies', { claims: { aud: 'another' } }, 'login_refused'],
  ]
  for (const [what, script, code] of failed)
    test(`leads nobody anywhere when the provider ${what}`, async () => {
      const visit = await provider.signIn(stage, stage.flow(), { asked: { client_id: host }, ...script })
      deepEqual([codeOf(visit), staysHere(visit)], [code, true])
    })

  test('leads nobody anywhere when the person is denied, or the provider is gone', async () => {
    const claims = { iat: Math.floor(Date.now() / 1000) }
    await stage.authority.revoke({ subject: 'user', user: `${provider.url}#mallory` })
    const denied = await provider.signIn(stage, stage.flow(), { person: 'mallory', asked: { client_id: host }, claims })
    deepEqual([codeOf(denied), staysHere(denied)], ['consent_refused', true])
    const flow = stage.flow()
    const place = new URL(
      String((await flow.visitor.visit(stage.asked(flow, { client_id: host }))).headers['location']),
    )
    provider.gone = true
    const away = await flow.visitor.visit(provider.back(stage, place, { person: 'ada' }))
    provider.gone = false
    deepEqual([codeOf(away), staysHere(away)], ['consent_unavailable', true])
  })

  test('is told of a no when the person wants it, and of nothing by itself', async () => {
    const flow = stage.flow()
    const question = await provider.signIn(stage, flow, { asked: { client_id: host } })
    ok(question.body.includes(`Host (${new URL(host).host})`))
    const token = /name="token" value="([^"]+)"/.exec(question.body)?.[1] ?? ''
    const form = { token, decision: 'deny' }
    const answered = await flow.visitor.visit(`${stage.publicUrl}/consent`, { form })
    deepEqual([answered.status, codeOf(answered)], [200, 'consent_refused'])
    ok(!answered.body.includes('http-equiv="refresh"') && answered.headers['location'] === undefined)
    ok(answered.body.includes('error=access_denied') && !answered.body.includes('code='))
  })

  test('has a code once the person has allowed it, and the next one without a question', async () => {
    const first = await provider.code(stage, 'joan', { client_id: host })
    notEqual(first.code, '')
    const again = await provider.signIn(stage, stage.flow(), { person: 'joan', asked: { client_id: host } })
    ok(String(again.headers['location']).startsWith(`${redirect}?code=`))
  })

  test('has nothing of what another one was allowed', async () => {
    await provider.code(stage, 'joan', { client_id: host })
    const visit = await provider.signIn(stage, stage.flow(), { person: 'joan', asked: { client_id: other } })
    ok(visit.body.includes('<form') && visit.headers['location'] === undefined)
    const { flow, code } = await provider.code(stage, 'joan', { client_id: host })
    deepEqual(told(await stage.redeem({ flow, code }, { client_id: other })), invalidGrant)
  })

  test('is not fetched from where nothing may be fetched, and what it says of redirects holds', async () => {
    const flow = stage.flow()
    for (const client_id of ['https://169.254.169.254/latest/meta-data', 'https://[fe80::1]/x', 'https://0.0.0.0/x']) {
      const visit = await flow.visitor.visit(stage.asked(flow, { client_id }))
      deepEqual([visit.status, codeOf(visit), staysHere(visit)], [400, 'client_unknown', true], client_id)
    }
    const elsewhere = { client_id: host, redirect_uri: 'https://evil.test.example/cb' }
    equal(codeOf(await flow.visitor.visit(stage.asked(flow, elsewhere))), 'client_unknown')
  })
})

describe('a grant', () => {
  /** What nobody was ever given, made of what they know who read the record or the store. */
  function guesses(): readonly string[] {
    const rows = inStore((store) =>
      store.prepare('SELECT id, refresh_hash, code_hash, document FROM front_grants').all(),
    )
    const known = rows.flatMap(({ id, refresh_hash, code_hash, document }) => {
      const { seal } = JSON.parse(String(document)) as { readonly seal: string }
      return [String(id), String(refresh_hash), String(code_hash), seal]
    })
    ok(known.length >= 4)
    const wide = (text: string) => text.padEnd(43, 'A')
    return known.flatMap((one) => [
      `${one}.${'A'.repeat(43)}`,
      `${wide(one)}.${'A'.repeat(43)}.${'A'.repeat(22)}`,
      ...known.map((two) => `${wide(one)}.${wide(two)}.${two.slice(0, 22)}`),
    ])
  }

  const alarms = async () => {
    const { text } = await stage.authority.admin('GET /v1/status')
    return text.split('front_reuse').length
  }

  test('is not ended by what the record and the store say of it', async () => {
    const { body } = await stage.redeem(await provider.code(stage, 'grace'))
    const [entry] = (await stage.entries('front-token')).slice(-1)
    const id = entry?.['grant']
    ok(typeof id === 'string' && id.length === 22 && !String(body['refresh_token']).includes(id))
    for (const text of [id, `${id}.${'A'.repeat(43)}`, ...guesses().slice(0, 40)]) {
      deepEqual(told(await stage.refresh(text)), invalidGrant)
      equal((await stage.post('/revoke', { token: text, client_id: 'claude-client' })).status, 200)
    }
    const next = await stage.refresh(body['refresh_token'])
    equal(next.status, 200, JSON.stringify(next.body))
  })

  test('is not ended by a refresh token that was never issued, and that is no reuse', async () => {
    const { body } = await stage.redeem(await provider.code(stage, 'grace'))
    const before = await alarms()
    const right = String(body['refresh_token'])
    const parts = right.split('.')
    equal(parts.length, 3)
    for (const at of parts.keys())
      for (const part of [
        'A'.repeat(parts[at]?.length ?? 0),
        `${parts[at]?.startsWith('A') === true ? 'B' : 'A'}${parts[at]?.slice(1)}`,
      ]) {
        const text = parts.with(at, part).join('.')
        deepEqual(told(await stage.refresh(text)), invalidGrant)
        equal((await stage.post('/revoke', { token: text, client_id: 'claude-client' })).status, 200)
      }
    const next = await stage.refresh(right)
    equal(next.status, 200, JSON.stringify(next.body))
    equal(await alarms(), before)
    deepEqual(told(await stage.refresh(right)), invalidGrant)
    deepEqual(told(await stage.refresh(next.body['refresh_token'])), invalidGrant)
    equal(await alarms(), before + 1)
  })
})

describe('a stranger', () => {
  const begun = async (address: string) => {
    const flow = stage.flow(stage.visitor(address))
    const place = new URL(String((await flow.visitor.visit(stage.asked(flow))).headers['location']))
    equal(place.origin, provider.url)
    return async () => (await flow.visitor.visit(provider.back(stage, place, { person: 'ada' }))).status
  }
  const steps = () =>
    inStore((store) =>
      Number(store.prepare('SELECT count(*) AS n FROM front_steps WHERE kind = ?').get('sign-in')?.['n']),
    )

  test('who begins more than an address may pushes out what began there, and nothing of anybody else', async () => {
    const [mine, theirs] = [await begun('127.0.0.7'), await begun('127.0.0.8')]
    inStore((store) =>
      store.exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99)
        INSERT INTO front_steps (kind, hash, browser, owner, source, document, expires_at)
        SELECT 'sign-in', 'x' || i, 'b', '127.0.0.7', '127.0.0.0/24', '{}', unixepoch() + 601 FROM n`),
    )
    const newest = await begun('127.0.0.7')
    deepEqual([await mine(), await theirs(), await newest()], [404, 200, 200])
  })

  test('who has filled every place with many addresses makes way for whoever comes', async () => {
    const early = await begun('127.0.1.1')
    const room = 10_000 - steps()
    inStore((store) =>
      store.exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${room})
        INSERT INTO front_steps (kind, hash, browser, owner, source, document, expires_at)
        SELECT 'sign-in', 'y' || i, 'b', '2001:db8::' || i, '2001:db8:0::/48', '{}', unixepoch() + 600 FROM n`),
    )
    equal(steps(), 10_000)
    const late = await begun('127.0.2.1')
    equal(steps(), 10_000)
    deepEqual([await early(), await late()], [200, 200])
  })

  test('who begins sign-ins takes no room of the pages of people', async () => {
    ok(steps() > 9990)
    const question = await provider.signIn(stage, stage.flow(), { person: 'edith' })
    ok(question.body.includes('<form'))
  })
})

describe('a page in a browser', () => {
  const evil = 'https://evil.test.example'
  const preflight = (path: string, origin: string) =>
    stage.visitor().visit(`${stage.publicUrl}${path}`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type, dpop, mcp-protocol-version',
      },
    })
  const readable = ({ headers }: Pick<Visit, 'headers'>) => [
    headers['access-control-allow-origin'],
    headers['access-control-allow-credentials'],
  ]
  const programs = [
    '/.well-known/oauth-authorization-server',
    '/.well-known/openid-configuration',
    '/jwks',
    '/token',
    '/revoke',
  ]

  test('that is named may ask what programs ask, and brings nothing of the browser', async () => {
    for (const path of programs) {
      const asked = await preflight(path, page)
      deepEqual([asked.status, ...readable(asked)], [204, page, undefined], path)
      const names = String(asked.headers['access-control-allow-headers']).toLowerCase().split(', ')
      for (const name of ['content-type', 'dpop', 'mcp-protocol-version']) ok(names.includes(name), name)
      ok(!names.includes('*'))
    }
    const metadata = await stage.visitor().visit(`${stage.publicUrl}${programs[0]}`, { headers: { origin: page } })
    deepEqual([metadata.status, ...readable(metadata), metadata.headers['vary']], [200, page, undefined, 'Origin'])
  })

  test('that is named reads refusals, and the nonce for its next proof', async () => {
    const form = { grant_type: 'refresh_token', refresh_token: 'x', client_id: 'claude-client' }
    const headers = { origin: page, dpop: 'x' }
    const answer = await stage.visitor().visit(`${stage.publicUrl}/token`, { form, headers })
    deepEqual([answer.status, ...readable(answer)], [400, page, undefined])
    ok(typeof answer.headers['dpop-nonce'] === 'string')
    ok(String(answer.headers['access-control-expose-headers']).includes('DPoP-Nonce'))
  })

  test('that is not named is refused everything, and spends nothing', async () => {
    for (const path of [...programs, '/authorize', '/consent'])
      for (const origin of [evil, `${page}.evil`, `${page}:444`, 'null']) {
        const asked = await preflight(path, origin)
        deepEqual([codeOf(asked), ...readable(asked)], ['origin_unknown', undefined, undefined], `${path} ${origin}`)
      }
    const { flow, code } = await provider.code(stage, 'grace')
    const form = { grant_type: 'authorization_code', code, redirect_uri: redirect, client_id: 'claude-client' }
    const headers = { origin: evil }
    const visit = await stage.visitor().visit(`${stage.publicUrl}/token`, { form, headers })
    deepEqual([codeOf(visit), ...readable(visit)], ['origin_unknown', undefined, undefined])
    equal((await stage.redeem({ flow, code })).status, 200)
  })

  test('cannot ask in the place of a browser, named or not', async () => {
    const flow = stage.flow()
    for (const origin of [page, evil]) {
      const visit = await flow.visitor.visit(stage.asked(flow), { headers: { origin } })
      deepEqual([codeOf(visit), ...readable(visit)], ['origin_unknown', undefined, undefined], origin)
    }
  })
})

describe('a person who is denied', () => {
  const agreed = (person: string) =>
    inStore((store) => {
      const sql = 'SELECT count(*) AS n FROM front_consents WHERE person = ?'
      return Number(store.prepare(sql).get(`${provider.url}#${person}`)?.['n'])
    })

  test('has agreed to nothing any more, also when the denial has lapsed', async () => {
    for (const person of ['vera', 'wim']) await provider.code(stage, person, { client_id: host })
    deepEqual([agreed('vera'), agreed('wim')], [1, 1])
    await stage.authority.revoke({ subject: 'user', user: `${provider.url}#vera` })
    deepEqual([agreed('vera'), agreed('wim')], [0, 1])
  })

  test('and a client that is denied has nobody who agreed', async () => {
    await stage.authority.revoke({ subject: 'workload', id: 'spiffe://test.example/edge/unlisted' })
    equal(agreed('wim'), 0)
  })

  test('is denied by a sign-in that a provider has dated ahead, too', async () => {
    const claims = { iat: Math.floor(Date.now() / 1000) + 20 }
    const flow = stage.flow()
    const page = await provider.signIn(stage, flow, { person: 'xenia', claims })
    const back = await stage.answer(flow, page)
    const { body } = await stage.redeem({ flow, code: back.searchParams.get('code') ?? '' })
    ok(typeof body['refresh_token'] === 'string')
    await stage.authority.revoke({ subject: 'user', user: `${provider.url}#xenia` })
    deepEqual(told(await stage.refresh(body['refresh_token'])), invalidGrant)
  })
})

// Last: whatever is of an earlier epoch is refused from here on.
describe('another epoch', () => {
  test('ends what people have allowed, and pages, codes and refresh tokens of before', async () => {
    await denialsOver()
    const { body } = await stage.redeem(await provider.code(stage, 'mary'))
    const asked = { client_id: host }
    await provider.code(stage, 'mary', asked)
    const held = await provider.code(stage, 'mary')
    const flow = stage.flow()
    const question = await provider.signIn(stage, flow, { person: 'lise' })
    const asksAgain = async (person: string) => {
      const visit = await provider.signIn(stage, stage.flow(), { person, asked })
      return visit.headers['location'] === undefined && visit.body.includes('<form')
    }
    await provider.code(stage, 'nora', asked)
    deepEqual([await asksAgain('nora'), await asksAgain('mary')], [false, false])
    // In the store, as a recovery does it, but without its denials.
    inStore((store) => store.exec('UPDATE domain SET epoch = epoch + 1'))
    for (let turn = 0; turn < 300 && !(await asksAgain('nora')); turn++) await sleep(100)
    ok(await asksAgain('mary'))
    deepEqual(told(await stage.refresh(body['refresh_token'])), invalidGrant)
    deepEqual(told(await stage.redeem(held)), invalidGrant)
    const late = await stage.answer(flow, question)
    deepEqual([late.searchParams.get('error'), late.searchParams.get('code')], ['access_denied', null])
  })
})
