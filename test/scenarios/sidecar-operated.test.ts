/** Sidecars at work: many calls at once, and what they tell of themselves. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { Agent } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { Command } from 'commander'
import type { SidecarStatus } from '../../packages/server/src/apps/sidecar/sidecar-numbers.ts'
import { cliContext } from '../../packages/server/src/cli/context.ts'
import { CheckFailed } from '../../packages/server/src/cli/failure.ts'
import { register } from '../../packages/server/src/cli/sidecar.ts'
import { readEnvironment } from '../../packages/server/src/config/environment.ts'
import { idOf } from '../fixtures/sdk-stage.ts'
import { askLocally, openSidecarStage, outboundOf, until } from '../fixtures/sidecar-stage.ts'
import type { SidecarStage } from '../fixtures/sidecar-stage.ts'

let stage: SidecarStage
before(async () => (stage = await openSidecarStage()))
after(() => stage.close())

async function connected(path: string): Promise<void> {
  const socket = connect({ path })
  await once(socket, 'connect').finally(() => socket.destroy())
}

/** As many calls one after the other, on a connection of their own. */
async function callsOn(socketPath: string, count: number): Promise<readonly number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const statuses: number[] = []
  for (let i = 0; i < count; i++) statuses.push((await askLocally(socketPath, '/orders/7', { agent })).status)
  agent.destroy()
  return statuses
}

test('many connections at once are answered each, and nothing of it is refused on either record', async () => {
  const [name, caller, place] = ['service/wide', 'agent/wide', join(stage.folder, 'wide.sock')]
  const audience = `https://127.0.0.1:${stage.ports[1]}`
  const much = '100000/s'
  const callee = await stage.sidecar(
    name,
    `inbound:
  listen: ${new URL(audience).host}
  audience: ${audience}
  service: wide
  routes: ["GET /orders/{id}"]
  roles: { reader: ["read:wide/*"] }
  bindings: [{ role: reader, workloads: ["${idOf(caller)}"] }]
  limits: { global: ${much}, per_address: ${much}, per_caller: ${much} }
  forward: { socket: ${stage.tap.socket}, concurrent: 128, per_caller_concurrent: 128 }
`,
  )
  const side = await stage.sidecar(caller, outboundOf(place, audience, '', idOf(name)))
  // Those that come and go unheard are nobody's refusal.
  const unheard = Array.from({ length: 32 }, () => connected(place))
  const answers = await Promise.all(Array.from({ length: 64 }, () => callsOn(place, 3)))
  await Promise.all(unheard)
  assert.deepEqual([...new Set(answers.flat())], [200])
  assert.equal(answers.flat().length, 192)
  for (const one of [callee, side]) await one.stop()
  const refused = (await Promise.all([name, caller].map((one) => stage.entries(one)))).flat()
  assert.deepEqual(
    refused.filter(({ kind }) => kind === 'refusals').map(({ body }) => body),
    [],
  )
  assert.deepEqual(
    [callee, side].flatMap(({ events }) => events.filter(({ type }) => type === 'refused' || type === 'problem')),
    [],
  )
})

/** The command as it is typed, with what it has written and how it ends. */
async function command(file: string, ...words: readonly string[]) {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()]
  const program = new Command().option('--json', '', false).option('--config <file>', '', file).exitOverride()
  const context = cliContext({
    stdin,
    stdout,
    stderr,
    environment: readEnvironment({}),
    globals: () => program.opts(),
    signal: new AbortController().signal,
    program: [],
  })
  register(program, context)
  await program.parseAsync(['sidecar', ...words], { from: 'user' })
  stdout.end()
  return { code: context.exitCode, text: await text(stdout) }
}

const fileOf = (socket: string, port: number) => `trust_domain: test.example
identity: { folder: identity, key: /etc/planner.key }
record: { folder: record, checkpoints: checkpoints }
socket: ${socket}
metrics: { port: ${port} }
outbound: [{ listen: { socket: out.sock }, to: "https://a.test.example", id: "spiffe://test.example/a" }]
`

