/**
 * A provider that issues no tokens for our servers: people sign in there, our own authorization server gives hosts their tokens,
 * and the edge takes them. The official clients with their own OAuth and DPoP code, a real provider, a person in a real browser, the
 * official conformance suite; the guide's configuration is what all of it runs with.
 */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { once } from 'node:events'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import { request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openBrowser } from '../fixtures/browser.ts'
import type { Browser } from '../fixtures/browser.ts'
import { freePorts, repository, TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { certificateFiles } from '../fixtures/edge-stage.ts'
import { clientSecret, webClient } from '../fixtures/grants-stage.ts'
import { fences } from '../fixtures/guide.ts'
import { hostWithBearer, hostWithDpop } from '../fixtures/official-oauth.ts'
import type { Host, SignedIn } from '../fixtures/official-oauth.ts'
import { openProvider } from '../fixtures/oidc-provider.ts'
import type { TestProvider } from '../fixtures/oidc-provider.ts'
import { openTap } from '../fixtures/tap.ts'
import type { Tap } from '../fixtures/tap.ts'
import { runAuthorization } from './conformance/authorization-suite.ts'

let tap: Tap
let provider: TestProvider
let browser: Browser
let back: Server
let system: TestDeployment
let edgeUrl: string
let frontUrl: string
let ca: string
let callbackPort = 0
const secrets: string[] = []

before(async () => {
  tap = await openTap()
  browser = await openBrowser()
  back = createServer((_request, response) => response.end('signed in')).listen(0, '127.0.0.1')
  await once(back, 'listening')
  const [edgePort = 0, frontPort = 0, free = 0] = await freePorts(3)
  callbackPort = free
  edgeUrl = `https://localhost:${edgePort}`
  frontUrl = `https://localhost:${frontPort}`
  provider = await openProvider((one) => ({
    ...one,
    clients: [{ ...webClient('doorward', `${frontUrl}/callback`), grant_types: ['authorization_code'] }],
  }))
  for (const person of ['ada', 'bob']) provider.groups.set(person, ['staff'])
  system = await TestDeployment.prepare({ yaml: '', trustDomain: 'acme.example' })
  const files = await certificateFiles(system.folder, ['localhost'])
  ca = files.ca
  await writeFile(join(system.folder, 'provider.pem'), provider.ca)
  await writeFile(join(system.folder, 'front.secret'), clientSecret, { mode: 0o600 })
  const { yaml, front } = await guideYaml(files.certificate)
  await system.configure(yaml, {
    trustDomain: 'acme.example',
    listeners: `, edge: "127.0.0.1:${edgePort}"`,
    authorityListeners: `, front: "127.0.0.1:${frontPort}"`,
    authority: front,
  })
  await system.up()
})
after(async () => {
  await Promise.all([system?.remove(), browser?.close(), provider?.close(), tap.close()])
  back.closeAllConnections()
  back.close()
})

const redirect = () => `http://127.0.0.1:${(back.address() as AddressInfo).port}/callback`
const resource = () => `${edgeUrl}/mcp/notes`

/** What docs/edge.md says, with the addresses of this machine, older hosts beside the one that it names, and their bearer tokens. */
async function guideYaml({ file, keyFile }: { file: string; keyFile: string }) {
  const markdown = await readFile(join(repository, 'docs', 'edge.md'), 'utf8')
  const text = fences(markdown).find((fence) => fence.kind === 'yaml' && fence.text.includes('  front:\n'))?.text ?? ''
  const local = 'ca_file: provider.pem, allow_private_addresses: true, algorithms: [ES256]'
  const clients = ['claude', 'old', 'conformance'].map(
    (name) => `      ${name}: { client_id: ${name}, redirect_uris: ["http://127.0.0.1/callback"] }`,
  )
  const all = text
    .replace(/^      claude: .*$/m, clients.join('\n'))
    .replace('claims: { groups: groups }', `${local}, claims: { groups: groups }`)
    .replaceAll('https://login.acme.example', provider.url)
    .replace('url: https://notes.acme.example/mcp', `url: "${tap.url}", insecure_upstream: true`)
    .replaceAll('https://mcp.acme.example', edgeUrl)
    .replaceAll('https://sign-in.acme.example', frontUrl)
    .replaceAll(/\/etc\/doorward\/(?:edge|front)\.pem/g, file)
    .replaceAll(/\/etc\/doorward\/(?:edge|front)\.key/g, keyFile)
    .replace('  authorization_server: front\n', '  authorization_server: front\n  bearer: true\n')
  const [, front = ''] = /^(  front:\n(?:    .*\n)+)/m.exec(all) ?? []
  const rest = all.replace(/^trust_domain: .*\n/m, '').replace(/^listeners: .*\n/m, '')
  return { front, yaml: rest.replace(/^authority:\n(?:  .*\n)+/m, '') + wideLimits }
}

/** Who it is, yes at the provider, and then what the person decides here. */
async function signIn(address: URL | string, person: string, decision: 'allow' | 'deny' = 'allow'): Promise<URL> {
  const page = await browser.page()
  try {
    await page.goto(String(address))
    // A page without a form is on its way to the next one, or the last.
    for (let idle = 0; idle < 15 && new URL(page.url()).hostname !== '127.0.0.1';) {
      const before = page.url()
      const decide = page.locator(`button[value=${decision}]`)
      idle++
      if ((await decide.count()) > 0) {
        const text = await page.locator('body').innerText()
        for (const named of ['notes', person, '127.0.0.1']) ok(text.includes(named), `${named} in ${text}`)
        // Scopes narrow nothing here: a page that names them would promise what nobody keeps.
        ok(text.includes('whatever you may do') && !text.includes('notes:read'), text)
        const screenshot = process.env['DOORWARD_SCREENSHOT']
        if (screenshot !== undefined) await page.screenshot({ path: screenshot })
        await decide.first().click()
        idle = 0
      } else if ((await page.locator('[type=submit]').count()) > 0) {
        if ((await page.locator('input[name=login]').count()) > 0) {
          await page.locator('input[name=login]').fill(person)
          await page.locator('input[name=password]').fill('any')
        }
        await page.locator('[type=submit]').first().click()
        idle = 0
      }
      await page.waitForURL((url) => url.href !== before, { timeout: 2000 }).catch(() => undefined)
    }
    const at = new URL(page.url())
    ok(
      at.hostname === '127.0.0.1',
      `${String(at)} ${await page.locator('body').innerText()} ${provider.errors.join('\n')}`,
    )
    return at
  } finally {
    await page.close()
  }
}

const host = (clientId: string, person: string): Host => ({
  url: resource(),
  ca: [ca, provider.ca],
  clientId,
  redirect: redirect(),
  signIn: async (address) => {
    equal(address.origin, frontUrl)
    equal(address.searchParams.get('resource'), resource())
    const { searchParams: answer } = await signIn(address, person)
    equal(answer.get('iss'), frontUrl)
    return answer
  },
})

async function using(opened: Promise<SignedIn>, use: (host: SignedIn) => Promise<void>): Promise<void> {
  const signedIn = await opened
  try {
    await use(signedIn)
  } finally {
    secrets.push(signedIn.token, signedIn.refresh)
    await signedIn.close()
  }
}

const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>

type Body = Readonly<Record<string, unknown>>

/** The newest entry that fits, once a checkpoint covers it. */
async function recorded(fits: (body: Body) => boolean, log: 'gateway' | 'authority' = 'gateway'): Promise<Body> {
  for (let looks = 0; looks < 200; looks++) {
    const found = (await system.record(log)).map(({ entry }): Body => entry.body).findLast(fits)
    if (found !== undefined) return found
    await sleep(50)
  }
  throw new Error('not on the record')
}

const calledBy = (client: string, person: string) => (body: Body) =>
  body['caller'] === `spiffe://acme.example/edge/${client} for ${provider.url}#${person}` &&
  body['action'] === 'tools/call'

/** As a client asks at the token endpoint, without a proof. */
function ask(form: Readonly<Record<string, string>>): Promise<{ status: number; body: Record<string, unknown> }> {
  const body = new URLSearchParams(form).toString()
  const headers = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(body.length) }
  return new Promise((resolve, reject) => {
    const sent = request(`${frontUrl}/token`, { method: 'POST', headers, ca: [ca], agent: false }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (part: string) => (text += part))
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, body: JSON.parse(text) as Record<string, unknown> }),
      )
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

