/** Two sidecars and the programs beside them: what passes, and beside it what is refused, on real sockets. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rename } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { after, before, test } from 'node:test'
import {
  anchorName,
  buildCertificate,
  epochSeconds,
  keyIdOf,
  newSerial,
  parseSpiffeId,
  svidTemplate,
} from '@doorward/core'
import { generateP256, openAssertionVerifier, randomBytes, sha256 } from '@doorward/sdk'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import type { RawAnswer, RawIdentity } from '../fixtures/authority/raw-client.ts'
import { call, joined, tokenFor } from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'
import { idOf } from '../fixtures/sdk-stage.ts'
import {
  askLocally,
  calleeName,
  callerName,
  giveTo,
  openSidecarStage,
  openStream,
  outboundOf,
  streamAnswer,
  until,
} from '../fixtures/sidecar-stage.ts'
import type { Asked, SidecarStage } from '../fixtures/sidecar-stage.ts'

const nobody = 65_534
const isRoot = process.getuid?.() === 0
let stage: SidecarStage

before(async () => (stage = await openSidecarStage(programAnswer)))
after(() => stage.close())

/** What the program does with what reaches it. */
function programAnswer(request: IncomingMessage, response: ServerResponse): void {
  const id = request.url?.split('?')[0]?.split('/').at(-1)
  if (request.url === '/slow') return
  if (request.url === '/stream') return streamAnswer(response)
  if (id === 'large') return void response.end('x'.repeat(200_000))
  if (id === 'garbage') return void request.socket.end('SSH-2.0-none\r\n\r\n')
  if (id === 'half') {
    response.writeHead(200, { 'content-length': 100 })
    return void response.write('half', () => request.socket.destroy())
  }
  response.setHeader('doorward-decision', 'forged')
  response.setHeader('content-type', 'text/plain')
  response.end(`order ${id}`)
}

const right = () => askLocally(stage.outSocket, '/orders/7')
const last = () => stage.tap.reached.at(-1)

/** Nothing of it reaches the program, and what is right beside it does. */
async function unreached(ask: () => Promise<unknown>): Promise<void> {
  const before = stage.tap.reached.length
  await ask()
  assert.equal(stage.tap.reached.length, before)
  assert.equal((await right()).status, 200)
  assert.equal(stage.tap.reached.length, before + 1)
}

/** A refusal of a local program on the record of its sidecar. */
async function onRecord(reason: string, name = callerName): Promise<void> {
  await until(async () => {
    const counted = (await stage.entries(name)).filter(({ kind }) => kind === 'refusals')
    return counted.find(({ body }) => body['reason'] === reason)
  }, `${reason} on record`)
}

/** The outcome of the call that the answer names. */
function outcomeOf({ headers }: Pick<Asked, 'headers'>): Promise<Readonly<Record<string, unknown>>> {
  const index = Number(String(headers['doorward-decision']).split('#')[1])
  return until(async () => {
    const outcome = (await stage.entries(calleeName)).find(
      ({ kind, body }) => kind === 'outcome' && body['of'] === index,
    )
    return outcome?.body
  }, `an outcome of ${index}`)
}

function verifier() {
  return openAssertionVerifier({
    issuer: idOf(calleeName),
    audience: 'orders',
    keys: async () => (await askLocally(stage.ownSocket, '/jwks.json')).text,
  })
}

async function principalOf(assertion: unknown, target: string) {
  const verdict = await verifier().verify(String(assertion), { method: 'GET', target })
  assert.ok(verdict.ok, JSON.stringify(verdict))
  return verdict.claims
}

test('a program calls another one through both sidecars, which is told who it is, about which request', async () => {
  const answer = await askLocally(stage.outSocket, '/orders/7?full=1')
  assert.deepEqual([answer.status, answer.text, answer.headers['doorward-code']], [200, 'order 7', 'allowed'])
  const { method, url, headers } = last() ?? assert.fail('not reached')
  assert.deepEqual([method, url], ['GET', '/orders/7?full=1'])
  const claims = await principalOf(headers['doorward-principal'], '/orders/7?full=1')
  assert.deepEqual([claims.sub, claims.client_id, claims.act], [idOf(callerName), idOf(callerName), undefined])
  assert.equal(claims.decision, answer.headers['doorward-decision'])
  assert.equal((await outcomeOf(answer))['status'], 'completed')
  const denied = await askLocally(stage.outSocket, '/orders', { method: 'POST', body: 'one' })
  assert.deepEqual([denied.status, denied.headers['doorward-code']], [403, 'policy_denied'])
})

