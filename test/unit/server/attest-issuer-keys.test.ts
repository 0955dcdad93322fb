/** Keys of issuers over time, and the fetching of documents: bounds, addresses, and what an issuer that misbehaves can do. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { IssuerKeys } from '../../../packages/server/src/issuers/issuer-keys.ts'
import { fetchDocument, isFetchable } from '../../../packages/server/src/transports/fetch-document.ts'
import { fetchIssuerKeys } from '../../../packages/server/src/transports/issuer-key-source.ts'
import { documentServer, keySet, platformKey } from '../../fixtures/platform-issuer.ts'
import type { DocumentServer } from '../../fixtures/platform-issuer.ts'

const first = platformKey('ES256', 'first')
const second = platformKey('ES256', 'second')
let server: DocumentServer
before(async () => {
  server = await documentServer()
})
after(() => server.close())

/** Keys whose source and clock the test moves. */
function stage(document: string | null = keySet(first)) {
  const source = { document, asked: 0, now: 0 }
  const keys = new IssuerKeys({
    load: async () => {
      source.asked++
      if (source.document === null) throw new Error('out of reach')
      return Buffer.from(source.document)
    },
    algorithms: ['ES256'],
    monotonic: () => source.now,
  })
  return { source, find: (kid: string) => keys.find('ES256', kid) }
}

test('keys are asked for once by callers that come together, and kept for ten minutes', async () => {
  const { source, find } = stage()
  const found = await Promise.all(Array.from({ length: 20 }, () => find('first')))
  assert.ok(found.every((key) => key !== null))
  source.now = 600_000
  await find('first')
  assert.equal(source.asked, 1)
  source.now = 600_001
  await find('first')
  assert.equal(source.asked, 2)
})

test('unknown key ids lead to one request in half a minute, however many there are', async () => {
  const { source, find } = stage()
  await find('first')
  source.now = 30_000
  for (let i = 0; i < 100; i++) assert.equal(await find(`unknown-${i}`), null)
  assert.equal(source.asked, 2)
  source.document = keySet(first, second)
  assert.equal(await find('second'), null)
  source.now = 60_000
  assert.notEqual(await find('second'), null)
})

test('a key that the issuer withdraws is gone within ten minutes', async () => {
  const { source, find } = stage(keySet(first, second))
  assert.notEqual(await find('first'), null)
  source.document = keySet(second)
  source.now = 600_001
  assert.equal(await find('first'), null)
})

test('an issuer out of reach keeps its keys for an hour, and is asked twice a minute; then nothing is accepted', async () => {
  const { source, find } = stage()
  await find('first')
  source.document = null
  for (source.now = 600_001; source.now < 3_600_000; source.now += 1000) assert.notEqual(await find('first'), null)
  assert.ok(source.asked <= 102, String(source.asked))
  source.now = 3_600_001
  await assert.rejects(find('first'), { code: 'issuer_keys_unavailable' })
  source.document = keySet(first)
  source.now += 30_000
  assert.notEqual(await find('first'), null)
})

test('keys that cannot be had at first are not had, and are not asked for at once again', async () => {
  const { source, find } = stage(null)
  for (let i = 0; i < 10; i++) await assert.rejects(find('first'), { code: 'issuer_keys_unavailable' })
  assert.equal(source.asked, 1)
  source.document = '{"keys":[]}'
  source.now = 30_000
  await assert.rejects(find('first'), { code: 'issuer_keys_unavailable' })
})

test('no document comes from link-local, multicast, reserved or disguised addresses, private ones only where that is said', () => {
  const never = [
    '169.254.169.254',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '192.0.2.1',
    '::',
    'fe80::1',
    'ff02::1',
    '::ffff:127.0.0.1',
    '::ffff:8.8.8.8',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    '2001:db8::1',
    'fd00:ec2::254',
    'localhost',
    '',
  ]
  for (const address of never)
    assert.deepEqual([isFetchable(address, false), isFetchable(address, true)], [false, false], address)
  const locals = [
    '127.0.0.1',
    '10.1.2.3',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    '::1',
    'fc00::1',
    'fd12::1',
  ]
  for (const address of locals)
    assert.deepEqual([isFetchable(address, false), isFetchable(address, true)], [false, true], address)
  for (const address of ['8.8.8.8', '172.32.0.1', '2606:4700::1111'])
    assert.equal(isFetchable(address, false), true, address)
})

