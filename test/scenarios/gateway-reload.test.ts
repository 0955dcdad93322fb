/** The whole configuration of a running gateway changes: what is not touched goes on, and a mistake changes nothing. */

import { deepEqual, equal, match, notEqual, ok } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openMcpClient, systemRuntime } from '@doorward/sdk'
import type { Identity, McpClient } from '@doorward/sdk'
import { backendAudience, serverAudience } from '../../packages/server/src/config/settings.ts'
import type { Deployment } from '../../packages/server/src/config/settings.ts'
import { openBackendTap, plain } from '../fixtures/backend-stage.ts'
import { PolicyStage } from '../fixtures/policy-stage.ts'
import type { WholeAnswer } from '../fixtures/policy-stage.ts'

const RELOADS = 20
const CALLS = 1000
const second = '  second: { command: [mcp-server-everything] }\n'
const long = 'trigger-long-running-operation'

let stage: PolicyStage
let caller: Identity
let deployment: Deployment
before(async () => {
  stage = await PolicyStage.open(1_000_000)
  await stage.rule(
    'long.cedar',
    `permit (principal in Role::"caller", action == Action::"tools/call", resource == Tool::"everything/${long}");
`,
  )
  await configured({ withSecond: true })
  await stage.reloadedWhole('changed')
  caller = await stage.system.identity('agent/a')
  deployment = await stage.system.deployment()
})
after(async () => {
  caller?.close()
  await stage?.close()
})

interface Wanted {
  readonly withSecond?: boolean
  readonly limits?: string
  /** YAML of services. */
  readonly services?: string
  readonly head?: (head: string) => string
}

async function configured({
  withSecond = false,
  limits = '',
  services = '',
  head = (text) => text,
}: Wanted): Promise<void> {
  await stage.configure((above, body) => {
    const servers = withSecond
      ? body.replace('servers:\n', `servers:\n${second}`).replace('caller: [', 'caller: ["tools/call:second/*", ')
      : body
    const all = services === '' ? servers : servers.replace('caller: [', 'caller: ["GET", ')
    return `${head(above)}${services}${all.replace('limits:\n', `limits:\n${limits}`)}`
  })
}

async function clientOf(server: string): Promise<McpClient> {
  const { publicUrl, id: expectedId } = deployment.gateway
  const audience = serverAudience(deployment, server)
  const endpoint = { url: `${publicUrl}/mcp/${server}`, audience, expectedId }
  return openMcpClient({ fetch: caller, endpoint, runtime: systemRuntime, client: { name: 'test', version: '1' } })
}

async function adminEntries() {
  return (await stage.record('gateway')).flatMap(({ entry: { kind, body } }) =>
    kind === 'admin' && String(body['change']).startsWith('gateway.reload') ? [body] : [],
  )
}

