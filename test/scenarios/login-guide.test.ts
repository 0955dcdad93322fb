/** The guide to signing in, followed to the letter: a real provider, a real browser, and the commands as they are written. */

import { equal, match, ok } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { openBrowser } from '../fixtures/browser.ts'
import type { Browser, Page } from '../fixtures/browser.ts'
import { repository, TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import type { RunResult } from '../fixtures/deployment.ts'
import { readGuide } from '../fixtures/guide.ts'
import { openProvider } from '../fixtures/oidc-provider.ts'
import type { TestProvider } from '../fixtures/oidc-provider.ts'

const documents = join(repository, 'examples', 'first-call', 'documents')
const example = 'https://login.acme.example'

describe('docs/login.md', () => {
  let provider: TestProvider
  let browser: Browser
  let system: TestDeployment
  let markdown: string

  before(async () => {
    markdown = await readFile(join(repository, 'docs', 'login.md'), 'utf8')
    provider = await openProvider()
    provider.groups.set('alice', ['research']).set('bob', [])
    const yaml = readGuide(markdown)
      .files.find(({ machine }) => machine === 'here')!
      .text.replaceAll(example, provider.url)
      .replace('    algorithms:', '    ca_file: provider.pem\n    allow_private_addresses: true\n    algorithms:')
      .replace('/srv/docs', documents)
    system = await TestDeployment.prepare({ yaml: `${yaml}${wideLimits}`, trustDomain: 'acme.example' })
    await writeFile(join(system.folder, 'provider.pem'), provider.ca)
    const [opened] = await Promise.all([openBrowser(), system.up()])
    browser = opened
  })
  after(async () => {
    await Promise.all([system?.remove(), browser?.close()])
    await provider?.close()
  })

  /** Starts the command, and lets somebody sign in at the address that it shows. */
  async function login(words: readonly string[], person: string, screenshot?: string): Promise<RunResult> {
    const { command, args, env } = system.launch(words)
    const child = spawn(command, args, { cwd: system.folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (part: Buffer) => (stdout += part.toString()))
    const closed = once(child, 'close') as Promise<[number]>
    const shown = new Promise<string>((resolve, reject) => {
      child.stderr.on('data', (part: Buffer) => {
        stderr += part.toString()
        const [, url] = /(https:\/\/localhost:\d+\/\S+)\n/.exec(stderr) ?? []
        if (url !== undefined) resolve(url)
      })
      child.once('close', () => reject(new Error(`no address was shown: ${stderr}`)))
    })
    const page = await browser.page()
    await page.goto(await shown)
    await agree(page, person)
    if (!words.includes('--device')) {
      await page.waitForURL((url) => url.hostname === '127.0.0.1', { timeout: 30_000 })
      match(await page.locator('body').innerText(), /You can close this page/)
    }
    if (screenshot !== undefined) await page.screenshot({ path: screenshot })
    const [code] = await closed
    await page.close()
    return { code, stdout, stderr }
  }

  /** The provider's own pages: for a device first the code, then who it is, then consent. */
  async function agree(page: Page, person: string): Promise<void> {
    for (const end = Date.now() + 60_000; page.url().startsWith(provider.url) && Date.now() < end;) {
      if (/Sign-in Success/.test(await page.locator('body').innerText())) return
      if ((await page.locator('[type=submit]').count()) === 0) {
        // A page that goes on by itself is on its way to the next one.
        await new Promise((resolve) => setTimeout(resolve, 50))
        continue
      }
      if ((await page.locator('input[name=login]').count()) > 0) {
        await page.locator('input[name=login]').fill(person)
        await page.locator('input[name=password]').fill('any')
      }
      await Promise.all([page.waitForNavigation({ timeout: 20_000 }), page.locator('[type=submit]').first().click()])
    }
  }

  test('its commands do what it says', async () => {
    const { commands } = readGuide(markdown)
    equal(commands.length, 13)
    for (const { words, exit, line } of commands) {
      const [program, ...rest] = words.map((word) => word.replaceAll(example, provider.url))
      equal(program, 'doorward', line)
      const isLogin = rest[0] === 'login' && !rest.includes('--status')
      // What was issued within the second of a denial is denied too.
      if (isLogin) await new Promise((resolve) => setTimeout(resolve, 2000))
      const { code, stdout, stderr } = isLogin
        ? await login(rest, 'alice', process.env['DOORWARD_SCREENSHOT'])
        : await system.run(rest)
      equal(code, exit, `${line}\n${stdout}${stderr}\n${provider.errors.join('\n')}`)
    }
    const calls = await system.record()
    const callers = calls.map(({ entry }) => (entry.body as { caller?: string }).caller ?? '')
    ok(
      callers.some((caller) => caller.endsWith(` for ${provider.url}#alice`)),
      callers.join('\n'),
    )
  })

  test('a person whom no binding names may do nothing, whatever the workload may', async () => {
    const { code, stderr } = await login(['login', 'corp', '--no-browser'], 'bob')
    equal(code, 0, stderr)
    const denied = await system.run(['call', 'files', 'read_text_file', 'path=welcome.md', '--json'])
    equal(denied.code, 1)
    match(denied.stdout, /policy_denied|session/)
    equal((await system.run(['call', 'files', 'read_text_file', 'path=welcome.md', '--no-user'])).code, 0)
    equal((await system.run(['logout'])).code, 0)
  })

  test('a person without a browser here signs in on another device', async () => {
    const { code, stdout, stderr } = await login(['login', 'corp', '--device', '--json'], 'alice')
    equal(code, 0, `${stdout}${stderr}${provider.errors.join('\n')}`)
    const told = JSON.parse(stdout) as { readonly user: string; readonly groups: readonly string[] }
    equal(told.user, `${provider.url}#alice`)
    equal((await system.run(['call', 'files', 'read_text_file', 'path=welcome.md', '--as-user'])).code, 0)
  })
})
