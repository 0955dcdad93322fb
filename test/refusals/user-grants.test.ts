/**
 * People's own grants towards servers: asked for once, for the person alone, kept sealed, refreshed, and gone with the person.
 * Both providers are real.
 */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { epochSeconds } from '@doorward/core'
import { clientSecret, GrantsStage } from '../fixtures/grants-stage.ts'

describe('grants of people', () => {
  let stage: GrantsStage

  before(async () => {
    stage = await GrantsStage.open()
  })
  after(() => stage.close())
  beforeEach(async () => {
    stage.time.ahead = 0
    stage.guard.down = false
    stage.login.down = false
    for (const grant of stage.people.grants.list()) await stage.people.grants.end(grant, 'operator')
    stage.server.reached.length = 0
  })

  const codeOf = async (person: string | null) => (await stage.call(person)).headers['doorward-code']

  test('a person grants it once in a browser, and calls in their name alone go with their token', async () => {
    const link = await stage.link('ada')
    equal(stage.server.having('tools/call').length, 0)
    const page = await stage.grant('ada', stage.visitor(), link)
    equal(page.status, 200, page.body)
    match(page.body, /Calls to <strong>notes<\/strong> in your name can be made now/)
    const answer = await stage.call('ada')
    equal(answer.headers['doorward-code'], 'allowed', answer.text)
    match(JSON.stringify(stage.said(answer)), /for ada: \[redacted\]/)
    equal(await codeOf('bob'), 'consent_needed')
    equal(stage.served().length, 1)
    const [kept] = stage.events('grant.kept')
    deepEqual([kept?.['user'], kept?.['server']], [stage.user('ada'), 'notes'])
  })

  test('a workload for itself is refused, and nothing is sent', async () => {
    await stage.grant('ada')
    const before = stage.server.having('tools/call').length
    equal(await codeOf(null), 'credential_user_needed')
    equal(stage.server.having('tools/call').length, before)
  })

  test('the answer to a tool call holds the link for the model to pass on, the same until somebody begins', async () => {
    const [one, two] = [await stage.call('bob'), await stage.call('bob')]
    equal(stage.said(one)['isError'], true)
    match(
      JSON.stringify(stage.said(one)),
      /open https:\/\/localhost:\d+\/consent\/[A-Za-z0-9_-]{43} before .* then call again/,
    )
    equal(await stage.link('bob'), /https:\/\/\S+\/consent\/[A-Za-z0-9_-]{43}/.exec(two.body)?.[0])
  })

  test('another person who signs in at the link grants nothing', async () => {
    const page = await stage.grant('bob', stage.visitor(), await stage.link('ada'))
    deepEqual([page.status, page.headers['doorward-code']], [403, 'consent_other_person'])
    equal(await codeOf('ada'), 'consent_needed')
    equal(
      stage.guard.reached.some(({ path }) => path.startsWith('/token')),
      stage.events('grant.kept').length > 0,
    )
    equal(stage.events('grant.refused').at(-1)?.['code'], 'other_person')
  })

  test('looking at the link begins nothing, and a form of another origin neither', async () => {
    const link = await stage.link('ada')
    const visitor = stage.visitor()
    for (let times = 0; times < 2; times++) {
      const page = await visitor.visit(link)
      equal(page.status, 200)
      match(String(page.headers['content-security-policy']), /default-src 'none'.*frame-ancestors 'none'/)
      equal(page.headers['set-cookie'], undefined)
    }
    for (const headers of [{ origin: 'https://evil.example' }, { 'sec-fetch-site': 'cross-site' }, { origin: 'null' }])
      equal((await visitor.visit(link, { form: {}, headers })).headers['doorward-code'], 'origin_unknown')
    equal(visitor.jar.size, 0)
    equal((await stage.grant('ada', visitor, link)).status, 200)
  })

  test('a link is good once', async () => {
    const link = await stage.link('ada')
    equal((await stage.visitor().visit(link, { form: {} })).status, 200)
    const again = await stage.visitor().visit(link, { form: {} })
    deepEqual([again.status, again.headers['doorward-code']], [404, 'consent_unknown'])
  })

  test('a link ends after ten minutes', async () => {
    const link = await stage.link('ada')
    stage.time.ahead = 601
    equal((await stage.visitor().visit(link)).headers['doorward-code'], 'consent_unknown')
  })

  test('what comes back counts in the browser that went away, with its state, and once', async () => {
    const visitor = stage.visitor()
    const begun = await visitor.visit(await stage.link('ada'), { form: {} })
    const back = (url: URL) => url.pathname === '/consent/signed-in'
    const { url } = await visitor.agree(begun, 'ada', back)
    const refused = async (who: typeof visitor, change: (copy: URL) => void) => {
      const copy = new URL(url)
      change(copy)
      const page = await who.visit(copy)
      deepEqual([page.status, page.headers['doorward-code']], [403, 'consent_refused'])
    }
    await refused(stage.visitor(), () => undefined)
    await refused(visitor, (copy) => copy.searchParams.set('state', 'x'.repeat(43)))
    await refused(visitor, (copy) => copy.searchParams.delete('state'))
    await refused(visitor, (copy) => copy.searchParams.append('code', 'another'))
    const callback = (place: URL) => place.pathname === '/consent/callback'
    const on = await visitor.agree(await visitor.visit(url), 'ada', callback)
    await refused(visitor, () => undefined)
    // A state of one step is good for no other.
    const crossed = new URL(on.url)
    crossed.pathname = '/consent/signed-in'
    const strange = await stage.visitor().visit(on.url)
    equal(strange.headers['doorward-code'], 'consent_refused')
    equal((await visitor.visit(on.url)).status, 200)
    equal((await visitor.visit(on.url)).headers['doorward-code'], 'consent_refused')
    equal(stage.people.grants.list().length, 1)
  })

  test('an answer that names another issuer, or none, is refused', async () => {
    for (const iss of ['https://evil.example', null]) {
      const visitor = stage.visitor()
      const begun = await visitor.visit(await stage.link('ada'), { form: {} })
      const { url } = await visitor.agree(begun, 'ada', (place) => place.pathname === '/consent/callback')
      if (iss === null) url.searchParams.delete('iss')
      else url.searchParams.set('iss', iss)
      equal((await visitor.visit(url)).headers['doorward-code'], 'consent_refused')
      equal(stage.people.grants.list().length, 0)
    }
  })

  test('tokens are refreshed before they end, by one question for all, and the new ones are kept', async () => {
    await stage.grant('ada')
    const [first] = stage.people.grants.list()
    stage.time.ahead = 3590
    const asked = stage.guard.reached.length
    const answers = await Promise.all([1, 2, 3, 4].map(() => stage.call('ada')))
    deepEqual(
      answers.map(({ headers }) => headers['doorward-code']),
      Array(4).fill('allowed'),
    )
    const refreshes = stage.guard.reached.slice(asked).filter(({ body }) => body.includes('grant_type=refresh_token'))
    equal(refreshes.length, 1)
    const [second] = stage.people.grants.list()
    ok(second !== undefined && second.version !== first?.version && second.since === first?.since)
    ok(second.refresh?.reveal() !== first?.refresh?.reveal())
  })

  test('a token that its server refuses is replaced once, and a grant that the provider ended is asked for again', async () => {
    await stage.grant('ada')
    const [first] = stage.people.grants.list()
    stage.refusedTokens.add(first!.access.reveal())
    equal(await codeOf('ada'), 'allowed')
    // The refresh token is used by somebody else: the provider ends the grant, and so do we.
    const [second] = stage.people.grants.list()
    stage.refusedTokens.add(second!.access.reveal())
    await stage.people.grants.tokens(stage.user('ada'), stage.people.grants.client('notes')!, second!.version)
    const [third] = stage.people.grants.list()
    await stage.store.keep({ ...third!, refresh: second!.refresh })
    stage.refusedTokens.add(third!.access.reveal())
    equal(await codeOf('ada'), 'consent_needed')
    equal(stage.people.grants.list().length, 0)
    equal(stage.events('grant.removed').at(-1)?.['why'], 'provider_refused')
  })

  test('with the provider down a good token goes on, a refused one is unavailable, and nothing is lost', async () => {
    await stage.grant('ada')
    stage.guard.down = true
    stage.time.ahead = 3590
    equal(await codeOf('ada'), 'allowed')
    stage.time.ahead = 3700
    equal(await codeOf('ada'), 'credential_unavailable')
    equal(stage.people.grants.list().length, 1)
    stage.guard.down = false
    equal(await codeOf('ada'), 'allowed')
    stage.time.ahead = 0
    stage.login.down = true
    const link = await stage.link('bob')
    equal((await stage.visitor().visit(link, { form: {} })).headers['doorward-code'], 'consent_unavailable')
    stage.login.down = false
    equal((await stage.grant('bob', stage.visitor(), link)).status, 200)
  })

  test('a person who is denied loses what they granted, here and at the provider', async () => {
    await stage.grant('ada')
    const grant = stage.people.grants.list()[0]!
    const token = grant.access.reveal()
    equal((await stage.guard.provider.AccessToken.find(token))?.isValid, true)
    const { trust } = stage.gateway
    trust.denied.identities.push({
      id: stage.user('ada'),
      // Whatever is issued while this test runs.
      issuedBefore: epochSeconds(Math.floor(Date.now() / 1000) + 60),
    })
    trust.apply()
    try {
      const { id, version } = grant
      await until(() => stage.events('grant.revoked').some((one) => one['grant'] === id && one['version'] === version))
      equal(stage.events('grant.revoked').at(-1)?.['at_provider'], 'done')
      equal(stage.events('grant.removed').at(-1)?.['why'], 'person_denied')
      deepEqual(stage.people.grants.list(), [])
      equal(await codeOf('ada'), 'identity_denied')
    } finally {
      trust.denied.identities.length = 0
      trust.apply()
    }
    equal(await stage.guard.provider.AccessToken.find(token), undefined)
    deepEqual(await readdir(join(stage.folder, 'grants')), [])
    equal(await codeOf('ada'), 'consent_needed')
  })

  /** The issuer is taken away while that is done, and is back afterwards. */
  async function withoutIssuer(gone: (take: () => void) => Promise<void>): Promise<void> {
    const [without, withIssuer] = [
      await stage.people.prepareIssuers([]),
      await stage.people.prepareIssuers([stage.issuer]),
    ]
    try {
      await gone(without)
    } finally {
      withIssuer()
    }
  }

  test('an issuer that is taken away between any two steps of a consent has said who nobody is', async () => {
    const client = stage.people.grants.client('notes')!
    const plan = client.plan.bind(client)
    const kept = stage.events('grant.kept').length
    await withoutIssuer(async (takeAway) => {
      Object.assign(client, {
        plan: async () => {
          const made = await plan()
          takeAway()
          return made
        },
      })
      const page = await stage.grant('ada')
      deepEqual([page.status, page.headers['doorward-code']], [403, 'consent_refused'])
    })
    Object.assign(client, { plan })
    // Nobody was sent on to grant anything.
    equal(stage.events('grant.kept').length, kept)
    equal(stage.events('grant.refused').at(-1)?.['why'], 'the issuer was changed or taken away')
    const keep = stage.store.keep.bind(stage.store)
    await withoutIssuer(async (takeAway) => {
      Object.assign(stage.store, {
        keep: async (grant: Parameters<typeof keep>[0]) => {
          await keep(grant)
          takeAway()
        },
      })
      const page = await stage.grant('ada')
      deepEqual([page.status, page.headers['doorward-code']], [403, 'consent_refused'])
    })
    Object.assign(stage.store, { keep })
    equal(stage.events('grant.removed').at(-1)?.['why'], 'issuer_changed')
    await until(() => stage.events('grant.revoked').at(-1)?.['at_provider'] === 'done')
    deepEqual(stage.people.grants.list(), [])
    equal(await codeOf('ada'), 'consent_needed')
    equal((await stage.grant('ada')).status, 200)
    equal(await codeOf('ada'), 'allowed')
  })

  test('tokens and secrets are in no file, no entry and no answer; nothing of the caller goes to server or providers', async () => {
    await stage.grant('ada')
    const answer = await stage.call('ada')
    const [grant] = stage.people.grants.list()
    const secrets = [grant!.access.reveal(), grant!.refresh!.reveal(), clientSecret]
    const files = await readdir(join(stage.folder, 'grants'))
    equal(files.length, 1)
    const places = [
      answer.text,
      JSON.stringify(stage.gateway.record.entries),
      JSON.stringify(stage.people.grants.list()),
      (await readFile(join(stage.folder, 'grants', files[0]!))).toString('latin1'),
    ]
    for (const place of places) for (const secret of secrets) ok(!place.includes(secret))
    const told = JSON.stringify([stage.server.reached, stage.guard.reached, stage.login.reached])
    ok(!told.includes(stage.agent.certificate.fingerprint) && !told.includes('"dpop"'))
    for (const { headers } of stage.server.having('tools/call'))
      ok(headers['authorization'] === undefined || !headers['authorization'].includes('eyJ'))
  })
})

async function until(holds: () => boolean): Promise<void> {
  const end = Date.now() + 20_000
  while (!holds()) {
    if (Date.now() > end) throw new Error('it did not come about')
    await sleep(10)
  }
}