test('a sidecar tells what it has let through and refused, as status and as metrics, and names no caller in those', async () => {
  const [name, port] = ['agent/told', stage.ports[2] ?? 0]
  const [own, out, wrong] = ['told-own', 'told', 'told-wrong'].map((one) => join(stage.folder, `${one}.sock`))
  assert.ok(own !== undefined && out !== undefined && wrong !== undefined)
  const ways = [outboundOf(out, stage.audience), outboundOf(wrong, stage.audience, '', idOf('service/other'))]
  const outbound = ways.join('').replaceAll('outbound:\n', '')
  await stage.sidecar(name, `socket: ${own}\nmetrics: { port: ${port} }\noutbound:\n${outbound}`)
  for (let i = 0; i < 3; i++) assert.equal((await askLocally(stage.outSocket, '/orders/7')).status, 200)
  assert.equal((await askLocally(out, '/orders/7')).headers['doorward-code'], 'policy_denied')
  assert.equal((await askLocally(wrong, '/orders/7')).headers['doorward-code'], 'upstream_identity')
  const folder = join(stage.folder, 'told')
  await mkdir(folder)
  const [caller, callee] = [join(folder, 'caller.yaml'), join(folder, 'callee.yaml')]
  await writeFile(caller, fileOf(own, port))
  await writeFile(callee, fileOf(stage.ownSocket, port))
  const told = await until(async () => {
    const status = JSON.parse((await command(caller, 'status', '--json')).text) as SidecarStatus
    return status.refusals.length > 0 ? status : undefined
  }, 'the refusal on record')
  assert.deepEqual([told.ready, told.id, told.inbound], [true, idOf(name), null])
  assert.ok(told.certificate_seconds > 0 && told.trust_age_seconds !== null)
  // An answer that says no is an answer.
  assert.deepEqual(
    told.outbound.map(({ at, calls, under_way: open }) => [at, calls, open]),
    [
      [`unix:${out}`, 1, 0],
      [`unix:${wrong}`, 0, 0],
    ],
  )
  assert.deepEqual(told.refusals, [{ direction: 'out', code: 'upstream_identity', count: 1 }])
  // What became of a call is on record a moment after its answer.
  const inside = await until(async () => {
    const status = JSON.parse((await command(callee, 'status', '--json')).text) as SidecarStatus
    return status.inbound?.calls === 3 ? status : undefined
  }, 'the outcomes on record')
  assert.deepEqual([inside.inbound?.under_way, inside.outbound], [0, []])
  const [denied, ...others] = inside.refusals.filter(({ code }) => !code.startsWith('tls_'))
  assert.deepEqual([denied, others], [{ direction: 'in', code: 'policy_denied', count: 1 }, []])
  const shown = await command(callee, 'status')
  assert.match(shown.text, /3 calls, 0 under way\nrefused +in: 1 policy_denied\n/)
  assert.equal(shown.code, 0)
  const metrics = await askLocally(port, '/metrics')
  assert.match(metrics.text, /^doorward_sidecar_calls_total\{direction="out"\} 1$/m)
  assert.match(metrics.text, /^doorward_sidecar_refusals_total\{direction="out",code="upstream_identity"\} 1$/m)
  assert.match(metrics.text, /^doorward_ready 1$/m)
  assert.doesNotMatch(metrics.text, /spiffe:|uid/)
  assert.equal((await askLocally(port, '/status')).status, 404)
  await assert.rejects(command(join(folder, 'none.yaml'), 'status'), { code: 'configuration_missing' })
  await writeFile(caller, fileOf(`${own}.none`, port))
  await assert.rejects(command(caller, 'status'), (error) => {
    return error instanceof CheckFailed && error.code === 'sidecar_unreachable'
  })
})