test('a document is fetched over https from a server that is known, and not without its authority', async () => {
  server.documents.set('/keys', keySet(first))
  const url = new URL(`${server.url}/keys`)
  const bytes = await fetchDocument(url, { ca: server.ca, allowPrivateAddresses: true })
  assert.equal(Buffer.from(bytes).toString(), keySet(first))
  await assert.rejects(fetchDocument(url, { allowPrivateAddresses: true }), { code: 'document_unavailable' })
})

test('a name that leads to this machine, an address written in another way, plain http and credentials are refused', async () => {
  const { port } = new URL(server.url)
  const asked = server.asked.length
  for (const text of [
    `${server.url}/keys`,
    `https://127.0.0.1:${port}/keys`,
    `https://2130706433:${port}/keys`,
    `https://0177.0.0.1:${port}/keys`,
    `https://[::1]:${port}/keys`,
    `https://[::ffff:127.0.0.1]:${port}/keys`,
    `http://localhost:${port}/keys`,
    `https://user@localhost:${port}/keys`,
  ])
    await assert.rejects(
      fetchDocument(new URL(text), { ca: server.ca, allowPrivateAddresses: false }),
      { code: 'document_refused' },
      text,
    )
  assert.equal(server.asked.length, asked)
})

test('redirects, errors, encoded, oversized and endless answers are no documents', async () => {
  const answers = {
    redirect: (response) => void response.writeHead(302, { location: '/keys' }).end(),
    error: (response) => void response.writeHead(500).end(keySet(first)),
    encoded: (response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end('x'),
    large: (response) => void response.writeHead(200).end('x'.repeat(65_537)),
    endless: (response) => {
      response.writeHead(200)
      const more = setInterval(() => response.write('x'.repeat(16_384)), 1)
      response.on('close', () => clearInterval(more))
    },
    silent: () => undefined,
  } as const satisfies Record<string, (response: import('node:http').ServerResponse) => void>
  for (const [name, answer] of Object.entries(answers)) {
    server.documents.set(`/${name}`, answer)
    const fetched = fetchDocument(new URL(`${server.url}/${name}`), { ca: server.ca, allowPrivateAddresses: true })
    await assert.rejects(fetched, { code: 'document_unavailable' }, name)
  }
})

test('what nobody waits for any more ends by the signal, before an answer and within one, however long it might take', async () => {
  for (const place of ['/silent', '/begun']) {
    const ending = new AbortController()
    const closed = new Promise<void>((resolve) => {
      server.documents.set(place, (response) => {
        response.once('close', () => resolve())
        if (place === '/begun') response.writeHead(200).write('x')
        setImmediate(() => ending.abort())
      })
    })
    const options = { ca: server.ca, allowPrivateAddresses: true, milliseconds: 86_400_000, signal: ending.signal }
    const fetched = fetchDocument(new URL(`${server.url}${place}`), options)
    await assert.rejects(fetched, { code: 'document_unavailable' }, place)
    await closed
  }
})

test('discovery: the issuer names itself and an https place for its keys, to which the same rules apply', async () => {
  const options = { ca: server.ca, allowPrivateAddresses: true }
  const issuer = `${server.url}/realm`
  const from = { issuer, jwksUrl: null }
  const say = (document: object) =>
    server.documents.set('/realm/.well-known/openid-configuration', JSON.stringify(document))
  say({ issuer, jwks_uri: `${server.url}/keys`, other: [1] })
  assert.equal(Buffer.from(await fetchIssuerKeys(from, options)).toString(), keySet(first))
  say({ issuer: server.url, jwks_uri: `${server.url}/keys` })
  await assert.rejects(fetchIssuerKeys(from, options), { code: 'issuer_document_invalid' })
  say({ issuer })
  await assert.rejects(fetchIssuerKeys(from, options), { code: 'issuer_document_invalid' })
  for (const place of ['http://localhost/keys', 'https://169.254.169.254/keys', 'file:///etc/passwd']) {
    say({ issuer, jwks_uri: place })
    await assert.rejects(fetchIssuerKeys(from, options), { code: 'document_refused' }, place)
  }
})
