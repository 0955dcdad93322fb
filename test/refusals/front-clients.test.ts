/** Clients that are known by a document: what is fetched, what of it counts, and what is never asked. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { createServer } from 'node:https'
import type { Server } from 'node:https'
import { createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Server as TcpServer } from 'node:net'
import { after, before, beforeEach, describe, test } from 'node:test'
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

const network = '192.0.2.0/24'

/** As somebody of one network asks. */
const find = (known: KnownFrontClients, id = url) => known.find(id, network)

test('a client is who its document says, named with its host, and is asked for once an hour', async () => {
  const known = clients()
  const [one, two] = await Promise.all([find(known), find(known)])
  const { host } = new URL(url)
  deepEqual(one, { id: url, name: `Host (${host})`, from: 'document', redirectUris: [redirect] })
  equal(two, one)
  await find(known)
  equal(reached.length, 1)
  time += 3_600_001
  await find(known)
  equal(reached.length, 2)
})

async function until(what: string, so: () => Promise<boolean> | boolean): Promise<void> {
  const end = Date.now() + 20_000
  while (!(await so())) {
    if (Date.now() > end) throw new Error(`${what} has not come`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

describe('a document that has less than half an hour left', () => {
  const nameOf = async (known: KnownFrontClients) => {
    const found = await find(known)
    return found === null || found === 'busy' ? found : found.name
  }
  const host = () => new URL(url).host

  /** Asked for an hour ago, but for a little more than the half of it. */
  async function halfway(): Promise<KnownFrontClients> {
    const known = clients()
    await find(known)
    time += 1_799_999
    equal(await nameOf(known), `Host (${host()})`)
    equal(reached.length, 1)
    time += 2
    return known
  }

  test('is looked at again without anybody who waits, and counts for an hour from then on', async () => {
    const known = await halfway()
    answer = { status: 200, body: JSON.stringify(documentOf({ client_name: 'New' })) }
    equal(await nameOf(known), `Host (${host()})`)
    await until('the new document', async () => (await nameOf(known)) === `New (${host()})`)
    time += 1_799_999
    equal(await nameOf(known), `New (${host()})`)
    equal(reached.length, 2)
  })

  test('stays to the end of its hour while its host is away, and is asked for again and again', async () => {
    const known = await halfway()
    answer = { status: 503, body: '' }
    equal(await nameOf(known), `Host (${host()})`)
    await until('a question', () => reached.length === 2)
    const ends = time + 1_799_999
    // The pause begins when the answer is there, which nobody waits for.
    await until('another question', async () => {
      time += 1000
      equal(await nameOf(known), `Host (${host()})`)
      return reached.length === 3
    })
    deepEqual(told, [])
    time = ends
    await until('the end', async () => (await nameOf(known)) === null)
    equal(told.length, 1)
  })

  test('ends when its host says something else of the client', async () => {
    const known = await halfway()
    answer = { status: 200, body: JSON.stringify(documentOf({ client_secret: 'x' })) }
    equal(await nameOf(known), `Host (${host()})`)
    await until('the end', async () => (await nameOf(known)) === null)
    equal(reached.length, 2)
  })

  test('ends when its host says with a status that it is not there', async () => {
    for (const status of [302, 403, 404, 410]) {
      reached = []
      told = []
      answer = { status: 200, body: JSON.stringify(documentOf()) }
      const known = await halfway()
      answer = { status, body: '' }
      equal(await nameOf(known), `Host (${host()})`)
      await until('the end', async () => (await nameOf(known)) === null)
      deepEqual([reached.length, told], [2, [`expected status 200, got ${status}`]])
    }
  })

  test('stays when its host says that too many ask', async () => {
    const known = await halfway()
    answer = { status: 429, body: '' }
    equal(await nameOf(known), `Host (${host()})`)
    await until('another question', async () => {
      time += 1000
      equal(await nameOf(known), `Host (${host()})`)
      return reached.length === 3
    })
    deepEqual(told, [])
  })
})

test('of the documents of a host the one that was not asked for longest makes way', async () => {
  const known = clients()
  const idOf = (at: number) => `${url}${at}`
  const asked = async (at: number) => {
    answer = { status: 200, body: JSON.stringify(documentOf({ client_id: idOf(at) })) }
    const before = reached.length
    ok((await find(known, idOf(at))) !== null)
    return reached.length - before
  }
  for (let at = 0; at < 16; at++) equal(await asked(at), 1)
  equal(await asked(0), 0)
  equal(await asked(16), 1)
  equal(await asked(0), 0)
  equal(await asked(1), 1)
})

test('a document at a private address is not fetched', async () => {
  equal(await find(clients(false), url), null)
  equal(await find(clients(false), 'https://127.0.0.1/client.json'), null)
  equal(await find(clients(false), 'https://169.254.169.254/latest'), null)
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
  for (const id of ids) equal(await find(clients(), id), null, id)
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
    equal(await find(clients(), url), null, JSON.stringify(one).slice(0, 100))
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
    equal(await find(clients(), url), null, JSON.stringify(change))
  }
  equal(told.length, wrong.length)
})

test('what is wrong with a document is looked at again, and not at once', async () => {
  answer = { status: 503, body: '' }
  const known = clients()
  equal(await find(known), null)
  answer = { status: 200, body: JSON.stringify(documentOf()) }
  equal(await find(known), null)
  equal(reached.length, 1)
  time += 30_001
  ok((await find(known)) !== null)
})

test('a redirect of the own device is compared without its port, all others exactly', () => {
  const listed = ['http://127.0.0.1/cb', 'https://client.test.example/cb', 'cursor://anysphere/callback']
  for (const one of ['http://127.0.0.1:1/cb', 'http://127.0.0.1/cb', ...listed]) ok(answersAt(listed, one), one)
  for (const one of ['http://localhost:1/cb', 'https://client.test.example:444/cb', 'cursor://anysphere/callback2'])
    ok(!answersAt(listed, one), one)
})

describe('documents that nobody sends', () => {
  let silent: TcpServer
  let port: number
  before(async () => {
    silent = createTcpServer()
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    ;({ port } = silent.address() as AddressInfo)
  })
  after(() => void silent.close())

  /** As `count` strangers of different networks ask for documents of one host. */
  const fetching = (
    known: KnownFrontClients,
    hostname: string,
    count: number,
    from = (at: number) => `${hostname} ${at}`,
  ) => Array.from({ length: count }, (_, at) => known.find(`https://${hostname}:${port}/${at}`, from(at)))

  test('take four places of their host, and none of others', async () => {
    const known = clients()
    const under = fetching(known, '127.0.0.1', 4)
    equal(await known.find(`https://127.0.0.1:${port}/more`, network), 'busy')
    equal(await known.find(`https://127.0.0.1:${port + 1}/more`, network), 'busy')
    ok((await find(known)) !== null)
    deepEqual(await Promise.all(under), [null, null, null, null])
  })

  test('take four places of the network that asks for them, and none of others', async () => {
    const known = clients()
    const under = ['127.0.0.1', '127.0.0.2'].flatMap((one) => fetching(known, one, 2, () => network))
    equal(await find(known), 'busy')
    ok((await known.find(url, '198.51.100.0/24')) !== null)
    equal(typeof (await find(known)), 'object')
    deepEqual(await Promise.all(under), [null, null, null, null])
  })

  test('take no more places than there are', async () => {
    const known = clients()
    const hosts = Array.from({ length: 8 }, (_, at) => `127.0.0.${at + 1}`)
    const under = hosts.flatMap((one) => fetching(known, one, 4))
    equal(await find(known), 'busy')
    equal((await Promise.all(under)).filter((one) => one !== null).length, 0)
    ok((await find(known)) !== null)
  })
})

test('what is no client pushes none out, and a host no more than its own', async () => {
  const known = clients()
  ok((await find(known)) !== null)
  for (let at = 0; at < 1100; at++) equal(await find(known, `https://169.254.169.254/${at}`), null)
  ok((await find(known)) !== null)
  equal(reached.length, 1)
  for (let at = 0; at < 16; at++) {
    const id = `${url}${at}`
    answer = { status: 200, body: JSON.stringify(documentOf({ client_id: id })) }
    ok((await find(known, id)) !== null)
  }
  equal(reached.length, 17)
  await find(known, `${url}15`)
  equal(reached.length, 17)
  answer = { status: 200, body: JSON.stringify(documentOf()) }
  ok((await find(known)) !== null)
  equal(reached.length, 18)
})
