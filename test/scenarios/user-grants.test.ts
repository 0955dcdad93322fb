/** `doorward up` in front of a server that wants people's own tokens: a real browser, two real providers, and the commands. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { openBrowser } from '../fixtures/browser.ts'
import type { Browser, Page } from '../fixtures/browser.ts'
import { freePorts, TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { certificateFiles } from '../fixtures/edge-stage.ts'
import { clientSecret, guardedServer, guardOf, resource, webClient } from '../fixtures/grants-stage.ts'
import { modern } from '../fixtures/modern-server.ts'
import { openProvider } from '../fixtures/oidc-provider.ts'
import type { TestProvider } from '../fixtures/oidc-provider.ts'
import { keySet, minted, platformKey } from '../fixtures/platform-issuer.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'

const key = platformKey('ES256', 'own')
let folder: string
let login: TestProvider
let guard: TestProvider
let server: ScriptedServer
let browser: Browser
let system: TestDeployment
let port = 0
let ca = ''

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-grants-'))
  ;[port = 0] = await freePorts(1)
  const publicUrl = `https://localhost:${port}`
  const own = { ...key.privateKey.export({ format: 'jwk' }), kid: 'own', alg: 'ES256', use: 'sig' }
  login = await openProvider((one) => ({
    ...one,
    jwks: { keys: [own] },
    clients: [webClient('gateway-sign-in', `${publicUrl}/consent/signed-in`)],
  }))
  guard = await openProvider((one) => ({ ...one, ...guardOf(publicUrl) }))
  server = await guardedServer(guard, new Set())
  const files = await certificateFiles(folder, ['localhost'])
  ca = files.ca
  const { file, keyFile } = files.certificate
  await writeFile(join(folder, 'jwks.json'), keySet(key))
  await writeFile(join(folder, 'login.pem'), login.ca)
  await writeFile(join(folder, 'guard.pem'), guard.ca)
  await writeFile(join(folder, 'client.secret'), clientSecret, { mode: 0o600 })
  const at = (name: string) => JSON.stringify(join(folder, name))
  const yaml = `issuers:
  people: { issuer: "${login.url}", algorithms: [ES256], jwks_file: ${at('jwks.json')}, ca_file: ${at('login.pem')},
    allow_private_addresses: true, consent: { client_id: gateway-sign-in, client_secret_file: ${at('client.secret')} } }
secrets:
  client: { file: ${at('client.secret')}, servers: [notes] }
servers:
  notes:
    url: "${server.url}"
    insecure_upstream: true
    approval: off
    credential:
      user_oauth: { authorization_server: "${guard.url}", client_id: gateway, client_secret: client, resource: "${resource}",
        scopes: [notes.read], ca_file: ${at('guard.pem')}, allow_private_addresses: true }
edge:
  { public_url: "${publicUrl}", issuers: [people], servers: [notes], clients: { claude: [claude-client] }, bearer: true,
    certificate: { file: ${JSON.stringify(file)}, key_file: ${JSON.stringify(keyFile)} } }
roles:
  from-the-edge: ["read:notes/*", "write:notes/*"]
bindings:
  - { role: from-the-edge, workloads: ["spiffe://test.example/edge/*"] }
  - { role: from-the-edge, issuer: "${login.url}", users: [ada] }
${wideLimits}`
  const [opened, started] = await Promise.all([
    openBrowser(),
    TestDeployment.start({ yaml, listeners: `, edge: "127.0.0.1:${port}"` }),
  ])
  browser = opened
  system = started
})
after(async () => {
  await Promise.all([system?.remove(), browser?.close()])
  await Promise.all([login?.close(), guard?.close(), server?.close()])
  await rm(folder, { recursive: true, force: true })
})

async function call(): Promise<RawAnswer> {
  const at = Math.floor(Date.now() / 1000)
  const claims = { iss: login.url, sub: 'ada', aud: `https://localhost:${port}/mcp/notes`, client_id: 'claude-client' }
  const times = { iat: at, nbf: at, exp: at + 300, jti: randomUUID() }
  const token = await minted(key, { ...claims, ...times }, { typ: 'at+jwt' })
  const { body, headers = {} } = modern('tools/call', { params: { name: 'x', arguments: {} } })
  const all = {
    Host: `localhost:${port}`,
    Authorization: `Bearer ${token}`,
    Accept: 'application/json, text/event-stream',
    'Content-Type': 'application/json',
    'Content-Length': String(Buffer.byteLength(body)),
    ...headers,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`)
  const socket = await dial({ host: '127.0.0.1', port, ca, servername: 'localhost' })
  try {
    return parseAnswer(await talk(socket, `POST /mcp/notes HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`))
  } finally {
    socket.destroy()
  }
}

/** The providers' own pages. */
async function agree(page: Page, person: string): Promise<void> {
  for (let step = 0; step < 8 && !page.url().includes('/consent/'); step++) {
    if ((await page.locator('input[name=login]').count()) > 0) {
      await page.locator('input[name=login]').fill(person)
      await page.locator('input[name=password]').fill('any')
    }
    if ((await page.locator('[type=submit]').count()) > 0) await page.locator('[type=submit]').first().click()
  }
}

async function through(link: string, person: string): Promise<string> {
  const page = await browser.page()
  await page.goto(link)
  match(await page.locator('body').innerText(), /An agent that acts for you wants to call notes/)
  await page.locator('[type=submit]').first().click()
  await page.waitForURL((url) => !url.pathname.startsWith('/consent/'), { timeout: 30_000 })
  await agree(page, person)
  const text = await page.locator('body').innerText()
  await page.close()
  return text
}

const linkIn = (answer: RawAnswer) => /https:\/\/localhost:\d+\/consent\/[A-Za-z0-9_-]{43}/.exec(answer.body)?.[0] ?? ''

test('a person clicks through once, and calls go with their own token until it is taken away', async () => {
  const asked = await call()
  equal(asked.headers['doorward-code'], 'consent_needed', asked.text)
  match(await through(linkIn(asked), 'ada'), /Calls to notes in your name can be made now/)
  const answer = await call()
  equal(answer.headers['doorward-code'], 'allowed', answer.text)
  match(answer.body, /for ada/)
  const listed = await system.run(['grants', 'list', '--json'])
  const { grants } = JSON.parse(listed.stdout) as { readonly grants: readonly Record<string, unknown>[] }
  deepEqual([grants.length, grants[0]?.['user'], grants[0]?.['server']], [1, `${login.url}#ada`, 'notes'])
  ok(!listed.stdout.includes('"access"') && !listed.stdout.includes('"refresh"'))
  const revoked = await system.run(['grants', 'revoke', String(grants[0]?.['id'])])
  equal(revoked.code, 0, revoked.stderr)
  equal((await call()).headers['doorward-code'], 'consent_needed')
  equal((await system.run(['grants', 'revoke', '0'.repeat(32)])).code, 1)
  equal((await system.run(['grants', 'revoke'])).code, 2)
})

test('another person in the browser grants nothing', async () => {
  const asked = await call()
  match(await through(linkIn(asked), 'mallory'), /this link is for another person/)
  equal((await call()).headers['doorward-code'], 'consent_needed')
  const bodies = (await system.record()).map(({ entry: { body } }) => body)
  equal(bodies.findLast((body) => body['event'] === 'grant.refused')?.['code'], 'other_person')
})
