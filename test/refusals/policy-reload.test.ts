/** Bad input for a running system: a policy that is wrong changes nothing, and one that is only large is taken up. */

import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { TestDeployment } from '../fixtures/deployment.ts'
import { configurationBody, PolicyStage } from '../fixtures/policy-stage.ts'

let stage: PolicyStage
before(async () => {
  stage = await PolicyStage.open(1000)
})
after(() => stage.close())

const bad: readonly (readonly [what: string, text: string, expected: RegExp])[] = [
  ['does not parse', 'permit (principal, action,\n  resource', /^rules\/bad\.cedar:2:\d+: /],
  [
    'names what is not there',
    'permit (principal, action == Action::"tools/cal", resource);',
    /^rules\/bad\.cedar:1:\d+: .*tools\/cal/,
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
  [
    'names a server that is not configured',
    'forbid (principal, action,\n  resource in Server::"everythng");',
    /^rules\/bad\.cedar:2:15: the server "everythng" is not configured \(did you mean Server::"everything"\?\)/,
  ],
  [
    'names a tool of such a server in a condition',
    'forbid (principal, action, resource)\nwhen { resource == Tool::"everythng/echo" };',
    /^rules\/bad\.cedar:2:20: .*did you mean Tool::"everything\/echo"/,
  ],
  [
    'names a role that is not defined',
    'forbid (principal in Role::"callr", action, resource in Server::"everything");',
    /^rules\/bad\.cedar:1:22: the role "callr" is not defined \(did you mean Role::"caller"\?\)/,
  ],
  [
    'names a workload of another trust domain',
    'forbid (principal == Workload::"spiffe://test.exmaple/agent/a", action, resource in Server::"everything");',
    /^rules\/bad\.cedar:1:22: .*trust domain test\.exmaple.*ours is test\.example/,
  ],
  [
    'names a route that our own API does not have',
    'forbid (principal, action, resource == Route::"gateway/v1/recrod");',
    /^rules\/bad\.cedar:1:40: .*did you mean Route::"gateway\/v1\/record"/,
  ],
  ['is no text', '\u0000', /^rules\/bad\.cedar:1:\d+: /],
]

async function refuses(text: string, expected: RegExp): Promise<void> {
  await stage.rule('bad.cedar', text)
  const gateway = await stage.reloaded('refused')
  match(gateway.problems?.[0] ?? '', expected)
  equal(gateway.kept?.sequence, 1)
  deepEqual(await stage.sums(1001), ['policy_forbidden', 'policy_forbidden'])
  deepEqual(await stage.sums(101), ['allowed', 'allowed'])
  for (const answer of await stage.standing()) {
    equal(answer.sequence, 1)
    match(answer.failed?.problems[0] ?? '', expected)
    match(answer.failed?.by ?? '', /operator/)
  }
  for (const log of ['gateway', 'authority'] as const)
    await stage.seen(
      async () => (expectedIn(await stage.changes(log), expected) ? true : undefined),
      'the refusal on record',
    )
  await stage.forget('bad.cedar')
  await stage.reloaded('unchanged')
}

for (const [what, text, expected] of bad)
  test(`one that ${what} is refused with its place, and the one before decides on`, () => refuses(text, expected))

test('one that opens our own API without naming it is refused with its place, and the one before decides on', () =>
  refuses('\npermit (principal, action, resource);', /^rules\/bad\.cedar:2:1: .*administration of Doorward/))

function expectedIn(entries: Awaited<ReturnType<PolicyStage['changes']>>, expected: RegExp): boolean {
  const { change, problems } = (entries.at(-1)?.body ?? {}) as { change?: string; problems?: { named: string[] } }
  return change === 'policy.refuse' && expected.test(problems?.named[0] ?? '')
}

test('nothing starts by a policy with names that are not there, and the place is told', async () => {
  const system = await TestDeployment.prepare({ yaml: configurationBody() })
  try {
    await mkdir(join(system.folder, 'rules'))
    await writeFile(
      join(system.folder, 'rules', 'own.cedar'),
      'forbid (principal, action, resource in Server::"none");\n',
    )
    await rejects(system.up(), /up ended with 2: .*rules\/own\.cedar:1:40: the server \\"none\\" is not configured/)
  } finally {
    await system.remove()
  }
})

test('every mistake is told, of roles and of files alike', async () => {
  await stage.rule(
    'bad.cedar',
    'permit (principal in Group::"x", action, resource is Tool);\npermit (principal, action, resource is Tol);\n',
  )
  ok(((await stage.reloaded('refused')).problems ?? []).length >= 2)
  await stage.forget('bad.cedar')
})

test('a configuration that is wrong, or of another trust domain, changes nothing', async () => {
  for (const [change, expected] of [
    [
      (head: string, body: string) => head + body.replace('role: caller', 'role: nobody'),
      /doorward\.yaml:\d+ bindings\[0\]\.role/,
    ],
    [
      (head: string, body: string) => (head + body).replaceAll('test.example', 'other.example'),
      /doorward\.yaml:\d+ trust_domain: a trust domain is never renamed; expected "test\.example"/,
    ],
    [
      (head: string, body: string) => head + body.replace('[rules]', '[rules, nowhere.cedar]'),
      /policy\.files\[1\]: there is no such file/,
    ],
  ] as const) {
    await stage.configure(change)
    // The command reads the same file, so the parts are asked by signal: the gateway then reads all of its configuration.
    const refusals = async () =>
      (await stage.record('gateway')).filter(({ entry }) => entry.body['change'] === 'gateway.reload.refuse')
    const before = (await refusals()).length
    process.kill(stage.system.pid, 'SIGHUP')
    const entry = await stage.seen(
      async () => (await refusals())[before]?.entry.body,
      'the refusal of the configuration',
    )
    deepEqual([entry['change'], entry['by']], ['gateway.reload.refuse', 'supervisor'])
    match((entry['problems'] as { named: string[] }).named[0] ?? '', expected)
    deepEqual(await stage.sums(1001), ['policy_forbidden', 'policy_forbidden'])
  }
  await stage.configure((head, body) => head + body)
})

test('ten thousand policies are taken up, and decide', async () => {
  const lines = Array.from(
    { length: 10_000 },
    (_, i) => `forbid (principal, action, resource == Tool::"everything/t${i}");`,
  )
  await stage.rule('many.cedar', `${lines.join('\n')}\n`)
  const gateway = await stage.reloaded('changed')
  deepEqual([gateway.policies?.added.count, gateway.policies?.added.named.length], [10_000, 50])
  deepEqual(await stage.sums(1001), ['policy_forbidden', 'policy_forbidden'])
  deepEqual(await stage.sums(1), ['allowed', 'allowed'])
  await stage.forget('many.cedar')
  equal((await stage.reloaded('changed')).policies?.removed.count, 10_000)
})

test('the command says it in words, and ends with 1 when a part refuses or may not be asked', async () => {
  await stage.rule('bad.cedar', 'permit (')
  const refused = await stage.system.run(['policy', 'reload'])
  equal(refused.code, 1)
  match(refused.stdout, /✗ authority refused, still number \d+[^]*rules\/bad\.cedar:1:\d+: [^]*✗ gateway {3}refused/)
  const shown = await stage.system.run(['policy', 'status'])
  equal(shown.code, 0)
  match(shown.stdout, /gateway +number \d+, \S+ +20\S+Z +\d+ +1 +\d+\n[^]*gateway: refused: rules\/bad\.cedar/)
  await stage.forget('bad.cedar')
  for (const word of ['reload', 'status']) {
    const [code, parts] = await stage.commanded(word, '--as', 'agent/a')
    deepEqual([code, parts.map(({ error }) => error?.code)], [1, ['policy_denied', 'policy_denied']])
  }
})