const times = (all: readonly string[], one: string) => all.filter((each) => each === one).length

describe('docs/edge.md, where the provider issues no tokens for us', () => {
  test('a host that can prove a key signs a person in, calls, and gets its next token by itself', () =>
    using(hostWithDpop(host('claude', 'ada')), async (signedIn) => {
      deepEqual(await signedIn.list(), ['read_note'])
      match(await signedIn.call('read_note'), /done/)
      const first = claimsOf(signedIn.token)
      const { iss, aud, sub, client_id, cnf } = first
      deepEqual([iss, aud, sub, client_id], [frontUrl, resource(), `${provider.url}#ada`, 'claude'])
      ok(JSON.stringify(cnf).includes('jkt'))
      const entry = await recorded(calledBy('claude', 'ada'))
      deepEqual([entry['decision'], entry['strength']], ['allow', 'dpop-bound-token'])
      const { requests, refresh } = signedIn
      ok(requests.includes('GET /.well-known/oauth-authorization-server 200'), requests.join('\n'))
      secrets.push(signedIn.token, refresh)
      const before = times(requests, 'POST /token 200')
      signedIn.spoil()
      match(await signedIn.call('read_note'), /done/)
      equal(times(requests, 'POST /token 200'), before + 1, requests.join('\n'))
      ok(claimsOf(signedIn.token)['jti'] !== first['jti'])
      ok(signedIn.refresh !== '' && signedIn.refresh !== refresh, 'the refresh token is another one')
      ok(!tap.since(0).includes(signedIn.token))
    }))

  test('an older host, with bearer tokens: a refresh token that is used twice ends all that came of its sign-in', () =>
    using(hostWithBearer(host('old', 'ada')), async (signedIn) => {
      match(await signedIn.call('read_note'), /done/)
      const entry = await recorded(calledBy('old', 'ada'))
      deepEqual([entry['decision'], entry['strength']], ['allow', 'bearer-token'])
      const form = { grant_type: 'refresh_token', client_id: 'old', refresh_token: signedIn.refresh }
      equal((await ask({ ...form, client_id: 'claude' })).status, 400)
      const next = await ask(form)
      equal(next.status, 200, JSON.stringify(next.body))
      const again = await ask(form)
      deepEqual([again.status, again.body['error']], [400, 'invalid_grant'])
      const last = await ask({ ...form, refresh_token: String(next.body['refresh_token']) })
      deepEqual([last.status, last.body['error']], [400, 'invalid_grant'])
      secrets.push(String(next.body['access_token']), String(next.body['refresh_token']))
      const from = tap.bytes
      const refused = await signedIn.call('read_note').catch((error: unknown) => error)
      ok(refused instanceof Error)
      equal(tap.bytes, from)
      await recorded(({ code }) => code === 'token_denied')
    }))

  test('a person whom no binding names signs in all the same, and may do nothing', async () => {
    const from = tap.bytes
    const opened = await hostWithDpop(host('claude', 'eve')).catch((error: unknown) => error)
    ok(opened instanceof Error)
    equal(tap.bytes, from)
    const caller = `spiffe://acme.example/edge/claude for ${provider.url}#eve`
    const denied = await recorded((body) => body['caller'] === caller)
    deepEqual([denied['decision'], denied['code']], ['deny', 'policy_denied'])
  })

  test('a person who says no is asked for nothing more, and the host gets nothing', async () => {
    const query = {
      response_type: 'code',
      client_id: 'claude',
      redirect_uri: redirect(),
      code_challenge: 'A'.repeat(43),
      code_challenge_method: 'S256',
      resource: resource(),
      state: 'its-own',
    }
    const answer = await signIn(`${frontUrl}/authorize?${new URLSearchParams(query).toString()}`, 'bob', 'deny')
    const { code, error, state } = Object.fromEntries(answer.searchParams)
    deepEqual([code, error, state], [undefined, 'access_denied', 'its-own'])
  })

  test('the conformance suite finds nothing wrong with the authorization server', async () => {
    const run = await runAuthorization({
      url: frontUrl,
      clientId: 'conformance',
      resource: resource(),
      port: callbackPort,
      ca,
      signIn: async (address) => void (await signIn(address, 'bob')),
    })
    deepEqual([run.scenarios, run.passed, run.failed], [2, 2, 0], run.output)
  })

  test('a person who is denied is signed out everywhere: calls are refused, and no next token is given', () =>
    using(hostWithDpop(host('claude', 'bob')), async (signedIn) => {
      match(await signedIn.call('read_note'), /done/)
      const { code, stderr } = await system.run(['revoke', 'user', `${provider.url}#bob`])
      equal(code, 0, stderr)
      const from = tap.bytes
      const refused = await signedIn.call('read_note').catch((error: unknown) => error)
      ok(refused instanceof Error)
      equal(tap.bytes, from)
      ok(
        signedIn.requests.some((one) => one.startsWith('POST /token 4')),
        signedIn.requests.join('\n'),
      )
    }))

  test('no token is anywhere in what was written or told', async () => {
    await system.interrupt()
    const files = await readdir(system.folder, { recursive: true })
    const texts = [system.stderr, JSON.stringify(system.events), tap.since(0)]
    for (const name of files) {
      const path = join(system.folder, name)
      if ((await stat(path)).isFile()) texts.push((await readFile(path)).toString('latin1'))
    }
    ok(secrets.length > 6)
    for (const secret of secrets)
      for (const part of secret.startsWith('eyJ') ? secret.split('.').slice(1) : secret.split('.').slice(-1))
        ok(part !== '' && !texts.some((text) => text.includes(part)), 'a secret is somewhere')
  })
})
