/** A candidate beside the policy of a running deployment: compared with on every call and never enforced; and calls decided anew. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { PolicyStage, smallSums } from '../fixtures/policy-stage.ts'

type Body = Readonly<Record<string, unknown>>

interface Shadow {
  readonly decision: string
  readonly reason?: string
  readonly policies: readonly string[]
  readonly policy: { readonly digest: string }
}

const shadowed = (head: string, body: string) =>
  head + body.replace('files: [rules] }', 'files: [rules], shadow: next.yaml }')
/** Sums up to 5, no echo, and the environment that nobody may see now. */
const candidate = (head: string, body: string) =>
  head +
  body
    .replace('files: [rules] }', 'files: [next] }')
    .replace('"tools/call:everything/echo"', '"tools/call:everything/get-env"')

let stage: PolicyStage
before(async () => {
  stage = await PolicyStage.open(100)
  await mkdir(join(stage.system.folder, 'next'))
  await writeFile(join(stage.system.folder, 'next', 'own.cedar'), smallSums(5))
  // The text of the candidate is that of the configuration, changed.
  await stage.configure(candidate)
  await writeNext(await stage.text())
  await stage.configure(shadowed)
  await stage.reloaded('unchanged')
})
after(() => stage.close())

const writeNext = (text: string) => writeFile(join(stage.system.folder, 'next.yaml'), text)
const standing = async () => (await stage.standing())[1]?.shadow ?? null
const call = (tool: string, args: object) => stage.peers[0]!.call(tool, { ...args })

async function lastDecision(tool: string): Promise<Body> {
  return stage.seen(async () => {
    const bodies = (await stage.record('gateway')).map(({ entry: { kind, body } }) => (kind === 'decision' ? body : {}))
    return bodies.findLast(({ resource }) => (resource as { name?: string } | undefined)?.name === tool)
  }, `a decision about ${tool}`)
}

test('that decisions are compared from now on is on record, with the digest of the candidate', async () => {
  const entry = (await stage.changes('gateway')).findLast(({ body }) => body['change'] === 'policy.shadow')?.body
  const { digest } = (entry?.['candidate'] ?? { digest: 'none' }) as { digest: string }
  equal((await standing())?.digest, digest)
  match(String(entry?.['by']), /operator/)
})

test('a call that the candidate would forbid is made all the same, and its entry says so', async () => {
  deepEqual(await stage.sums(50), ['allowed', 'allowed'])
  const { decision, code, shadow } = await lastDecision('get-sum')
  deepEqual([decision, code], ['allow', 'allowed'])
  const { policy, ...said } = shadow as Shadow
  deepEqual(said, { decision: 'deny', reason: 'forbid', policies: ['next/own.cedar#small-sums'] })
  equal(policy.digest, (await standing())?.digest)
})

test('a call that only the candidate would allow is refused and not forwarded, and its entry says so', async () => {
  match(JSON.stringify(await call('get-env', {})), /policy_denied/)
  const { decision, code, shadow } = await lastDecision('get-env')
  deepEqual([decision, code, (shadow as Shadow).decision], ['deny', 'policy_denied', 'allow'])
  // The sum comes after it: what was forwarded before that has its outcome by then.
  await stage.sums(50)
  const entries = await stage.record('gateway')
  const refused = entries.findLast(({ entry: { body } }) => body['code'] === 'policy_denied')?.index
  ok(refused !== undefined)
  ok(!entries.some(({ entry: { kind, body } }) => kind === 'outcome' && body['of'] === refused))
})

test('where both say the same, nothing is said', async () => {
  deepEqual(await stage.sums(3), ['allowed', 'allowed'])
  equal((await lastDecision('get-sum'))['shadow'], undefined)
  ok(((await standing())?.differences ?? 0) >= 3)
})

test('lists are those of the policy in force', async () => {
  const { tools } = await stage.peers[0]!.client.listTools()
  deepEqual(tools.map(({ name }) => name).toSorted(), ['echo', 'get-sum'])
})

test('recorded calls decided anew: who gains, who loses, and what arguments decide', async () => {
  await call('echo', { message: 'x' })
  await lastDecision('echo')
  const { code, stdout } = await stage.system.run(['policy', 'replay', '--candidate', 'next.yaml', '--json'])
  equal(code, 0)
  const { rows, calls, same } = JSON.parse(stdout) as {
    readonly rows: readonly { readonly change: string; readonly action: string; readonly resource: string }[]
    readonly calls: number
    readonly same: number
  }
  deepEqual(
    rows.map(({ change, action, resource }) => `${change} ${action} ${resource}`),
    [
      'gains tools/call everything/get-env',
      'loses tools/call everything/echo',
      'depends tools/call everything/get-sum',
    ],
  )
  ok(same > 0 && calls > same)
  const table = await stage.system.run(['policy', 'replay', '--candidate', 'next.yaml', '--fail-on', 'loses'])
  equal(table.code, 1)
  match(table.stdout, /loses.*agent\/a.*everything\/echo/)
  equal((await stage.system.run(['policy', 'replay', '--fail-on', 'any'])).code, 0)
  equal((await stage.system.run(['policy', 'replay', '--candidate', 'none.yaml'])).code, 2)
  equal((await stage.system.run(['policy', 'replay', '--since', 'yesterday'])).code, 2)
})

test('a candidate that is wrong stands in nobody’s way: it is on record, and nothing is compared', async () => {
  await writeNext('trust_domain: [\n')
  await stage.reloaded('unchanged')
  equal(await standing(), null)
  match((await stage.standing())[1]?.shadow_refused?.problems[0] ?? '', /next\.yaml:\d+/)
  match((await stage.system.run(['policy', 'status'])).stdout, /gateway: candidate refused: \S*next\.yaml:\d+/)
  const { body } = (await stage.changes('gateway')).at(-1)!
  equal(body['change'], 'policy.shadow.refuse')
  deepEqual(await stage.sums(50), ['allowed', 'allowed'])
  equal((await lastDecision('get-sum'))['shadow'], undefined)
})

test('so does one of another trust domain', async () => {
  await stage.configure(candidate)
  await writeNext((await stage.text()).replaceAll('test.example', 'other.example'))
  await stage.configure(shadowed)
  await stage.reloaded('unchanged')
  equal(await standing(), null)
  match(JSON.stringify((await stage.changes('gateway')).at(-1)?.body), /same trust domain/)
})

test('so does one with names that are not there; the same one put right is compared with', async () => {
  await stage.configure(candidate)
  await writeNext(await stage.text())
  const rule = join(stage.system.folder, 'next', 'more.cedar')
  await writeFile(rule, 'forbid (principal in Role::"calller", action, resource in Server::"everythng");\n')
  await stage.configure(shadowed)
  await stage.reloaded('unchanged')
  equal(await standing(), null)
  const { problems = [] } = (await stage.standing())[1]?.shadow_refused ?? {}
  match(problems.join('\n'), /more\.cedar:1:22: .*Role::"caller"[^]*more\.cedar:1:59: .*Server::"everything"/)
  await rm(rule)
  await stage.reloaded('unchanged')
  deepEqual([(await standing())?.differences, (await stage.standing())[1]?.shadow_refused], [0, null])
})

test('without a candidate in the configuration nothing is compared', async () => {
  await stage.configure((head, body) => head + body)
  await stage.reloaded('unchanged')
  equal(await standing(), null)
  deepEqual(await stage.sums(101), ['policy_forbidden', 'policy_forbidden'])
})
