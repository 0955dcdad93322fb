/** Clients that are known by a document: what is fetched, what of it counts, and what is never asked. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { createServer } from 'node:https'
import type { Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { after, before, beforeEach, test } from 'node:test'
import { answersAt } from '@doorward/core'
import { KnownFrontClients } from '../../packages/server/src/apps/front-clients.ts'
import { foreign, foreignKey, pemFile } from '../fixtures/foreign-certificates.ts'

let server: Server
let ca: string
let url: string
let told: string[] = []
let reached: string[] = []
let answer: { status: number; body: string; headers?: Readonly<Record<string, string>> }
let time = 0

before(async () => {
  const authority = foreign({ subject: ['Documents'], key: foreignKey('p256'), ca: true })
  const own = foreign({ subject: ['localhost'], key: foreignKey('p256'), ca: false, dns: ['localhost'] }, authority)
  const key = own.key.export({ type: 'pkcs8', format: 'pem' })
  server = createServer({ cert: pemFile(own), key, minVersion: 'TLSv1.3' }, (request, response) => {
    reached.push(request.url ?? '')
    response.writeHead(answer.status, answer.headers).end(answer.body)
  })
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  url = `https://localhost:${(server.address() as AddressInfo).port}/client.json`
  ca = pemFile(authority)
})
after(() => {
  server.closeAllConnections()
  server.close()
})
beforeEach(() => {
  told = []
  reached = []
  answer = { status: 200, body: JSON.stringify(documentOf()) }
})

const redirect = 'https://client.test.example/cb'
const documentOf = (change: object = {}) => ({
  client_id: url,
  client_name: 'Host',
  redirect_uris: [redirect],
  ...change,
})

function clients(allowPrivateAddresses = true) {
  return new KnownFrontClients({
    configured: [],
    documents: { ca, allowPrivateAddresses },
    monotonic: () => time,
    onRefused: (_id, why) => void told.push(why),
  })
}

test('a client is who its document says, named with its host, and is asked for once an hour', async () => {
  const known = clients()
  const [one, two] = await Promise.all([known.find(url), known.find(url)])
  deepEqual([one?.name, one?.redirectUris, two], [`Host (${new URL(url).host})`, [redirect], one])
  await known.find(url)
  equal(reached.length, 1)
  time += 3_600_001
  await known.find(url)
  equal(reached.length, 2)
})

test('a document at a private address is not fetched', async () => {
  equal(await clients(false).find(url), null)
  equal(await clients(false).find('https://127.0.0.1/client.json'), null)
  equal(await clients(false).find('https://169.254.169.254/latest'), null)
  deepEqual([reached.length, told.length], [0, 3])
})

test('an id that is not exactly the URL of a document is not fetched', async () => {
  const { host } = new URL(url)
  const ids = [
    `http://${host}/client.json`,
    `https://${host}`,
    `https://${host}/`,
    `${url}#x`,
    `${url}?x=1`,
    `https://user@${host}/client.json`,
    `https://${host}/x/../client.json`,
    `https://${host}/x/%2e%2e/client.json`,
    `HTTPS://${host}/client.json`,
    'claude-client',
    `https://${host}/${'x'.repeat(600)}`,
  ]
  for (const id of ids) equal(await clients().find(id), null, id)
  equal(reached.length, 0)
})

test('a redirect is not followed, and what is large, late or no document gives no client', async () => {
  const answers = [
    { status: 302, body: '', headers: { location: `${url}2` } },
    { status: 404, body: JSON.stringify(documentOf()) },
    { status: 200, body: JSON.stringify(documentOf({ more: 'x'.repeat(8192) })) },
    { status: 200, body: 'no JSON' },
    { status: 200, body: '[]' },
  ]
  for (const one of answers) {
    answer = one
    equal(await clients().find(url), null, JSON.stringify(one).slice(0, 100))
  }
  equal(reached.length, answers.length)
})

test('a document of another client, with a secret, or with redirects that are none gives no client', async () => {
  const wrong = [
    { client_id: `${url}2` },
    { client_id: undefined },
    { client_secret: 'x' },
    { token_endpoint_auth_method: 'client_secret_basic' },
    { grant_types: ['client_credentials'] },
    { response_types: ['token'] },
    { redirect_uris: [] },
    { redirect_uris: undefined },
    { redirect_uris: [redirect, 'javascript:alert(1)'] },
    { redirect_uris: ['http://client.test.example/cb'] },
    { redirect_uris: Array.from({ length: 17 }, (_, at) => `${redirect}${at}`) },
  ]
  for (const change of wrong) {
    answer = { status: 200, body: JSON.stringify(documentOf(change)) }
    equal(await clients().find(url), null, JSON.stringify(change))
  }
  equal(told.length, wrong.length)
})

test('what is wrong with a document is looked at again, and not at once', async () => {
  answer = { status: 503, body: '' }
  const known = clients()
  equal(await known.find(url), null)
  answer = { status: 200, body: JSON.stringify(documentOf()) }
  equal(await known.find(url), null)
  equal(reached.length, 1)
  time += 30_001
  ok((await known.find(url)) !== null)
})

test('a redirect of the own device is compared without its port, all others exactly', () => {
  const listed = ['http://127.0.0.1/cb', 'https://client.test.example/cb', 'cursor://anysphere/callback']
  for (const one of ['http://127.0.0.1:1/cb', 'http://127.0.0.1/cb', ...listed]) ok(answersAt(listed, one), one)
  for (const one of ['http://localhost:1/cb', 'https://client.test.example:444/cb', 'cursor://anysphere/callback2'])
    ok(!answersAt(listed, one), one)
})