test('1,000 calls and a call that lasts go on over 20 reloads in which a server comes and goes, and none is lost', async () => {
  const begun = Promise.withResolvers<unknown>()
  let steps = 0
  const lasting = stage.peers[1]!.call(
    long,
    { duration: 12, steps: 24 },
    {
      onprogress: () => {
        steps++
        begun.resolve(null)
      },
    },
  )
  await begun.promise
  let left = CALLS
  const failures: unknown[] = []
  const worker = async () => {
    const client = await clientOf('everything')
    while (left-- > 0) {
      const a = left
      const answer = JSON.stringify(await client.request('tools/call', { name: 'get-sum', arguments: { a, b: 1 } }))
      if (!answer.includes(`of ${a} and 1 is ${a + 1}.`)) failures.push(answer)
    }
    await client.close()
  }
  const calls = Promise.all(Array.from({ length: 4 }, worker))
  for (let round = 0; round < RELOADS; round++) {
    const withSecond = round % 10 < 5
    await configured({ withSecond, limits: `  body_bytes: ${100_000 + round}\n` })
    const answer = await stage.gateway((admin): Promise<WholeAnswer> => admin.reloadConfiguration())
    equal(answer.outcome, 'changed', JSON.stringify(answer))
    const { added, removed, changed } = answer.servers ?? {}
    deepEqual(added?.named, withSecond && round % 10 === 0 && round > 0 ? ['second'] : [])
    deepEqual(removed?.named, !withSecond && round % 5 === 0 ? ['second'] : [])
    deepEqual(changed?.named, [])
  }
  await calls
  await configured({ withSecond: true })
  await stage.reloadedWhole('changed')
  deepEqual(failures, [])
  match(JSON.stringify(await lasting), /Long running operation completed/)
  ok(steps > 20, `${steps} steps were heard of`)
  const entries = (await adminEntries()).filter(({ change }) => change === 'gateway.reload')
  equal(entries.length, RELOADS + 2)
  match(String(entries.at(-1)?.['by']), /^spiffe:\/\/test\.example\/operator\//)
  const chain = entries.map(({ from, to }) => [from, to] as { digest: string }[])
  for (const [i, [from]] of chain.entries()) if (i > 0) deepEqual(from, chain[i - 1]?.[1])
})

test('a server that is taken away ends its sessions and streams with a reason, and nobody elses', async () => {
  const client = await clientOf('second')
  const { length } = await stage.record('gateway')
  const lasting = client.request('tools/call', { name: long, arguments: { duration: 60, steps: 60 } })
  const called = await stage.seen(
    async () => (await stage.record('gateway', length)).find(({ entry: { kind } }) => kind === 'decision'),
    'the call',
  )
  await configured({ withSecond: false })
  deepEqual((await stage.reloadedWhole('changed')).servers?.removed.named, ['second'])
  const told = await lasting.then(
    (answer) => JSON.stringify(answer),
    (error: unknown) => String(error),
  )
  match(told, /server_changed|changed or taken away/)
  await stage.seen(async () => {
    const after = await stage.record('gateway', length)
    const { body } =
      after.find(({ entry }) => entry.kind === 'outcome' && entry.body['of'] === called.index)?.entry ?? {}
    return body?.['code'] === 'server_changed' || undefined
  }, 'the outcome')
  deepEqual(await stage.sums(1), ['allowed', 'allowed'])
  // Neither the gateway nor the authority knows it any more.
  await caller.token(serverAudience(deployment, 'second')).then(
    async (token) => {
      token.reveal()
      const again = await clientOf('second').catch((error: unknown) => error)
      ok(again instanceof Error)
    },
    (error: unknown) => match(String(error), /audience/),
  )
  await client.close().catch(() => undefined)
})

test('a service comes, changes and goes: where it changes calls under way end as they began, and its limits disturb none', async (context) => {
  const [first, second] = await Promise.all([openBackendTap(), openBackendTap()])
  context.after(() => {
    for (const tap of [first, second]) tap.close()
  })
  const audience = backendAudience(deployment, 'orders')
  const { publicUrl, id: expectedId } = deployment.gateway
  const get = async () => {
    const answer = await caller.call(`${publicUrl}/http/orders/v1/x`, { audience, expectedId })
    let text = ''
    const whole = (async () => {
      for await (const part of answer.body) text += String(part)
      return text
    })().catch(() => 'broken off')
    return { status: answer.status, code: answer.headers['doorward-code'], whole }
  }
  const chunked = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n'
  const begun = async (tap: typeof first) => {
    const ending = Promise.withResolvers<() => void>()
    tap.answer = (socket) => {
      socket.write(chunked)
      ending.resolve(() => void socket.write('6\r\n ended\r\n0\r\n\r\n'))
    }
    const call = await get()
    equal(call.status, 200)
    tap.answer = (socket) => void socket.write(plain('fine'))
    return { call, end: await ending.promise }
  }
  const service = (url: string, more = '') => `services:\n  orders: { url: "${url}", insecure_upstream: true${more} }\n`
  await configured({ services: service(first.url) })
  deepEqual((await stage.reloadedWhole('changed')).servers?.added.named, ['orders'])
  const old = await begun(first)
  await configured({ services: service(second.url) })
  deepEqual((await stage.reloadedWhole('changed')).servers?.changed.named, ['orders'])
  const [sent, now] = [first.requests.length, await begun(second)]
  equal(first.requests.length, sent)
  await configured({ services: service(second.url, ', limits: { concurrent: 1 }') })
  const bounded = await stage.reloadedWhole('changed')
  deepEqual([bounded.keys?.named, bounded.servers?.changed.named], [['services.orders.limits.concurrent'], []])
  const refused = await get()
  deepEqual([refused.status, refused.code, second.requests.length], [503, 'upstream_busy', 1])
  old.end()
  equal(await old.call.whole, 'begun ended')
  const { length } = await stage.record('gateway')
  await configured({})
  deepEqual((await stage.reloadedWhole('changed')).servers?.removed.named, ['orders'])
  equal(await now.call.whole, 'broken off')
  const codes = (await stage.record('gateway', length)).map(({ entry: { body } }) => body['code'])
  ok(codes.includes('server_changed'), String(codes))
  const gone = await get().catch((error: unknown) => error)
  ok(gone instanceof Error || (gone as { status: number }).status === 404, String(gone))
  deepEqual([first.requests.length, second.requests.length], [1, 1])
})

test('limits count from one moment to the next, for sessions that are open', async () => {
  const quota = '  quotas: [{ action: tools/call, per_user: 1/min }]\n'
  await configured({ limits: quota })
  deepEqual((await stage.reloadedWhole('changed')).keys?.named, ['limits.quotas'])
  const [peer] = stage.peers
  const answers = []
  for (let i = 0; i < 2; i++) answers.push(JSON.stringify(await peer!.call('get-sum', { a: 1, b: 1 }).catch(String)))
  match(answers[1] ?? '', /limit_user|request limit|429/)
  await configured({})
  await stage.reloadedWhole('changed')
  deepEqual(await stage.sums(1), ['allowed', 'allowed'])
})

test('what stands until the next start is named with its line, and then nothing of the rest counts either', async () => {
  const before = await stage.gateway((admin) => admin.configuration())
  const quota = '  quotas: [{ action: tools/call, per_user: 1/min }]\n'
  const text = await stage.text()
  const line = text.split('\n').findIndex((one) => one.startsWith('listen:')) + 1
  await configured({
    withSecond: true,
    limits: quota,
    head: (above) => above.replace(/^listen: .*$/m, 'listen: 127.0.0.1:1'),
  })
  const answer = await stage.reloadedWhole('refused')
  match(answer.problems?.[0] ?? '', new RegExp(`doorward\\.yaml:${line} listen: this stands until`))
  equal(answer.problems?.length, 1)
  deepEqual(await stage.sums(1), ['allowed', 'allowed'])
  deepEqual(await stage.sums(1), ['allowed', 'allowed'])
  const entry = (await adminEntries()).at(-1)
  deepEqual([entry?.['change'], entry?.['kept']], ['gateway.reload.refuse', { digest: before['digest'] }])
  const standing = await stage.gateway((admin) => admin.configuration())
  equal(standing['digest'], before['digest'])
  match(JSON.stringify(standing['failed']), /listen: this stands until/)
  await stage.seen(async () => {
    const found = (await stage.record('gateway')).findLast(({ entry: { kind } }) => kind === 'detection')
    const { detector, subject } = found?.entry.body ?? {}
    return detector === 'policy_refused' && subject === 'configuration' ? found : undefined
  }, 'the alarm')
})

test('so is a mistake; and the command says both, and what it takes up', async () => {
  await configured({ limits: '  boundless: true\n' })
  match((await stage.reloadedWhole('refused')).problems?.[0] ?? '', /doorward\.yaml:\d+ limits\.boundless/)
  await configured({ head: (above) => `${above}trust: { full_seconds: 50 }\n` })
  const refused = await stage.system.run(['gateway', 'reload'])
  equal(refused.code, 1)
  match(
    refused.stdout,
    /✗ gateway {3}refused, still [\w-]{12}…\n.*doorward\.yaml:\d+ trust\.full_seconds: this stands until/,
  )
  await configured({ withSecond: true })
  const changed = await stage.system.run(['gateway', 'reload', '--json'])
  equal(changed.code, 0, changed.stderr)
  const { parts } = JSON.parse(changed.stdout) as {
    parts: readonly { part: string; answer: { outcome: string; servers?: unknown } }[]
  }
  deepEqual(
    parts.map(({ part, answer }) => [part, answer.outcome]),
    [
      ['gateway', 'changed'],
      ['authority', 'changed'],
    ],
  )
  notEqual((await stage.gateway((admin) => admin.configuration()))['digest'], '')
  const client = await clientOf('second')
  ok((await client.request('tools/call', { name: 'echo', arguments: { message: 'x' } })).ok)
  await client.close()
})
