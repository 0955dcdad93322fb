/**
 * Links by which somebody without a certificate answers: fetching one changes nothing, the form that it shows answers one
 * request once, and no other form, page or link does. Over real sockets, with a receiver that checks signatures.
 */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, beforeEach, test } from 'node:test'
import { Secret } from '@doorward/core'
import { systemClock } from '@doorward/sdk'
import { ApprovalWebhooks } from '../../packages/server/src/apps/approval-webhooks.ts'
import { serveApprovalLink } from '../../packages/server/src/transports/approval-links.ts'
import {
  defaultCipherSuites,
  defaultListenerLimits,
  openListener,
} from '../../packages/enforcement/src/wire/listener.ts'
import type { Listener } from '../../packages/enforcement/src/wire/listener.ts'
import { openBrowser } from '../fixtures/browser.ts'
import { freePorts } from '../fixtures/deployment.ts'
import { ApprovalStage, callOf, newPath, until } from '../fixtures/approval-stage.ts'
import { securityHeaders } from '../fixtures/gateway-fixture.ts'
import { complete, dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'

/** Where links lead. */
let origin: string
const secret = new Secret('shared between both sides')

let stage: ApprovalStage
let open: Listener
let receiver: Server
const heard: { readonly body: Record<string, string>; readonly signed: boolean }[] = []
/** Status codes that the receiver gives before it takes anything. */
const failures: number[] = []

before(async () => {
  stage = await ApprovalStage.open()
  const [openPort = 0] = await freePorts(1)
  origin = `https://127.0.0.1:${openPort}`
  const own = await stage.gateway.trust.issue('doorward/gateway/open')
  open = await openListener({
    name: 'public',
    host: '127.0.0.1',
    port: openPort,
    clientCertificate: 'none',
    origins: [origin],
    material: stage.gateway.trust.tlsMaterial(own),
    authorities: [`127.0.0.1:${openPort}`],
    cipherSuites: defaultCipherSuites,
    securityHeaders,
    limits: defaultListenerLimits,
    clock: systemClock,
    monotonic: () => performance.now(),
    onExchange: (exchange) =>
      serveApprovalLink(exchange, { pipeline: stage.gateway.pipeline, links: { desk: stage.approvals.desk, origin } }),
    onRefusedHandshake: () => undefined,
  })
  receiver = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const body = Buffer.concat(parts).toString()
      const [, t = '', v1 = ''] =
        /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(request.headers['doorward-signature'])) ?? []
      const expected = createHmac('sha256', secret.reveal()).update(`${t}.${body}`).digest('hex')
      const status = failures.shift() ?? 204
      if (status === 204) heard.push({ body: JSON.parse(body) as Record<string, string>, signed: v1 === expected })
      response.writeHead(status).end()
    })
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  const { port } = receiver.address() as AddressInfo
  const url = `http://127.0.0.1:${port}/hook`
  const webhook = { url, secret: () => Promise.resolve(secret), tls: null, timeoutMilliseconds: 2000 }
  const webhooks = new ApprovalWebhooks({
    notices: () => ({ webhooks: new Map([['team-a', webhook]]), linksAt: origin }),
    origin: 'test.example/gateway/main',
    clock: systemClock,
    warn: () => undefined,
  })
  stage.approvals.onRequested = (request, links) => webhooks.tell(request, links, stage.approvals.desk)
})
after(async () => {
  await open.close(0)
  receiver.close()
  await stage.close()
})
beforeEach(() => {
  stage.approvals.link('team-a')
  heard.length = 0
})

async function http(method: string, path: string, more: Record<string, string> = {}, body = ''): Promise<RawAnswer> {
  const { trust } = stage.gateway
  const socket = await dial({ host: '127.0.0.1', port: open.address.port, ca: trust.anchorsPem })
  const length: Record<string, string> = method === 'POST' ? { 'Content-Length': String(Buffer.byteLength(body)) } : {}
  const headers = Object.entries({ Host: new URL(origin).host, ...length, ...more }).filter(([, value]) => value !== '')
  const head = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  try {
    return parseAnswer(await talk(socket, `${method} ${path} HTTP/1.1\r\n${head}\r\n${body}`, complete))
  } finally {
    socket.destroy()
  }
}

const ofPage = () => ({
  Origin: origin,
  'Sec-Fetch-Site': 'same-origin',
  'Content-Type': 'application/x-www-form-urlencoded',
})
const formOf = (path: string, decision = 'approve', token = path.slice('/approve/'.length)) =>
  new URLSearchParams({ token, decision, reason: '' }).toString()

/** A request that waits, and the path of the link that its approvers were sent. */
async function linked(args?: string): Promise<{ readonly path: string; readonly id: string; readonly link: string }> {
  const path = newPath()
  const body = args ?? `{"path":"${path}"}`
  const id = await stage.refused(await stage.call(callOf(body)), 'approval_pending', path)
  await until(() => heard.length > 0)
  return { path, id, link: String(heard.at(-1)?.body['link']).slice(origin.length) }
}

const waits = async (path: string) =>
  equal((await stage.call(callOf(`{"path":"${path}"}`))).headers['doorward-code'], 'approval_pending')

test('approvers hear of a request, signed, and again until they have taken it', async () => {
  failures.push(500, 503)
  const { id, link, path } = await linked()
  equal(heard.length, 1)
  const [{ body, signed } = { body: {}, signed: false }] = heard
  ok(signed)
  deepEqual([body['kind'], body['id'], body['approvers']], ['approval', id, 'team-a'])
  deepEqual(body['arguments'], { name: 'delete_file', arguments: { path } })
  match(link, /^\/approve\/[A-Za-z0-9_-]{43}$/)
  const kept = JSON.stringify([...stage.approvals.store.requests.values(), ...stage.gateway.record.entries])
  ok(!kept.includes(link.slice('/approve/'.length)), 'what opens the link is nowhere kept')
})

