/** The SPIFFE Workload API of `doorward agent run --socket`, with programs that know SPIFFE and nothing of Doorward. */

import assert from 'node:assert/strict'
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { spawn, spawnSync } from 'node:child_process'
import { chmod, copyFile, mkdtemp, readFile, realpath, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { Metadata } from '@grpc/grpc-js'
import { TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { rightMetadata, WorkloadClient } from '../fixtures/workload-client.ts'
import type { JwtSvidGiven, X509SvidGiven } from '../fixtures/workload-client.ts'
import { isHere, RunningAgent, until, yaml } from './agent-stage.ts'

const planner = 'spiffe://test.example/agent/planner'
const second = 'spiffe://test.example/agent/second'
const other = 'spiffe://test.example/agent/other'
const cloud = 'https://sts.cloud.example'
const nobody = 65_534
const python = '/usr/bin/python3'
const self = process.getuid?.() ?? 0
const isRoot = self === 0

let system: TestDeployment
let folder: string
let socket: string
let agent: RunningAgent
let client: WorkloadClient

async function startAgent(): Promise<void> {
  agent = new RunningAgent(system, ['--socket', socket])
  await agent.heard('listening')
}

before(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'doorward-workload-')))
  await chmod(folder, 0o755)
  socket = join(folder, 'workload.sock')
  const program = await realpath(process.execPath)
  const digest = createHash('sha256')
    .update(await readFile(program))
    .digest('hex')
  const entries = `workload_api:
  entries:
    - { identity: agent/planner, hint: own, uid: ${self}, path: "${program}", sha256: "${digest}" }
    - { identity: agent/second, uid: ${self}, path: "${program}" }
    - { identity: agent/other, uid: ${self}, path: ${python} }
`
  const authority = `  jwt_svid_audiences: ["${cloud}"]\n`
  system = await TestDeployment.start({ yaml: yaml + wideLimits + entries, authority })
  for (const name of ['agent/planner', 'agent/second', 'agent/other']) (await system.identity(name)).close()
  await startAgent()
  client = new WorkloadClient(socket)
})
after(async () => {
  client.close()
  await agent.kill('SIGTERM')
  await system.remove()
  await rm(folder, { recursive: true })
})

function svidsOf(message: Record<string, unknown>): readonly X509SvidGiven[] {
  return message['svids'] as readonly X509SvidGiven[]
}

function jwtSvidsOf(answer: Record<string, unknown> | string): readonly JwtSvidGiven[] {
  assert.ok(typeof answer !== 'string', JSON.stringify(answer))
  return answer['svids'] as readonly JwtSvidGiven[]
}

/** Refusals that the agent has told, by reason. */
function refusals(): readonly string[] {
  return agent.events.filter(({ event }) => event === 'refused').map(({ reason }) => String(reason))
}

interface Asked {
  readonly code: number | null
  readonly text: string
}

/** Asks as another program or user: prints the first message of the stream as base64, or the status. */
const asking = `
import base64, os
import grpc
call = grpc.insecure_channel(os.environ["SPIFFE_ENDPOINT_SOCKET"]).unary_stream(
    "/SpiffeWorkloadAPI/FetchX509SVID", request_serializer=bytes, response_deserializer=bytes)
try:
    for message in call(b"", metadata=(("workload.spiffe.io", "true"),), timeout=20):
        print(base64.b64encode(message).decode())
        break
except grpc.RpcError as error:
    print(error.code().name)
`

/** Watches, again and again on one channel: prints the length of each message, and each status. */
const watching = `
import os, time
import grpc
call = grpc.insecure_channel(os.environ["SPIFFE_ENDPOINT_SOCKET"], [("grpc.max_reconnect_backoff_ms", 1000)]).unary_stream(
    "/SpiffeWorkloadAPI/FetchX509SVID", request_serializer=bytes, response_deserializer=bytes)
while True:
    try:
        for message in call(b"", metadata=(("workload.spiffe.io", "true"),), wait_for_ready=True):
            print("message", len(message), flush=True)
    except grpc.RpcError as error:
        print("status", error.code().name, flush=True)
        time.sleep(0.1)
`

const endpoint = () => ({ ...process.env, SPIFFE_ENDPOINT_SOCKET: `unix://${socket}` })

