/** Names under which nobody is served: DNS rebinding and browsers end here. */

import { after, before, test } from 'node:test'
import { Stage } from './stage.ts'
import type { Attempt, Caller } from './stage.ts'

let stage: Stage
let agent: Caller
let port: number

before(async () => {
  stage = await Stage.open()
  agent = await stage.caller('agent/planner')
  port = stage.deployment.gateway.listeners.main.port
})
after(() => stage.close())

test('the configured names are served', async () => {
  for (const Host of [`127.0.0.1:${port}`, `localhost:${port}`])
    await stage.passes({ caller: agent, headers: { Host } })
})

test('a Host of any other name is refused', async () => {
  for (const Host of [
    'evil.example',
    `evil.example:${port}`,
    `localhost.evil.example:${port}`,
    `evillocalhost:${port}`,
    `127.0.0.1.nip.io:${port}`,
    `LOCALHOST:${port}`,
    `localhost.:${port}`,
    '127.0.0.1',
    'localhost',
    `127.0.0.1:${port + 1}`,
    `127.0.0.1:0${port}`,
    `127.1:${port}`,
    `2130706433:${port}`,
    `[::1]:${port}`,
    `[::ffff:127.0.0.1]:${port}`,
    `user@127.0.0.1:${port}`,
    `127.0.0.1:${port}, evil.example`,
    '',
  ])
    await stage.contrast({ caller: agent }, { headers: { Host } }, 'host_unknown')
})

test('two Host headers are refused, in whichever order', async () => {
  const own = `127.0.0.1:${port}`
  for (const Host of [
    [own, 'evil.example'],
    ['evil.example', own],
    [own, own],
  ])
    await stage.contrast({ caller: agent }, { headers: { Host } }, 'header_duplicate')
})

test('a request without Host is refused', () => refuse({ headers: { Host: null } }, 'request_malformed'))

test('a name that proxies forward counts for nothing', async () => {
  const forwarded = { 'X-Forwarded-Host': `localhost:${port}`, Forwarded: `host="localhost:${port}"` }
  const right: Attempt = { caller: agent, headers: forwarded }
  await stage.contrast(right, { headers: { Host: 'evil.example' } }, 'host_unknown')
})

test('a target that brings its own authority is refused', () =>
  refuse({ target: `https://127.0.0.1:${port}/mcp/files` }, 'path_ambiguous'))

test('a handshake for another name than the Host is refused', async () => {
  const right: Attempt = { caller: agent, connect: { servername: 'localhost' }, headers: { Host: `localhost:${port}` } }
  await stage.contrast(right, { connect: { servername: 'evil.example' } }, 'host_unknown')
})

test('any Origin is refused, because none is configured', async () => {
  for (const Origin of [
    'https://evil.example',
    'null',
    '',
    `https://localhost:${port}`,
    `https://127.0.0.1:${port}`,
    'http://localhost',
    'http://localhost:6274',
    'file://',
    'chrome-extension://abcdefghijklmnop',
  ])
    await stage.contrast({ caller: agent }, { headers: { Origin } }, 'origin_unknown')
})

test('a preflight of a browser is refused', () => refuse({ method: 'OPTIONS' }, 'http_method'))

test('the record counts each of these refusals by its reason, and no others', () => stage.settle())

async function refuse(wrong: Partial<Attempt>, code: string): Promise<void> {
  await stage.contrast({ caller: agent }, wrong, code)
}