test('fetching a link shows the call and approves nothing, however often; its form approves it once', async () => {
  const { path, id, link } = await linked()
  for (let i = 0; i < 3; i++) {
    const page = await http('GET', link)
    equal(page.status, 200)
    ok(page.body.includes(path) && page.body.includes('spiffe://test.example/agent/planner'))
    match(
      page.headers['content-security-policy'] ?? '',
      /^default-src 'none'; style-src 'sha256-[^']+'; form-action 'self'; frame-ancestors 'none'/,
    )
    deepEqual([page.headers['cache-control'], page.headers['x-frame-options']], ['no-store', 'DENY'])
    ok(!/<script|javascript:|src=|href=/i.test(page.body))
  }
  await waits(path)
  const answer = await http('POST', link, ofPage(), formOf(link))
  equal(answer.status, 200, answer.text)
  stage.passed(await stage.call(callOf(`{"path":"${path}"}`)), path, id)
  const entries = await stage.gateway.entries('approval')
  const approved = entries.find(({ body }) => body['approval'] === id && body['event'] === 'approved')
  deepEqual([approved?.body['by'], approved?.body['remote']], ['link of team-a', '127.0.0.1'])
})

test('a link is good for one answer, and for none when the request is over or links are off', async () => {
  const { path, link } = await linked()
  equal((await http('POST', link, ofPage(), formOf(link, 'deny'))).status, 200)
  equal((await http('GET', link)).status, 404)
  equal((await http('POST', link, ofPage(), formOf(link))).status, 404)
  equal((await stage.call(callOf(`{"path":"${path}"}`))).headers['doorward-code'], 'approval_denied')
  heard.length = 0
  const second = await linked()
  stage.approvals.ahead = 600_001
  equal((await http('POST', second.link, ofPage(), formOf(second.link))).status, 404)
  stage.approvals.ahead = 0
  stage.approvals.link()
  equal((await http('POST', second.link, ofPage(), formOf(second.link))).status, 404)
  await waits(second.path)
})

test('nothing but the form of the page answers', async () => {
  const { path, link } = await linked()
  heard.length = 0
  const other = await linked()
  const wrong: readonly (readonly [string, number, Promise<RawAnswer>])[] = [
    ['another page', 403, http('POST', link, { ...ofPage(), Origin: 'https://evil.example' }, formOf(link))],
    ['no page at all', 403, http('POST', link, { ...ofPage(), Origin: '' }, formOf(link))],
    ['a page that hides where it is', 403, http('POST', link, { ...ofPage(), Origin: 'null' }, formOf(link))],
    ['a page of another site', 403, http('POST', link, { ...ofPage(), 'Sec-Fetch-Site': 'cross-site' }, formOf(link))],
    ['the form of another link', 400, http('POST', link, ofPage(), formOf(link, 'approve', other.link.slice(9)))],
    ['no token', 400, http('POST', link, ofPage(), 'decision=approve&token=')],
    ['two decisions', 400, http('POST', link, ofPage(), `${formOf(link)}&decision=deny`)],
    ['another decision', 400, http('POST', link, ofPage(), formOf(link, 'yes'))],
    ['JSON', 415, http('POST', link, { ...ofPage(), 'Content-Type': 'application/json' }, '{"decision":"approve"}')],
    ['too much', 413, http('POST', link, ofPage(), `${formOf(link)}${'x'.repeat(5000)}`)],
    ['a query', 404, http('GET', `${link}?decision=approve`)],
    ['another method', 405, http('PUT', link, ofPage())],
    ['a guessed link', 404, http('GET', `/approve/${'A'.repeat(43)}`)],
    ['a link that is cut', 404, http('GET', link.slice(0, -1))],
    ['another Host', 421, http('GET', link, { Host: 'evil.example' })],
  ]
  for (const [what, status, answer] of wrong) equal((await answer).status, status, what)
  await waits(path)
  await waits(other.path)
})

test('whatever a caller writes is text on the page', async () => {
  const path = newPath()
  const hostile = `<script>alert(1)</script><form action='https://evil.example'>"\u202e\u200b${path}`
  const { link } = await linked(JSON.stringify({ path, note: hostile }))
  const { body } = await http('GET', link)
  ok(body.includes('&lt;script&gt;') && body.includes('\\u{202e}') && body.includes('\\u{200b}'), body)
  ok(!body.includes('<script') && !body.includes("action='https"))
})

test('people answer in a real browser: what they look at, and a form that the browser itself says is of the page', async () => {
  const browser = await openBrowser()
  try {
    for (const [button, code] of [
      ['deny', 'approval_denied'],
      ['approve', 'allowed'],
    ] as const) {
      heard.length = 0
      const { path, link } = await linked()
      const page = await browser.page()
      await page.goto(`${origin}${link}`)
      ok((await page.locator('pre').innerText()).includes(path))
      await page.locator('input[name=reason]').fill('looked at')
      await page.locator(`button[value=${button}]`).click()
      match(await page.locator('h1').innerText(), button === 'deny' ? /^Denied/ : /^Approved/)
      equal((await stage.call(callOf(`{"path":"${path}"}`))).headers['doorward-code'], code)
      await page.close()
    }
  } finally {
    await browser.close()
  }
})