interface Watcher {
  readonly messages: () => readonly number[]
  readonly statuses: () => readonly string[]
  /** Which of both came last. */
  readonly last: () => string | undefined
  readonly kill: () => void
}

/** A program of Debian's own gRPC that watches for as long as it lives. */
function watcher(): Watcher {
  const child = spawn(python, ['-c', watching], { stdio: ['ignore', 'pipe', 'ignore'], env: endpoint() })
  const lines: (readonly string[])[] = []
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line.split(' ')))
  const of = (kind: string) => lines.flatMap(([word, value = '']) => (word === kind ? [value] : []))
  return {
    messages: () => of('message').map(Number),
    statuses: () => of('status'),
    last: () => lines.at(-1)?.[0],
    kill: () => void child.kill('SIGKILL'),
  }
}

function ask(program: string, options: { readonly uid?: number; readonly gid?: number } = {}): Promise<Asked> {
  const child = spawn(program, ['-c', asking], {
    ...options,
    env: endpoint(),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  let errors = ''
  child.stdout.on('data', (part: Buffer) => (text += part.toString()))
  child.stderr.on('data', (part: Buffer) => (errors += part.toString()))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, text: code === 0 ? text.trim() : errors }))
  })
}

function hasGrpc(t: TestContext): boolean {
  return isHere(spawnSync(python, ['-c', 'import grpc']).status === 0, 'python3-grpcio', t)
}

describe('a program that the configuration names', () => {
  test('WA-2, WA-3: gets its identities in their order at once, each with chain, key and bundle', async () => {
    const stream = client.watch('FetchX509SVID')
    const svids = svidsOf(await stream.message())
    stream.cancel()
    assert.deepEqual(
      svids.map(({ spiffe_id, hint }) => [spiffe_id, hint]),
      [
        [planner, 'own'],
        [second, ''],
      ],
    )
    for (const { spiffe_id, x509_svid, x509_svid_key, bundle } of svids) {
      const leaf = new X509Certificate(x509_svid)
      assert.equal(leaf.subjectAltName, `URI:${spiffe_id}`)
      assert.ok(leaf.checkPrivateKey(createPrivateKey({ key: x509_svid_key, format: 'der', type: 'pkcs8' })))
      assert.ok(leaf.verify(new X509Certificate(bundle).publicKey))
    }
  })

  test('WA-4: gets the bundles of the own trust domain; that for JWT-SVIDs has no other use', async () => {
    const streams = ['FetchX509Bundles', 'FetchJWTBundles'].map((method) => client.watch(method))
    const [x509, jwt] = await Promise.all(streams.map(async (stream) => (await stream.message())['bundles']))
    for (const stream of streams) stream.cancel()
    const [[domain, der] = []] = Object.entries(x509 as Record<string, Buffer>)
    assert.equal(domain, 'spiffe://test.example')
    assert.ok(new X509Certificate(der ?? Buffer.alloc(0)).ca)
    const { keys } = JSON.parse(String((jwt as Record<string, Buffer>)['spiffe://test.example'])) as {
      readonly keys: readonly Record<string, unknown>[]
    }
    assert.ok(keys.length > 0 && keys.every(({ use, kid }) => use === 'jwt-svid' && typeof kid === 'string'))
  })

  test('WA-5: gets JWT-SVIDs for one audience, of all its identities or of one, which hold when they are looked at', async () => {
    const all = jwtSvidsOf(await client.ask('FetchJWTSVID', { audience: [other] }))
    assert.deepEqual(
      all.map(({ spiffe_id }) => spiffe_id),
      [planner, second],
    )
    const one = jwtSvidsOf(await client.ask('FetchJWTSVID', { audience: [cloud], spiffe_id: second }))
    assert.deepEqual(
      one.map(({ spiffe_id }) => spiffe_id),
      [second],
    )
    const svid = all[0]?.svid ?? ''
    const judged = await client.ask('ValidateJWTSVID', { audience: other, svid })
    assert.ok(typeof judged !== 'string')
    assert.equal(judged['spiffe_id'], planner)
    const { fields } = judged['claims'] as { readonly fields: Record<string, { readonly stringValue?: string }> }
    assert.equal(fields['aud']?.stringValue, other)
    // Kept for half of its life, and not asked for again.
    assert.equal(jwtSvidsOf(await client.ask('FetchJWTSVID', { audience: [other] }))[0]?.svid, svid)
  })

  test('WA-1, WE-4: gets Unimplemented for what is not served, WIT-SVIDs among it', async () => {
    assert.equal(await client.ask('FetchWITSVID', {}), 'UNIMPLEMENTED')
  })

  test('WA-5, WA-6: gets InvalidArgument for an audience that is missing, and for what does not hold', async () => {
    const [{ svid } = { svid: '' }] = jwtSvidsOf(await client.ask('FetchJWTSVID', { audience: [other] }))
    for (const audience of [[], [''], [other, cloud], ['x'.repeat(3000)]])
      assert.equal(await client.ask('FetchJWTSVID', { audience }), 'INVALID_ARGUMENT')
    for (const wrong of [
      { audience: cloud, svid },
      { audience: '', svid },
      { audience: other, svid: '' },
      { audience: other, svid: `${svid.slice(0, -4)}AAAA` },
      { audience: other, svid: svid.split('.').slice(0, 2).join('.') },
    ])
      assert.equal(await client.ask('ValidateJWTSVID', wrong), 'INVALID_ARGUMENT')
  })

  test('gets PermissionDenied for an audience that nobody may be asked for, and for an identity of somebody else', async () => {
    assert.equal(await client.ask('FetchJWTSVID', { audience: ['https://elsewhere.example'] }), 'PERMISSION_DENIED')
    assert.equal(await client.ask('FetchJWTSVID', { audience: [cloud], spiffe_id: other }), 'PERMISSION_DENIED')
    assert.ok(refusals().includes('no JWT-SVIDs for this audience'))
  })

  test('WE-2: gets InvalidArgument without the metadata, or with another value', async () => {
    const wrong = new Metadata()
    wrong.set('workload.spiffe.io', 'TRUE')
    for (const metadata of [new Metadata(), wrong]) {
      assert.equal(await client.ask('FetchJWTSVID', { audience: [other] }, metadata), 'INVALID_ARGUMENT')
      assert.equal(await client.watch('FetchX509SVID', metadata).end(), 'INVALID_ARGUMENT')
    }
    assert.ok(typeof (await client.ask('FetchJWTSVID', { audience: [other] }, rightMetadata())) !== 'string')
  })
})

