/** The policy of a running deployment changes: sessions go on, and the record has it all. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { configurationBody, PolicyStage, smallSums } from '../fixtures/policy-stage.ts'

let stage: PolicyStage
before(async () => {
  stage = await PolicyStage.open(100)
})
after(() => stage.close())

test('before it, arguments decide in every session, and lists show what some call may do', async () => {
  deepEqual(await stage.sums(100), ['allowed', 'allowed'])
  deepEqual(await stage.sums(101), ['policy_forbidden', 'policy_forbidden'])
  for (const { client } of stage.peers)
    deepEqual((await client.listTools()).tools.map(({ name }) => name).toSorted(), ['echo', 'get-sum'])
})

test('the start is on record, with everything that the policy has', async () => {
  for (const log of ['gateway', 'authority'] as const) {
    const [first] = await stage.seen(async () => {
      const found = await stage.changes(log)
      return found.length > 0 ? found : undefined
    }, 'the first policy')
    const entry = first?.body as {
      change: string
      by: string
      from: null
      to: { sequence: number }
      policies: object
    }
    deepEqual([entry.change, entry.by, entry.from, entry.to.sequence], ['policy.activate', 'start', null, 1])
    match(JSON.stringify(entry.policies), /rules\/own\.cedar#small-sums/)
  }
})

test('it counts at once in sessions that are open, and says what has changed', async () => {
  await stage.rule('own.cedar', smallSums(1000))
  await stage.rule('echo.cedar', 'forbid (principal, action, resource == Tool::"everything/echo");\n')
  const gateway = await stage.reloaded('changed')
  deepEqual(gateway.policies?.added.named, ['rules/echo.cedar:1'])
  deepEqual(gateway.policies?.changed.named, ['rules/own.cedar#small-sums'])
  deepEqual(gateway.policies?.removed, { count: 0, named: [] })
  equal(gateway.to?.sequence, 2)
  deepEqual(await stage.sums(101), ['allowed', 'allowed'])
  for (const { client } of stage.peers)
    deepEqual(
      (await client.listTools()).tools.map(({ name }) => name),
      ['get-sum'],
    )
  const again = await stage.reloaded('unchanged')
  deepEqual(again.needs_restart, [])
})

test('decisions and the change itself name version and digest, and who has asked', async () => {
  const { sequence, digest } = (await stage.standing())[1]!
  await stage.sums(7)
  const calls = await stage.seen(async () => {
    const entries = (await stage.record('gateway')).map(({ entry }) => entry)
    const found = entries.filter(({ kind, body: { action } }) => kind === 'decision' && action === 'tools/call')
    const policy = found.at(-1)?.body['policy'] as { sequence: number } | undefined
    return policy?.sequence === 2 ? found : undefined
  }, 'a decision by the second policy')
  deepEqual(calls.at(-1)?.body['policy'], { digest, sequence })
  ok(calls.every(({ body: { policy } }) => policy !== undefined))
  const change = (await stage.changes('gateway')).at(-1)?.body
  deepEqual([change?.['change'], change?.['to'] as object | undefined], ['policy.activate', { digest, sequence }])
  match(String(change?.['by']), /^spiffe:\/\/test\.example\/operator\//)
})

test('a long call is told as denied when the policy that allowed it goes, in every session, and sessions go on', async () => {
  const tool = 'trigger-long-running-operation'
  await stage.rule(
    'long.cedar',
    `permit (principal in Role::"caller", action == Action::"tools/call", resource == Tool::"everything/${tool}");\n`,
  )
  await stage.reloaded('changed')
  const begun = stage.peers.map(() => Promise.withResolvers<unknown>())
  const calls = stage.peers.map((peer, i) =>
    peer.call(tool, { duration: 120, steps: 240 }, { onprogress: (progress) => begun[i]?.resolve(progress) }),
  )
  await Promise.all(begun.map(({ promise }) => promise))
  await stage.forget('long.cedar')
  await stage.reloaded('changed')
  for (const call of calls) {
    const { isError, _meta } = (await call) as { readonly isError?: boolean; readonly _meta?: object }
    equal(isError, true)
    match(
      JSON.stringify(_meta),
      /"doorward\/code":"policy_denied","doorward\/decision":"test\.example\/gateway\/main#\d+"/,
    )
  }
  deepEqual(await stage.sums(1), ['allowed', 'allowed'])
})

test('what a restart alone takes up is named and not applied; bindings count at once', async () => {
  const changed = (body: string) =>
    body
      .replace(
        '  - { role: caller',
        '  - { role: idle, workloads: ["spiffe://test.example/agent/a"] }\n  - { role: caller',
      )
      .replace('sessions_per_user: 1000', 'sessions_per_user: 999')
      .replace('servers:\n', 'servers:\n  second: { command: [mcp-server-everything] }\n')
  await stage.configure((head, body) => head + changed(body))
  const gateway = await stage.reloaded('changed')
  deepEqual([...(gateway.needs_restart ?? [])].toSorted(), ['limits.sessions_per_user', 'servers.second'])
  ok(gateway.settings?.added.named.includes('role idle: spiffe://test.example/agent/a'), JSON.stringify(gateway))
  const { client } = stage.peers[0]!
  deepEqual((await client.listTools()).tools.map(({ name }) => name).toSorted(), ['get-env', 'get-sum'])
  await stage.configure((head, body) => head + body)
  deepEqual((await stage.reloaded('changed')).needs_restart, [])
  deepEqual(await stage.sums(1), ['allowed', 'allowed'])
})

async function lastChange() {
  return (await stage.changes('gateway')).at(-1) ?? { index: -1, body: {} }
}

test('SIGHUP to a part that has no terminal does the same, and does not end it', async () => {
  const started = stage.system.events.findLast(({ event, part }) => event === 'started' && part === 'gateway')
  await stage.rule('hup.cedar', 'forbid (principal, action, resource == Tool::"everything/get-env");\n')
  process.kill(Number(started?.['pid']), 'SIGHUP')
  const entry = await stage.seen(async () => {
    const { body: found } = await lastChange()
    return found['by'] === 'SIGHUP' ? found : undefined
  }, 'a reload by signal')
  match(JSON.stringify(entry['policies']), /rules\/hup\.cedar:1/)
  const notice = () =>
    Promise.resolve(stage.system.events.find(({ text }) => String(text).includes('the policy has changed')))
  await stage.seen(notice, 'the notice of the supervisor')
  deepEqual(await stage.sums(1), ['allowed', 'allowed'])
  equal(
    stage.system.events.some(({ event }) => event === 'died'),
    false,
  )
  // The authority has not been asked, and is brought along.
  const [code, parts] = await stage.commanded('reload')
  deepEqual(
    [code, parts.map(({ part, answer }) => [part, answer?.outcome])],
    [
      0,
      [
        ['authority', 'changed'],
        ['gateway', 'unchanged'],
      ],
    ],
  )
})

test('with the list of the tools, an argument that no tool has is a mistake with its place', async () => {
  const { stdout } = await stage.system.run(['tools', 'everything', '--as', 'agent/a', '--json'])
  await writeFile(join(stage.system.folder, 'tools.json'), stdout)
  await stage.configure((head) => head + configurationBody(', tools: tools.json'))
  // What the tool calls a number is a decimal: until now the policy itself had to say what it takes it for.
  match((await stage.reloaded('refused')).problems?.[0] ?? '', /^rules\/own\.cedar:3:\d+: /)
  const sum = (name: string) =>
    smallSums(0).replace('has a ', `has ${name} `).replace('args.a > 0', `args.${name}.greaterThan(decimal("1000.0"))`)
  await stage.rule('own.cedar', sum('a'))
  // Tools come and go: rules about one that is not in the list count, and are told of.
  const missing = ['echo.cedar:1:40: everything has no tool "echo"', 'hup.cedar:1:40: everything has no tool "get-env"']
  const told = (await stage.reloaded('changed')).warnings ?? []
  deepEqual(
    told.map((text) => text.replace(/ \(.*/, '')),
    missing.map((text) => `rules/${text}`),
  )
  const { warnings: recorded } = (await lastChange()).body as { warnings?: { named: readonly string[] } }
  deepEqual(recorded?.named, told)
  for (const name of ['echo.cedar', 'hup.cedar']) await stage.forget(name)
  deepEqual((await stage.reloaded('changed')).warnings, [])
  deepEqual(await stage.sums(1001), ['policy_forbidden', 'policy_forbidden'])
  deepEqual(await stage.sums(1000), ['allowed', 'allowed'])
  const guarded = sum('aa')
  await stage.rule('own.cedar', guarded.replace('context.args has aa && ', ''))
  match((await stage.reloaded('refused')).problems?.[0] ?? '', /^rules\/own\.cedar:3:\d+: .*aa/)
  // Behind a guard it is no error of types, but nothing that could ever apply.
  await stage.rule('own.cedar', guarded)
  const { warnings = [] } = await stage.reloaded('changed')
  match(warnings[0] ?? '', /^rules\/own\.cedar:3:25: no tool .* has the argument "aa" \(did you mean "a"\?\)/)
  match(warnings[1] ?? '', /^rules\/own\.cedar:1:1: policy is impossible/)
  deepEqual((await stage.standing())[1]?.warnings, warnings)
  await stage.rule('own.cedar', sum('a'))
  await stage.reloaded('changed')
  deepEqual(await stage.sums(1001), ['policy_forbidden', 'policy_forbidden'])
})