test('neither credentials of the local program nor words about who calls pass', async () => {
  const forged = {
    'doorward-principal': 'forged',
    'x-doorward-principal': 'forged',
    forwarded: 'for=forged',
    'x-forwarded-for': 'forged',
    'x-remote-user': 'forged',
    authorization: 'Bearer mine',
    cookie: 'mine=1',
    'x-api-key': 'mine',
    'x-original-url': '/admin',
  }
  const answer = await askLocally(stage.outSocket, '/orders/7', { headers: { ...forged, 'x-request-id': 'one' } })
  assert.equal(answer.status, 200, answer.text)
  const { headers } = last() ?? assert.fail('not reached')
  assert.deepEqual(
    Object.keys(headers)
      .filter((name) => name in forged || name === 'x-request-id')
      .toSorted(),
    ['doorward-principal', 'x-request-id'],
  )
  assert.ok(!JSON.stringify(headers).includes('mine'))
  await principalOf(headers['doorward-principal'], '/orders/7')
  assert.notEqual(answer.headers['doorward-decision'], 'forged')
})

/** What a workload that speaks TLS by hand gets from the callee's sidecar. */
async function byHand(workload: RawIdentity, token: string, headers: Record<string, string> = {}): Promise<RawAnswer> {
  const client = await RawClient.open({ host: '127.0.0.1', port: Number(new URL(stage.audience).port) }, workload)
  try {
    return await client.request('GET', '/orders/7', { headers: { authorization: `Bearer ${token}`, ...headers } })
  } finally {
    client.close()
  }
}

async function tokenOf(workload: Workload, audience = stage.audience): Promise<string> {
  const client = await RawClient.open(stage.authority.running.addresses.main, workload)
  try {
    return await tokenFor(client, audience)
  } finally {
    client.close()
  }
}

test('whoever stands between cannot make the callee believe that somebody else calls', async () => {
  const gateway = await joined(stage.authority, idOf('doorward/gateway/between'), ['reader'])
  const stolen = (await stage.caller.identity.token(stage.audience)).reveal()
  await unreached(async () => {
    const answer = await byHand(gateway, stolen)
    assert.deepEqual([answer.status, answer.headers['doorward-code']], [401, 'token_binding'])
  })
  const own = await tokenOf(gateway)
  const seen = last()?.headers['doorward-principal']
  const answer = await byHand(gateway, own, { 'doorward-principal': String(seen) })
  assert.equal(answer.status, 200)
  const claims = await principalOf(last()?.headers['doorward-principal'], '/orders/7')
  assert.equal(claims.client_id, gateway.id)
})

test('somebody else at the place of the callee gets no byte', async () => {
  const elsewhere = join(stage.folder, 'wrong.sock')
  const sidecar = await stage.sidecar('agent/wrong', outboundOf(elsewhere, stage.audience, '', idOf('service/other')))
  await unreached(async () => {
    const answer = await askLocally(elsewhere, '/orders/7')
    assert.deepEqual([answer.status, answer.headers['doorward-code']], [502, 'upstream_identity'])
    assert.ok(answer.text.includes('server_identity'))
  })
  await onRecord('upstream_identity server_identity', 'agent/wrong')
  assert.ok(sidecar.events.some((event) => event.type === 'refused' && event.code === 'server_identity'))
})

test('the right name under another trust domain gets no byte, and is not let in', async () => {
  const anchorKey = await generateP256()
  const key = await generateP256()
  const now = Math.floor(Date.now() / 1000)
  const keyId = keyIdOf(anchorKey.jwk, sha256)
  const of = (spiffeId: string) =>
    buildCertificate(
      svidTemplate({
        notBefore: epochSeconds(now - 60),
        notAfter: epochSeconds(now + 600),
        spiffeId: parseSpiffeId(spiffeId),
        publicKey: key.spki,
        serial: newSerial(randomBytes),
        issuer: { name: anchorName('other.example', keyId), keyId },
      }),
      anchorKey.signKey,
    )
  const certificate = await of(`spiffe://other.example/${calleeName}`)
  const bytes: Buffer[] = []
  const pem = `-----BEGIN CERTIFICATE-----\n${Buffer.from(certificate).toString('base64')}\n-----END CERTIFICATE-----\n`
  const server = createServer(
    { cert: pem, key: key.privateKey.export({ type: 'pkcs8', format: 'pem' }), minVersion: 'TLSv1.3' },
    (socket) => {
      socket.on('data', (part: Buffer) => bytes.push(part))
      socket.on('error', () => socket.destroy())
    },
  )
  server.listen(stage.ports[1], '127.0.0.1')
  await once(server, 'listening')
  try {
    const place = join(stage.folder, 'foreign.sock')
    await stage.sidecar(
      'agent/foreign',
      outboundOf(place, `https://127.0.0.1:${stage.ports[1]}`, `, audience: "${stage.audience}"`),
    )
    await unreached(async () => {
      const answer = await askLocally(place, '/orders/7')
      assert.deepEqual([answer.status, answer.headers['doorward-code']], [502, 'upstream_identity'])
      assert.equal(bytes.length, 0)
    })
    await onRecord('upstream_identity server_untrusted', 'agent/foreign')
    const stranger = { certificate: await of(`spiffe://other.example/${callerName}`), privateKey: key.privateKey }
    const token = (await stage.caller.identity.token(stage.audience)).reveal()
    await unreached(() => assert.rejects(byHand(stranger, token)))
  } finally {
    server.close()
  }
})

