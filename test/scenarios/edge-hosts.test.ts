/**
 * Hosts that take a URL: the official clients with their own OAuth and DPoP code, a real provider, and a person in a real
 * browser. The guide's configuration is what the gateway runs with.
 */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { IncomingMessage, Server } from 'node:http'
import { get } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openBrowser } from '../fixtures/browser.ts'
import type { Browser, Page } from '../fixtures/browser.ts'
import { freePorts, repository, TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { edgeProvider } from '../fixtures/edge-provider.ts'
import { certificateFiles } from '../fixtures/edge-stage.ts'
import { fences } from '../fixtures/guide.ts'
import { openV2 } from '../fixtures/official-peers.ts'
import { hostWithBearer, hostWithDpop } from '../fixtures/official-oauth.ts'
import type { Host, SignedIn } from '../fixtures/official-oauth.ts'
import type { TestProvider } from '../fixtures/oidc-provider.ts'
import { openTap } from '../fixtures/tap.ts'
import type { Tap } from '../fixtures/tap.ts'

let tap: Tap
let provider: TestProvider
let browser: Browser
let back: Server
let system: TestDeployment
let publicUrl: string
let ca: string

before(async () => {
  tap = await openTap()
  browser = await openBrowser()
  back = createServer((_request, response) => response.end('signed in')).listen(0, '127.0.0.1')
  await once(back, 'listening')
  const [port = 0] = await freePorts(1)
  publicUrl = `https://localhost:${port}`
  provider = await edgeProvider({
    clients: { 'claude-client-id': redirect(), 'old-client-id': redirect() },
    resources: [`${publicUrl}/mcp/notes`],
    bound: ['claude-client-id'],
  })
  provider.groups.set('ada', ['staff'])
  system = await TestDeployment.prepare({ yaml: '', trustDomain: 'acme.example' })
  const files = await certificateFiles(system.folder, ['localhost'])
  ca = files.ca
  await writeFile(join(system.folder, 'provider.pem'), provider.ca)
  await system.configure(await guideYaml(files.certificate), {
    trustDomain: 'acme.example',
    listeners: `, edge: "127.0.0.1:${port}"`,
  })
  await system.up()
})
after(async () => {
  await Promise.all([system?.remove(), browser?.close(), provider?.close(), tap.close()])
  back.closeAllConnections()
  back.close()
})

/** The guide's list of bindings goes on. */
const bridged = '  - { role: notes-reader, workloads: ["spiffe://acme.example/agent/*"] }\n'

const redirect = () => `http://127.0.0.1:${(back.address() as AddressInfo).port}/callback`

/** What docs/edge.md says, with the addresses of this machine, and an older host beside the one that it names. */
async function guideYaml({ file, keyFile }: { file: string; keyFile: string }): Promise<string> {
  const markdown = await readFile(join(repository, 'docs', 'edge.md'), 'utf8')
  const yaml = fences(markdown).find(({ kind }) => kind === 'yaml')?.text ?? ''
  const local = 'ca_file: provider.pem, allow_private_addresses: true, algorithms: [ES256]'
  return (
    yaml
      .replace(/^trust_domain: .*\n/m, '')
      .replace(/^listeners: .*\n/m, '')
      .replace('claims: { groups: groups }', `${local}, claims: { groups: groups }`)
      .replaceAll('https://login.acme.example', provider.url)
      .replace('url: https://notes.acme.example/mcp', `url: "${tap.url}", insecure_upstream: true`)
      .replaceAll('https://mcp.acme.example', publicUrl)
      .replace('/etc/doorward/edge.pem', file)
      .replace('/etc/doorward/edge.key', keyFile)
      .replace(
        'clients: { claude: [claude-client-id] }',
        'clients: { claude: [claude-client-id], old: [old-client-id] }\n  bearer: true',
      ) +
    bridged +
    wideLimits
  )
}

/** Who it is, and yes, as often as the provider asks. */
async function signIn(address: URL, person: string): Promise<URLSearchParams> {
  equal(address.searchParams.get('resource'), `${publicUrl}/mcp/notes`)
  equal(address.searchParams.get('code_challenge_method'), 'S256')
  const page: Page = await browser.page()
  await page.goto(String(address))
  for (let step = 0; step < 6 && page.url().startsWith(provider.url); step++) {
    if ((await page.locator('input[name=login]').count()) > 0) {
      await page.locator('input[name=login]').fill(person)
      await page.locator('input[name=password]').fill('any')
    }
    if ((await page.locator('[type=submit]').count()) === 0) break
    await page.locator('[type=submit]').first().click()
  }
  await page.waitForURL((url) => url.hostname === '127.0.0.1', { timeout: 15_000 }).catch(() => undefined)
  const at = new URL(page.url())
  await page.close()
  ok(at.hostname === '127.0.0.1', `${String(at)} ${provider.errors.join('\n')}`)
  return at.searchParams
}

const host = (clientId: string, person: string): Host => ({
  url: `${publicUrl}/mcp/notes`,
  ca: [ca, provider.ca],
  clientId,
  redirect: redirect(),
  signIn: (address) => signIn(address, person),
})

async function using(opened: Promise<SignedIn>, use: (host: SignedIn) => Promise<void>): Promise<void> {
  const signedIn = await opened
  try {
    await use(signedIn)
  } finally {
    await signedIn.close()
  }
}

/** As curl asks. */
async function got(url: string) {
  const asked = get(url, { ca, servername: 'localhost' })
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  let body = ''
  for await (const part of response) body += String(part)
  const lines = response.rawHeaders
  const challenges = lines.filter((_, i) => lines[i - 1]?.toLowerCase() === 'www-authenticate' && i % 2 === 1)
  return { status: response.statusCode, challenges, body }
}

const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>

/** What a host starts. */
interface Entered {
  readonly command: string
  readonly args: readonly string[]
}

type Body = Readonly<Record<string, unknown>>

/** The newest entry that fits, once a checkpoint covers it. */
async function recorded(fits: (body: Body) => boolean): Promise<Body> {
  for (let looks = 0; looks < 200; looks++) {
    const bodies = (await system.record()).map(({ entry }): Body => entry.body)
    const found = bodies.findLast(fits)
    if (found !== undefined) return found
    await sleep(50)
  }
  throw new Error('not on the record')
}

const calledBy = (caller: string) => (body: Body) => body['caller'] === caller && body['action'] === 'tools/call'

describe('docs/edge.md', () => {
  test('a host that can prove a key: refused, sent to the provider, signed in, and on record as the person by the host', () =>
    using(hostWithDpop(host('claude-client-id', 'ada')), async (signedIn) => {
      deepEqual(await signedIn.list(), ['read_note'])
      match(await signedIn.call('read_note'), /done/)
      const { aud, cnf } = claimsOf(signedIn.token)
      equal(aud, `${publicUrl}/mcp/notes`)
      ok(JSON.stringify(cnf).includes('jkt'))
      const entry = await recorded(calledBy(`spiffe://acme.example/edge/claude for ${provider.url}#ada`))
      deepEqual([entry['decision'], entry['strength']], ['allow', 'dpop-bound-token'])
      ok(signedIn.requests.includes('POST /mcp/notes 401'))
      ok(
        signedIn.requests.includes('GET /.well-known/oauth-protected-resource/mcp/notes 200'),
        signedIn.requests.join('\n'),
      )
      ok(!tap.since(0).includes(signedIn.token))
    }))

  test('an older host, with bearer tokens: the same, and on record as weaker', () =>
    using(hostWithBearer(host('old-client-id', 'ada')), async (signedIn) => {
      match(await signedIn.call('read_note'), /done/)
      const entry = await recorded(calledBy(`spiffe://acme.example/edge/old for ${provider.url}#ada`))
      deepEqual([entry['decision'], entry['strength']], ['allow', 'bearer-token'])
      ok(!tap.since(0).includes(signedIn.token))
    }))

  test('a person whom no binding names signs in all the same, and may do nothing', async () => {
    const from = tap.bytes
    const opened = await hostWithDpop(host('claude-client-id', 'eve')).catch((error: unknown) => error)
    ok(opened instanceof Error)
    equal(tap.bytes, from)
    const caller = `spiffe://acme.example/edge/claude for ${provider.url}#eve`
    const denied = await recorded((body) => body['caller'] === caller)
    deepEqual([denied['decision'], denied['code']], ['deny', 'policy_denied'])
  })

  test('its bridge is entered in the hosts of this machine beside what they have, and what is entered calls', async () => {
    const markdown = await readFile(join(repository, 'docs', 'edge.md'), 'utf8')
    const lines = [...markdown.matchAll(/`doorward (connect notes --install (\S+))`/g)]
    const cursor = join(system.folder, '.cursor', 'mcp.json')
    await mkdir(join(system.folder, '.cursor'))
    await writeFile(cursor, '{ "mcpServers": { "mine": { "command": "mine" } } }\n')
    const files: Readonly<Record<string, readonly [string, string]>> = {
      'claude-desktop': ['mcpServers', join(system.folder, 'config', 'Claude', 'claude_desktop_config.json')],
      cursor: ['mcpServers', cursor],
      vscode: ['servers', join(system.folder, 'config', 'Code', 'User', 'mcp.json')],
      'claude-code': ['mcpServers', join(system.folder, '.claude.json')],
    }
    deepEqual(
      lines.map(([, , name = '']) => name),
      Object.keys(files),
    )
    for (const [, line = '', name = ''] of lines) {
      const { code, stderr } = await system.run([...line.split(' '), '--yes'])
      equal(code, 0, `${line}\n${stderr}`)
      const [member, path] = files[name]!
      const written = JSON.parse(await readFile(path, 'utf8')) as Readonly<Record<string, Record<string, Entered>>>
      const { command, args } = written[member]?.['notes'] ?? { command: '', args: [] }
      deepEqual(args.slice(-2), ['--as', `agent/${name}`])
      if (name === 'cursor') deepEqual(written[member]?.['mine'], { command: 'mine' })
      const peer = await openV2({ command, args: [...args], env: { ...system.env } })
      deepEqual(
        (await peer.client.listTools()).tools.map((tool) => tool.name),
        ['read_note'],
        name,
      )
      await peer.close()
    }
  })

  /** Lines that begin with the name of our program, and those within a table. */
  const commands = async () => {
    const markdown = await readFile(join(repository, 'docs', 'edge.md'), 'utf8')
    const found = [...markdown.matchAll(/^ {4}(doorward .*)$|`(doorward (?:config|revoke) [^`]*)`/gm)]
    return found.map(([, line = '', inline = '']) => (line === '' ? inline : line))
  }

  test('what it enters in hosts is where a host signs in, whatever the form of its file', async () => {
    const markdown = await readFile(join(repository, 'docs', 'edge.md'), 'utf8')
    const files = [...markdown.matchAll(/\| `(\{.*?\})` \|$/gm)].map(([, text = '']) => JSON.parse(text) as Body)
    deepEqual(
      files.map((file) => Object.keys(file)),
      [['mcpServers'], ['servers']],
    )
    const entries = files.flatMap((file) => Object.values(file).flatMap((one) => Object.entries(one as object)))
    const inText = [...markdown.matchAll(/(?:URL `|--transport http notes )(https:[^ `]*)/g)].map(([, url = '']) => url)
    const urls = [...entries.map(([, entry]) => String((entry as Body)['url'])), ...inText]
    deepEqual([urls.length, new Set(urls).size], [4, 1])
    deepEqual(entries[1]?.[1], { type: 'http', url: urls[0] })
    equal(urls[0]?.replace('https://mcp.acme.example', publicUrl), host('claude-client-id', 'ada').url)
  })

  test('its two looks from outside say what it says', async () => {
    const markdown = await readFile(join(repository, 'docs', 'edge.md'), 'utf8')
    const looks = [...markdown.matchAll(/^ {4}curl (?:-i )?(\S+)$/gm)].map(([, url = '']) => url)
    equal(looks.length, 2)
    const [server = '', metadata = ''] = looks.map((url) => url.replace('https://mcp.acme.example', publicUrl))
    const refused = await got(server)
    deepEqual([refused.status, refused.challenges.length], [401, 2])
    for (const line of refused.challenges) ok(line.includes(`resource_metadata="${metadata}"`), line)
    const described = await got(metadata)
    equal(described.status, 200)
    deepEqual((JSON.parse(described.body) as Body)['authorization_servers'], [provider.url])
  })

  test('it is taken up without a start, as it says', async () => {
    const { code, stdout, stderr } = await system.run(['gateway', 'reload'])
    equal(code, 0, stderr)
    match(stdout, /✓ gateway {3}unchanged/)
  })

  test('its commands do what it says: what is taken away is gone', async () => {
    const signedIn = await hostWithDpop(host('claude-client-id', 'ada'))
    try {
      await signedIn.call('read_note')
      const { token } = await recorded(calledBy(`spiffe://acme.example/edge/claude for ${provider.url}#ada`))
      const lines = await commands()
      deepEqual(
        lines.map((line) => line.split(' ').slice(1, 3).join(' ')),
        ['config check', 'audit query', 'revoke user', 'revoke workload', 'revoke token'],
      )
      for (const line of lines) {
        const [, ...words] = line
          .replace('https://login.acme.example', provider.url)
          .replace('<token of the record>', String(token))
          .replaceAll("'", '')
          .split(' ')
        const { code, stdout, stderr } = await system.run(words)
        equal(code, 0, `${line}\n${stdout}${stderr}`)
        if (words[0] === 'audit') match(stdout, /edge\/claude/)
        if (words[0] !== 'revoke') match(await signedIn.call('read_note'), /done/)
      }
      const from = tap.bytes
      const refused = await signedIn.call('read_note').catch((error: unknown) => error)
      ok(refused instanceof Error)
      equal(tap.bytes, from)
    } finally {
      await signedIn.close()
    }
  })
})