describe('the command', () => {
  const failure = async (words: readonly string[]): Promise<readonly [number | null, string | undefined]> => {
    const { code, stdout, stderr } = await system.run(['agent', 'run', '--json', ...words])
    const told = JSON.parse((stdout.trim() || stderr.trim()).split('\n').at(-1) ?? '{}') as { error?: { code: string } }
    return [code, told.error?.code]
  }

  test('does not start at a socket that somebody holds, in a folder of others, with options of files or with neither', async () => {
    assert.deepEqual(await failure(['--socket', socket]), [2, 'local_path_taken'])
    assert.deepEqual(await failure(['--socket', join(tmpdir(), 'workload.sock')]), [2, 'local_folder_open'])
    assert.deepEqual(await failure(['--socket', socket, '--write', 'w']), [2, 'options_contradict'])
    assert.deepEqual(await failure([]), [2, 'usage'])
  })
})

describe('somebody else', () => {
  test("WE-1, WE-3: another program of the same user gets what its own entry gives, by Debian's own gRPC client", async (t) => {
    if (!hasGrpc(t)) return
    const { code, text } = await ask(python)
    assert.equal(code, 0, text)
    const message = Buffer.from(text, 'base64')
    assert.ok(message.includes(other) && !message.includes(planner))
  })

  test('WE-2: the same program at another path, and another user, get PermissionDenied, and are told of', async (t) => {
    if (!hasGrpc(t)) return
    const copy = join(folder, 'python3')
    await copyFile(await realpath(python), copy)
    await chmod(copy, 0o755)
    assert.deepEqual(await ask(copy), { code: 0, text: 'PERMISSION_DENIED' })
    await until(() => refusals().includes('no entry matches'), 'the refusal')
    if (!isHere(isRoot, 'root', t)) return
    assert.deepEqual(await ask(python, { uid: nobody, gid: nobody }), { code: 0, text: 'PERMISSION_DENIED' })
    await until(() => agent.events.some(({ event, uid }) => event === 'refused' && uid === nobody), 'the refusal')
  })

  test('who speaks no gRPC gets nothing, and disturbs nobody', async () => {
    for (const bytes of ['GET / HTTP/1.1\r\n\r\n', '\0'.repeat(4096)]) {
      const raw = connect(socket)
      raw.on('error', () => undefined)
      raw.resume()
      raw.write(bytes)
      await new Promise((resolve) => raw.once('close', resolve))
    }
    assert.ok(typeof (await client.ask('FetchJWTSVID', { audience: [other] })) !== 'string')
  })
})