const borrowing = `
import socket, sys
place = sys.argv[1]
if place.startswith("/"):
    s = socket.socket(socket.AF_UNIX); s.connect(place)
else:
    s = socket.create_connection(("127.0.0.1", int(place)))
s.sendall(b"GET /orders/7 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
data = b""
while True:
    part = s.recv(65536)
    if not part: break
    data += part
print(data.decode())
`

async function askAs(uid: number, place: string): Promise<string> {
  const child = spawn('/usr/bin/python3', ['-c', borrowing, place], {
    uid,
    gid: uid,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.on('data', (part: Buffer) => (text += part.toString()))
  await once(child, 'close')
  return text
}

test('another user of the machine does not borrow the sidecar, by socket or by port', { skip: !isRoot }, async () => {
  await unreached(async () =>
    assert.match(await askAs(nobody, stage.outSocket), /^HTTP\/1\.1 403 [\s\S]*local_caller_refused/),
  )
  await onRecord('local_caller_refused')
  const port = stage.ports[2] ?? 0
  const text = `outbound:\n  - { listen: { port: ${port} }, to: "${stage.audience}", id: "${idOf(calleeName)}", callers: [{ uid: 0 }] }\n`
  await stage.authority.running.registerWorkload({ id: idOf('agent/port'), roles: ['reader'] }, 'test')
  const sidecar = await stage.sidecar('agent/port', text)
  await unreached(async () => assert.match(await askAs(nobody, String(port)), /^HTTP\/1\.1 403 /))
  await onRecord('local_caller_refused', 'agent/port')
  assert.deepEqual(
    sidecar.events.flatMap((event) => (event.type === 'refused' ? [event.caller] : [])),
    [`uid ${nobody}`],
  )
  const own = await askLocally(port, '/orders/7')
  assert.notEqual(own.headers['doorward-code'], 'local_caller_refused', own.text)
})

test(
  'everybody is let in where the configuration says so loudly, and it is said again',
  { skip: !isRoot },
  async () => {
    const place = join(stage.folder, 'open.sock')
    const open = await stage.sidecar(
      'agent/open',
      outboundOf(place, stage.audience, ', insecure_any_local_process: true'),
    )
    assert.deepEqual(
      open.events.flatMap((event) => (event.type === 'warning' ? [event.code] : [])),
      ['insecure_any_local_process'],
    )
    assert.doesNotMatch(await askAs(nobody, place), /local_caller_refused/)
  },
)

test('a caller is known by its program too, and nobody else of its user is one', async () => {
  const place = join(stage.folder, 'listed.sock')
  await stage.sidecar('agent/listed', outboundOf(place, stage.audience, ', callers: [{ path: /usr/bin/python3 }]'))
  await unreached(async () => {
    const answer = await askLocally(place, '/orders/7')
    assert.deepEqual([answer.status, answer.headers['doorward-code']], [403, 'local_caller_refused'])
  })
})

test('a socket that belongs to somebody else gets nothing', { skip: !isRoot }, async () => {
  await unreached(async () => {
    await giveTo(stage.tap.socket, nobody)
    const answer = await right()
    assert.deepEqual([answer.status, answer.headers['doorward-code']], [502, 'upstream_unavailable'])
    const { code, explanation } = await outcomeOf(answer)
    assert.equal(code, 'upstream_unavailable')
    assert.match(String(explanation), /belongs to uid 65534, expected 0/)
    await giveTo(stage.tap.socket, 0)
  })
})

const listening = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()
print("listens", flush=True)
c, _ = s.accept()
data = c.recv(10)
print("got", len(data), flush=True)
`

test('somebody else who listens at the socket gets nothing, though the file is right', { skip: !isRoot }, async () => {
  const aside = `${stage.tap.socket}.aside`
  await giveTo(stage.folder, nobody)
  await unreached(async () => {
    await rename(stage.tap.socket, aside)
    const child = spawn('/usr/bin/python3', ['-c', listening, stage.tap.socket], {
      uid: nobody,
      gid: nobody,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const closed = once(child, 'close')
    let told = ''
    child.stdout.on('data', (part: Buffer) => (told += part.toString()))
    await until(() => (told.includes('listens') ? true : undefined), 'the other listener')
    await giveTo(stage.tap.socket, 0)
    const answer = await right()
    assert.deepEqual([answer.status, answer.headers['doorward-code']], [502, 'upstream_unavailable'])
    await closed
    assert.match(told, /got 0/)
    assert.match(String((await outcomeOf(answer))['explanation']), /whoever listens .* is uid 65534/)
    await rename(aside, stage.tap.socket)
  })
  await giveTo(stage.folder, 0)
})

test('what the program does not answer as it must is a failure with its code, on record', async () => {
  const cases = [
    ['/slow', 504, 'upstream_timeout'],
    ['/orders/large', 502, 'upstream_invalid'],
    ['/orders/garbage', 502, 'upstream_invalid'],
  ] as const
  for (const [path, status, code] of cases) {
    const answer = await askLocally(stage.outSocket, path)
    assert.deepEqual([answer.status, answer.headers['doorward-code']], [status, code], path)
    const outcome = await outcomeOf(answer)
    assert.deepEqual([outcome['status'], outcome['code']], ['failed', code])
  }
  await assert.rejects(askLocally(stage.outSocket, '/orders/half'))
  await onRecord('upstream_invalid answer_broken')
})

test('what does not name one request, or is too large, is refused before it is sent', async () => {
  for (const path of ['/orders/../admin', '//orders', '/orders/7?x=\u00e4'.replace('\u00e4', '%zz"')])
    await unreached(async () => {
      const answer = await askLocally(stage.outSocket, path)
      assert.ok([400, 404].includes(answer.status), `${path}: ${answer.status}`)
    })
  await unreached(async () => {
    const answer = await askLocally(stage.outSocket, '/orders', { method: 'POST', body: 'x'.repeat(1_100_000) }).catch(
      () => null,
    )
    assert.ok(answer === null || answer.headers['doorward-code'] === 'body_too_large')
  })
  await onRecord('body_too_large')
})

test('a request with more headers than may be is refused, and none is left out of one that passes', async () => {
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-h-${i}`, 'y']))
  const ask = (count: number) =>
    askLocally(stage.outSocket, '/orders/7', { headers: { ...many(count), 'if-match': '"one"' } })
  assert.equal((await ask(50)).status, 200)
  assert.equal(last()?.headers['if-match'], '"one"')
  await unreached(async () => {
    // With If-Match, Host and Connection one more than 64.
    const answer = await ask(62)
    assert.deepEqual([answer.status, answer.headers['doorward-code']], [431, 'header_limit'])
  })
  await onRecord('header_limit')
})

test('RV-4: a callee that is removed in the middle of an answer is not believed any more, nor called again', async () => {
  const operator = await joined(stage.authority, idOf('operator/eve'), ['admin'])
  const { ended } = await openStream(stage.outSocket)
  const admin = await RawClient.open(stage.authority.running.addresses.admin, operator)
  const token = await tokenOf(operator, stage.callee.identity.identity.authorityUrl)
  const gone = await call(admin, token, `DELETE /v1/workloads?id=${encodeURIComponent(idOf(calleeName))}`)
  assert.equal(gone.status, 200)
  await ended
  admin.close()
  // Whichever side heard of it first has ended the answer: it is the caller's that has to know.
  const { trustStore } = stage.caller.identity.identity
  await until(() => trustStore.view()?.deniedIdentities.has(idOf(calleeName)) || undefined, 'the denial at the caller')
  const before = stage.tap.reached.length
  const answer = await right()
  assert.deepEqual([answer.status, answer.headers['doorward-code']], [502, 'upstream_identity'], answer.text)
  assert.ok(answer.text.includes('server_revoked'), answer.text)
  assert.equal(stage.tap.reached.length, before)
  await onRecord('upstream_identity server_revoked')
})
