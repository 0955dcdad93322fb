/** The policy of a running deployment changes: sessions go on, what is wrong changes nothing, and the record has it all. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { JsonObject } from '@doorward/core'
import { AdminClient } from '@doorward/sdk'
import { openLocalIdentity } from '../../packages/server/src/apps/local-identities.ts'
import { readEntries } from '../../packages/server/src/audit/read.ts'
import type { LoggedEntry } from '../../packages/server/src/audit/read.ts'
import { readEnvironment } from '../../packages/server/src/config/environment.ts'
import { gatewayAdminAudience } from '../../packages/server/src/config/settings.ts'
import { TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { listeningBridge } from '../fixtures/listening-bridge.ts'
import type { ListeningBridge } from '../fixtures/listening-bridge.ts'
import { openV2 } from '../fixtures/official-peers.ts'
import type { OpenPeer } from '../fixtures/official-peers.ts'

interface Answer {
  readonly outcome?: string
  readonly problems?: readonly string[]
  readonly needs_restart?: readonly string[]
  readonly warnings?: readonly string[]
  readonly policies?: Readonly<Record<'added' | 'removed' | 'changed', { count: number; named: readonly string[] }>>
  readonly settings?: Readonly<Record<'added' | 'removed', { count: number; named: readonly string[] }>>
  readonly to?: { readonly sequence: number; readonly digest: string }
  readonly kept?: { readonly sequence: number }
  readonly sequence?: number
  readonly digest?: string
  readonly failed?: { readonly by: string; readonly problems: readonly string[] } | null
}

interface Part {
  readonly part: 'authority' | 'gateway'
  readonly answer?: Answer
  readonly error?: { readonly code: string }
}

const smallSums = (limit: number) => `@id("small-sums")
forbid (principal, action == Action::"tools/call", resource == Tool::"everything/get-sum")
when { context.args has a && context.args.a > ${limit} };
`

const body = (more = '') => `servers:
  everything: { command: [mcp-server-everything]${more} }
roles:
  caller: ["tools/call:everything/get-sum", "tools/call:everything/echo"]
  idle: ["tools/call:everything/get-env"]
bindings:
  - { role: caller, workloads: ["spiffe://test.example/agent/*"] }
policy: { files: [rules] }
${wideLimits}`

describe('a policy that changes', () => {
  let system: TestDeployment
  let head = ''
  const opened = new AsyncDisposableStack()
  /** Two sessions that stay open: over standard streams and over HTTP. */
  let peers: readonly OpenPeer[] = []
  /** The operator at authority and gateway. */
  let admins: readonly AdminClient[] = []
  const folders = { gateway: '', authority: '' }

  before(async () => {
    system = await TestDeployment.prepare({ yaml: body() })
    opened.defer(() => system.remove())
    head = (await readFile(system.configFile, 'utf8')).replace(body(), '')
    await mkdir(join(system.folder, 'rules'))
    await rule('own.cedar', smallSums(100))
    await system.up()
    ;(await system.identity('agent/a')).close()
    const bridge: ListeningBridge = await listeningBridge(system, 'everything', 'agent/a')
    opened.defer(() => bridge.close())
    peers = [
      await openV2(system.launch(['connect', 'everything', '--as', 'agent/a'])),
      await openV2(new URL(bridge.url)),
    ]
    for (const peer of peers) opened.defer(() => peer.close())
    const deployment = await system.deployment()
    const operator = await openLocalIdentity({ deployment, environment: readEnvironment({ ...system.env }) })
    opened.defer(() => operator.close())
    await operator.prepare()
    const { authority, gateway } = deployment
    admins = [
      { url: authority.adminUrl, audience: authority.publicUrl, expectedId: authority.id },
      { url: gateway.adminUrl, audience: gatewayAdminAudience(deployment), expectedId: gateway.id },
    ].map((endpoint) => new AdminClient(operator, endpoint))
    for (const log of ['gateway', 'authority'] as const) folders[log] = await system.recordFolder(log)
  })
  after(() => opened.disposeAsync())

  const rule = (name: string, text: string) => writeFile(join(system.folder, 'rules', name), text)

  /** As the command asks, and prints. */
  async function commanded(
    ...words: readonly string[]
  ): Promise<readonly [code: number | null, parts: readonly Part[]]> {
    const { code, stdout, stderr } = await system.run(['policy', ...words, '--json'])
    ok(stdout !== '', stderr)
    return [code, (JSON.parse(stdout) as { parts: readonly Part[] }).parts]
  }

  async function asked(ask: (admin: AdminClient) => Promise<JsonObject>): Promise<readonly Answer[]> {
    return Promise.all(admins.map(ask))
  }

  const standing = () => asked((admin) => admin.policy())

  /** Both parts say the same; what the gateway says. */
  async function reloaded(outcome: string): Promise<Answer> {
    const answers = await asked((admin) => admin.reloadPolicy())
    deepEqual(
      answers.map((answer) => answer.outcome),
      [outcome, outcome],
      JSON.stringify(answers),
    )
    return answers[1]!
  }

  /** What each session gets for a sum. */
  async function sums(a: number): Promise<readonly string[]> {
    const answers = await Promise.all(peers.map((peer) => peer.call('get-sum', { a, b: 1 })))
    return answers.map((answer) => /policy_[a-z]+/.exec(JSON.stringify(answer))?.[0] ?? 'allowed')
  }

  /** Whoever has his answer need not wait for the checkpoint: the entry is in the file. */
  async function record(log: 'gateway' | 'authority'): Promise<readonly LoggedEntry[]> {
    const entries: LoggedEntry[] = []
    for await (const entry of readEntries(folders[log], { unsigned: true })) entries.push(entry)
    return entries
  }

  async function changes(log: 'gateway' | 'authority') {
    const entries = (await record(log)).map(({ entry }) => entry)
    return entries.filter(({ kind, body: { change } }) => kind === 'admin' && String(change).startsWith('policy.'))
  }

  async function seen<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
    for (const deadline = performance.now() + 20_000; performance.now() < deadline; await sleep(50)) {
      const found = await look()
      if (found !== undefined) return found
    }
    throw new Error(`not seen in time: ${what}`)
  }

  test('before it, arguments decide in every session, and lists show what some call may do', async () => {
    deepEqual(await sums(100), ['allowed', 'allowed'])
    deepEqual(await sums(101), ['policy_forbidden', 'policy_forbidden'])
    for (const { client } of peers)
      deepEqual((await client.listTools()).tools.map(({ name }) => name).toSorted(), ['echo', 'get-sum'])
  })

  test('the start is on record, with everything that the policy has', async () => {
    for (const log of ['gateway', 'authority'] as const) {
      const [first] = await seen(async () => {
        const found = await changes(log)
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
    await rule('own.cedar', smallSums(1000))
    await rule('echo.cedar', 'forbid (principal, action, resource == Tool::"everything/echo");\n')
    const gateway = await reloaded('changed')
    deepEqual(gateway.policies?.added.named, ['rules/echo.cedar:1'])
    deepEqual(gateway.policies?.changed.named, ['rules/own.cedar#small-sums'])
    deepEqual(gateway.policies?.removed, { count: 0, named: [] })
    equal(gateway.to?.sequence, 2)
    deepEqual(await sums(101), ['allowed', 'allowed'])
    for (const { client } of peers)
      deepEqual(
        (await client.listTools()).tools.map(({ name }) => name),
        ['get-sum'],
      )
    const again = await reloaded('unchanged')
    deepEqual(again.needs_restart, [])
  })

  test('decisions and the change itself name version and digest, and who has asked', async () => {
    const { sequence, digest } = (await standing())[1]!
    await sums(7)
    const calls = await seen(async () => {
      const entries = (await record('gateway')).map(({ entry }) => entry)
      const found = entries.filter(({ kind, body: { action } }) => kind === 'decision' && action === 'tools/call')
      const policy = found.at(-1)?.body['policy'] as { sequence: number } | undefined
      return policy?.sequence === 2 ? found : undefined
    }, 'a decision by the second policy')
    deepEqual(calls.at(-1)?.body['policy'], { digest, sequence })
    ok(calls.every(({ body: { policy } }) => policy !== undefined))
    const change = (await changes('gateway')).at(-1)?.body
    deepEqual([change?.['change'], change?.['to'] as object | undefined], ['policy.activate', { digest, sequence }])
    match(String(change?.['by']), /^spiffe:\/\/test\.example\/operator\//)
  })

  const bad: readonly (readonly [what: string, text: string, expected: RegExp])[] = [
    ['does not parse', 'permit (principal, action,\n  resource', /^rules\/bad\.cedar:2:\d+: /],
    [
      'names what is not there',
      'permit (principal, action == Action::"tools/cal", resource);',
      /^rules\/bad\.cedar:1:\d+: .*tools\/cal/,
    ],
    [
      'opens our own API',
      '\npermit (principal, action, resource);',
      /^rules\/bad\.cedar:2:1: .*administration of Doorward/,
    ],
    [
      'has an id twice',
      '@id("x") permit (principal, action, resource is Tool);\n@id("x") permit (principal, action, resource is Tool);',
      /two policies have the id/,
    ],
    [
      'nests a thousand parentheses',
      `permit (principal, action, resource is Tool) when { ${'('.repeat(1000)}true${')'.repeat(1000)} };`,
      /^rules\/bad\.cedar:1:\d+: /,
    ],
    ['is no text', '\u0000', /^rules\/bad\.cedar:1:\d+: /],
  ]
  for (const [what, text, expected] of bad) {
    test(`one that ${what} is refused with its place, and the one before decides on`, async () => {
      await rule('bad.cedar', text)
      const gateway = await reloaded('refused')
      match(gateway.problems?.[0] ?? '', expected)
      equal(gateway.kept?.sequence, 2)
      deepEqual(await sums(1001), ['policy_forbidden', 'policy_forbidden'])
      deepEqual(await sums(101), ['allowed', 'allowed'])
      for (const answer of await standing()) {
        equal(answer.sequence, 2)
        match(answer.failed?.problems[0] ?? '', expected)
        match(answer.failed?.by ?? '', /operator/)
      }
      for (const log of ['gateway', 'authority'] as const)
        await seen(async () => (expectedIn(await changes(log), expected) ? true : undefined), 'the refusal on record')
      await rm(join(system.folder, 'rules', 'bad.cedar'))
      await reloaded('unchanged')
    })
  }

  function expectedIn(entries: Awaited<ReturnType<typeof changes>>, expected: RegExp): boolean {
    const { change, problems } = (entries.at(-1)?.body ?? {}) as { change?: string; problems?: { named: string[] } }
    return change === 'policy.refuse' && expected.test(problems?.named[0] ?? '')
  }

  test('every mistake is told, of roles and of files alike', async () => {
    await rule(
      'bad.cedar',
      'permit (principal in Group::"x", action, resource is Tool);\npermit (principal, action, resource is Tol);\n',
    )
    ok(((await reloaded('refused')).problems ?? []).length >= 2)
    await rm(join(system.folder, 'rules', 'bad.cedar'))
  })

  test('a configuration that is wrong, or of another trust domain, changes nothing', async () => {
    const other = head.replace('test.example', 'other.example') + body().replaceAll('test.example', 'other.example')
    for (const [text, expected] of [
      [head + body().replace('role: caller', 'role: nobody'), /doorward\.yaml:\d+ bindings\[0\]\.role/],
      [other, /doorward\.yaml:\d+ trust_domain: a trust domain is never renamed; expected test\.example/],
      [head + body().replace('[rules]', '[rules, nowhere.cedar]'), /policy\.files\[1\]: there is no such file/],
    ] as const) {
      await writeFile(system.configFile, text)
      // The command reads the same file, so the parts are asked by signal.
      const before = await lastChange()
      process.kill(system.pid, 'SIGHUP')
      const entry = await seen(async () => {
        const now = await lastChange()
        return now.index > before.index ? now.body : undefined
      }, 'the refusal of the configuration')
      deepEqual([entry['change'], entry['by']], ['policy.refuse', 'supervisor'])
      match((entry['problems'] as { named: string[] }).named[0] ?? '', expected)
      deepEqual(await sums(1001), ['policy_forbidden', 'policy_forbidden'])
    }
    await writeFile(system.configFile, head + body())
  })

  async function lastChange() {
    const entries = await record('gateway')
    const found = entries.findLast(
      ({
        entry: {
          kind,
          body: { change },
        },
      }) => kind === 'admin' && String(change).startsWith('policy.'),
    )
    return { index: found?.index ?? -1, body: found?.entry.body ?? {} }
  }

  test('what a restart alone takes up is named and not applied; bindings count at once', async () => {
    const changed = body()
      .replace(
        '  - { role: caller',
        '  - { role: idle, workloads: ["spiffe://test.example/agent/a"] }\n  - { role: caller',
      )
      .replace('sessions_per_user: 1000', 'sessions_per_user: 999')
      .replace('servers:\n', 'servers:\n  second: { command: [mcp-server-everything] }\n')
    await writeFile(system.configFile, head + changed)
    const gateway = await reloaded('changed')
    deepEqual([...(gateway.needs_restart ?? [])].toSorted(), ['limits.sessions_per_user', 'servers.second'])
    ok(gateway.settings?.added.named.includes('role idle: spiffe://test.example/agent/a'), JSON.stringify(gateway))
    const { client } = peers[0]!
    deepEqual((await client.listTools()).tools.map(({ name }) => name).toSorted(), ['get-env', 'get-sum'])
    await writeFile(system.configFile, head + body())
    deepEqual((await reloaded('changed')).needs_restart, [])
    deepEqual(await sums(1), ['allowed', 'allowed'])
  })

  test('SIGHUP to a part that has no terminal does the same, and does not end it', async () => {
    const started = system.events.findLast(({ event, part }) => event === 'started' && part === 'gateway')
    await rule('hup.cedar', 'forbid (principal, action, resource == Tool::"everything/get-env");\n')
    process.kill(Number(started?.['pid']), 'SIGHUP')
    const entry = await seen(async () => {
      const { body: found } = await lastChange()
      return found['by'] === 'SIGHUP' ? found : undefined
    }, 'a reload by signal')
    match(JSON.stringify(entry['policies']), /rules\/hup\.cedar:1/)
    const notice = () =>
      Promise.resolve(system.events.find(({ text }) => String(text).includes('the policy has changed')))
    await seen(notice, 'the notice of the supervisor')
    deepEqual(await sums(1), ['allowed', 'allowed'])
    equal(
      system.events.some(({ event }) => event === 'died'),
      false,
    )
    // The authority has not been asked, and is brought along.
    const [code, parts] = await commanded('reload')
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
    const { stdout } = await system.run(['tools', 'everything', '--as', 'agent/a', '--json'])
    await writeFile(join(system.folder, 'tools.json'), stdout)
    await writeFile(system.configFile, head + body(', tools: tools.json'))
    // What the tool calls a number is a decimal: until now the policy itself had to say what it takes it for.
    match((await reloaded('refused')).problems?.[0] ?? '', /^rules\/own\.cedar:3:\d+: /)
    const sum = (name: string) =>
      smallSums(0)
        .replace('has a ', `has ${name} `)
        .replace('args.a > 0', `args.${name}.greaterThan(decimal("1000.0"))`)
    await rule('own.cedar', sum('a'))
    deepEqual((await reloaded('changed')).warnings, [])
    deepEqual(await sums(1001), ['policy_forbidden', 'policy_forbidden'])
    deepEqual(await sums(1000), ['allowed', 'allowed'])
    const guarded = sum('aa')
    await rule('own.cedar', guarded.replace('context.args has aa && ', ''))
    match((await reloaded('refused')).problems?.[0] ?? '', /^rules\/own\.cedar:3:\d+: .*aa/)
    // Behind a guard it is no error of types, but nothing that could ever apply.
    await rule('own.cedar', guarded)
    const { warnings = [] } = await reloaded('changed')
    match(warnings[0] ?? '', /^rules\/own\.cedar:1:1: policy is impossible/)
    deepEqual((await standing())[1]?.warnings, warnings)
    await rule('own.cedar', sum('a'))
    await reloaded('changed')
    deepEqual(await sums(1001), ['policy_forbidden', 'policy_forbidden'])
  })

  test('ten thousand policies are taken up, and decide', async () => {
    const lines = Array.from(
      { length: 10_000 },
      (_, i) => `forbid (principal, action, resource == Tool::"everything/t${i}");`,
    )
    await rule('many.cedar', `${lines.join('\n')}\n`)
    const gateway = await reloaded('changed')
    deepEqual([gateway.policies?.added.count, gateway.policies?.added.named.length], [10_000, 50])
    deepEqual(await sums(1001), ['policy_forbidden', 'policy_forbidden'])
    deepEqual(await sums(1), ['allowed', 'allowed'])
    await rm(join(system.folder, 'rules', 'many.cedar'))
    equal((await reloaded('changed')).policies?.removed.count, 10_000)
  })

  test('the command says it in words, and ends with 1 when a part refuses or may not be asked', async () => {
    await rule('bad.cedar', 'permit (')
    const refused = await system.run(['policy', 'reload'])
    equal(refused.code, 1)
    match(refused.stdout, /✗ authority refused, still number \d+[^]*rules\/bad\.cedar:1:\d+: [^]*✗ gateway {3}refused/)
    const shown = await system.run(['policy', 'status'])
    equal(shown.code, 0)
    match(shown.stdout, /gateway +number \d+, \S+ +20\S+Z +\d+ +1 +\d+\n[^]*gateway: refused: rules\/bad\.cedar/)
    await rm(join(system.folder, 'rules', 'bad.cedar'))
    for (const word of ['reload', 'status']) {
      const [code, parts] = await commanded(word, '--as', 'agent/a')
      deepEqual([code, parts.map(({ error }) => error?.code)], [1, ['policy_denied', 'policy_denied']])
    }
  })
})