describe('streams', () => {
  /** Lives through all that happens to others. */
  let other: Watcher | null = null
  before(async () => {
    if (spawnSync(python, ['-c', 'import grpc']).status !== 0) return
    other = watcher()
    await until(() => other?.messages().length === 1, 'the identity of the other program')
  })
  after(() => other?.kill())

  test('WA-2: tell of a certificate that replaces a revoked one, and of new anchors, each time in full', async () => {
    const stream = client.watch('FetchX509SVID')
    const [first] = svidsOf(await stream.message())
    const before = new X509Certificate(first?.x509_svid ?? '').serialNumber
    assert.equal((await system.run(['revoke', 'serial', before, '--reason', 'a test'])).code, 0)
    const serials = () =>
      svidsOf(stream.messages.at(-1) ?? { svids: [] }).map(
        ({ x509_svid }) => new X509Certificate(x509_svid).serialNumber,
      )
    await until(() => serials().length === 2 && !serials().includes(before), 'another certificate')
    const rotated = await system.run(['authority', 'rotate', '--reason', 'a test'])
    assert.equal(rotated.code, 0, rotated.stderr)
    const bundles = () => svidsOf(stream.messages.at(-1) ?? { svids: [] }).map(({ bundle }) => bundle.length)
    await until(() => bundles().every((length) => length > (first?.bundle.length ?? 0)), 'two anchors')
    assert.equal(stream.ended, null)
    stream.cancel()
  })

  test("WA-2: of another program goes on through that, by Debian's own gRPC client, and tells it of the anchors", async (t) => {
    if (!hasGrpc(t) || other === null) return
    const watched = other
    await until(() => (watched.messages().at(-1) ?? 0) > (watched.messages()[0] ?? 0), 'two anchors')
    assert.deepEqual(watched.statuses(), [])
  })

  test('end when the agent stops, however it does, and are there again when it has started', async () => {
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const stream = client.watch('FetchX509SVID')
      await stream.message()
      const code = await agent.kill(signal)
      assert.equal(code, signal === 'SIGTERM' ? 0 : null)
      assert.equal(await stream.end(), 'UNAVAILABLE')
      await startAgent()
      const again = async () => {
        const next = client.watch('FetchX509SVID')
        await until(() => next.ended !== null || next.messages.length > 0, 'an answer')
        next.cancel()
        return next.messages.length > 0 && svidsOf(next.messages[0] ?? {}).length === 2
      }
      await until(again, 'the identities again')
    }
  })

  test("are there again for Debian's own gRPC client on the channel that it had, after each start", async (t) => {
    if (!hasGrpc(t) || other === null) return
    const watched = other
    await until(() => watched.statuses().length >= 2, 'two ends')
    assert.deepEqual(new Set(watched.statuses()), new Set(['UNAVAILABLE']))
    await until(() => watched.last() === 'message', 'the identity again')
  })

  test('OP-9: tell at once that an identity was removed; who has none left gets PermissionDenied', async () => {
    const streams = [client.watch('FetchX509SVID'), client.watch('FetchJWTBundles')] as const
    await Promise.all(streams.map((stream) => stream.message()))
    assert.equal((await system.run(['workload', 'remove', 'agent/second'])).code, 0)
    await until(() => svidsOf(streams[0].messages.at(-1) ?? {}).length === 1, 'one identity less')
    assert.equal((await system.run(['workload', 'remove', 'agent/planner'])).code, 0)
    for (const stream of streams) assert.equal(await stream.end(), 'PERMISSION_DENIED')
    assert.equal(await client.ask('FetchJWTSVID', { audience: [other] }), 'PERMISSION_DENIED')
  })
})
