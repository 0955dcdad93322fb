/**
 * The guide to people's own grants, followed to the letter: `doorward up` in front of a server that wants people's own tokens, a real
 * browser, two real providers, and the commands.
 */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openBrowser } from '../fixtures/browser.ts'
import type { Browser, Page } from '../fixtures/browser.ts'
import { freePorts, repository, TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { certificateFiles } from '../fixtures/edge-stage.ts'
import { clientSecret, guardedServer, guardOf, resource, webClient } from '../fixtures/grants-stage.ts'
import { readGuide } from '../fixtures/guide.ts'
import type { Guide, GuideCommand } from '../fixtures/guide.ts'
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
let guide: Guide

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-grants-'))
  ;[port = 0] = await freePorts(1)
  const publicUrl = `https://localhost:${port}`
  const own = { ...key.privateKey.export({ format: 'jwk' }), kid: 'own', alg: 'ES256', use: 'sig' }
  login = await openProvider((one) => ({
    ...one,
    jwks: { keys: [own] },
    clients: [webClient('doorward-gateway', `${publicUrl}/consent/signed-in`)],
  }))
  guard = await openProvider((one) => ({
    ...one,
    ...guardOf(publicUrl),
    clients: [webClient('acme-doorward', `${publicUrl}/consent/callback`)],
  }))
  server = await guardedServer(guard, new Set())
  const files = await certificateFiles(folder, ['localhost'])
  ca = files.ca
  guide = readGuide(await readFile(join(repository, 'docs', 'user-grants.md'), 'utf8'))
  system = await TestDeployment.prepare({ yaml: '', trustDomain: 'acme.example' })
  await system.configure(guideYaml(files.certificate, publicUrl), {
    trustDomain: 'acme.example',
    listeners: `, edge: "127.0.0.1:${port}"`,
  })
  await writeFile(join(system.folder, 'jwks.json'), keySet(key))
  await writeFile(join(system.folder, 'login.pem'), login.ca)
  await writeFile(join(system.folder, 'guard.pem'), guard.ca)
  for (const name of ['consent.secret', 'notes-client.secret'])
    await writeFile(join(system.folder, name), clientSecret, { mode: 0o600 })
  const [opened] = await Promise.all([openBrowser(), system.up()])
  browser = opened
})
after(async () => {
  await Promise.all([system?.remove(), browser?.close()])
  await Promise.all([login?.close(), guard?.close(), server?.close()])
  await rm(folder, { recursive: true, force: true })
})

/** What the guide says, with the addresses of this machine, and a host that holds plain bearer tokens. */
function guideYaml({ file, keyFile }: { file: string; keyFile: string }, publicUrl: string): string {
  const local = (ca: string) => `ca_file: ${ca}, allow_private_addresses: true`.split(', ')
  const lines = (indent: string, ...all: readonly string[]) => all.map((one) => `\n${indent}${one}`).join('')
  const yaml = guide.files.find(({ machine }) => machine === 'here')?.text ?? ''
  const [own, theirs] = [local('login.pem'), local('guard.pem')]
  return (
    yaml
      .replace(/^listeners: .*\n/m, '')
      .replace(
        /^    issuer: https:.*$/m,
        (line) => line + lines('    ', 'algorithms: [ES256]', 'jwks_file: jwks.json', ...own),
      )
      .replaceAll('https://login.acme.example', login.url)
      .replace(
        'https://notes.vendor.example/mcp',
        `"${server.url}"${lines('    ', 'insecure_upstream: true', 'approval: off')}`,
      )
      .replace(
        'https://auth.vendor.example',
        `${guard.url}${lines('        ', `resource: "${resource}"`, 'scopes: [notes.read]', ...theirs)}`,
      )
      .replace('https://edge.acme.example', `${publicUrl}${lines('  ', 'bearer: true')}`)
      .replace('file: edge.pem, key_file: edge.key', `file: "${file}", key_file: "${keyFile}"`) + wideLimits
  )
}

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

/** Clicks through, and calls. */
async function granted(): Promise<void> {
  const asked = await call()
  equal(asked.headers['doorward-code'], 'consent_needed', asked.text)
  match(await through(linkIn(asked), 'ada'), /Calls to notes in your name can be made now/)
  const answer = await call()
  equal(answer.headers['doorward-code'], 'allowed', answer.text)
  match(answer.body, /for ada/)
}

async function listed(): Promise<readonly Record<string, unknown>[]> {
  const { stdout, stderr } = await system.run(['grants', 'list', '--json'])
  ok(!stdout.includes('"access"') && !stdout.includes('"refresh"'), stderr)
  return (JSON.parse(stdout) as { readonly grants: readonly Record<string, unknown>[] }).grants
}

/** A command of the guide, with the name of the grant that there is. */
async function carriedOut({ words: [program, ...words], exit, line }: GuideCommand, grant: string): Promise<string> {
  equal(program, 'doorward', line)
  const said = words.map((word) => word.replace('https://login.acme.example', login.url).replace(/^0123.*/, grant))
  const { code, stdout, stderr } = await system.run(said)
  equal(code, exit, `${line}\n${stdout}${stderr}`)
  return stdout
}

const next = (line: RegExp): GuideCommand => {
  const found = guide.commands.find((one) => line.test(one.line))
  ok(found !== undefined, String(line))
  return found
}

test('a person clicks through once, and calls go with their own token until it is taken away', async () => {
  equal(guide.commands.length, 5)
  await carriedOut(next(/ secret put /), '')
  await granted()
  match(await carriedOut(next(/ grants list$/), ''), /notes/)
  const [grant, ...others] = await listed()
  deepEqual([others.length, grant?.['user'], grant?.['server']], [0, `${login.url}#ada`, 'notes'])
  await carriedOut(next(/ grants revoke [0-9]/), String(grant?.['id']))
  await granted()
  equal((await system.run(['grants', 'revoke', '0'.repeat(32)])).code, 1)
  equal((await system.run(['grants', 'revoke'])).code, 2)
})

test('another person in the browser grants nothing', async () => {
  await carriedOut(next(/ grants revoke --user /), '')
  const asked = await call()
  match(await through(linkIn(asked), 'mallory'), /this link is for another person/)
  equal((await call()).headers['doorward-code'], 'consent_needed')
  const bodies = (await system.record()).map(({ entry: { body } }) => body)
  equal(bodies.findLast((body) => body['event'] === 'grant.refused')?.['code'], 'other_person')
})

test('a person who is denied has granted nothing any more, and is refused', async () => {
  await granted()
  await carriedOut(next(/ revoke user /), '')
  equal((await call()).headers['doorward-code'], 'identity_denied')
  for (let looks = 0; (await listed()).length > 0; looks++) {
    ok(looks < 20, 'what was granted is there')
    await sleep(250)
  }
  const bodies = (await system.record()).map(({ entry: { body } }) => body)
  equal(bodies.findLast((body) => body['event'] === 'grant.removed')?.['why'], 'person_denied')
})
