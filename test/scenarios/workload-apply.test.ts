/** Workloads from the command line of a running deployment: searched, shown, changed, applied and removed. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { repository, TestDeployment, wideLimits } from '../fixtures/deployment.ts'

const documents = join(repository, 'examples', 'first-call', 'documents')

interface Answer {
  readonly error?: { readonly code: string; readonly where?: string; readonly message?: string; readonly next?: string }
  readonly workloads?: readonly { readonly id: string; readonly roles: readonly string[] }[]
  readonly changes?: readonly { readonly action: string; readonly id: string }[]
  readonly results?: readonly { readonly id: string; readonly outcome: string; readonly error?: { code: string } }[]
  readonly undeclared?: readonly string[]
  readonly applied?: boolean
  readonly changed?: boolean
  readonly ended?: object
  readonly instances?: readonly { readonly instance: string }[]
  readonly certificates?: readonly object[]
}

const file = `# what this deployment knows
- id: agent/planner
  roles: [reader]
- id: agent/scribe
  roles: [reader, writer]
  ttl_seconds: 7200
  dns_names: [scribe.example]
---
id: service/ci
attest:
  - oidc: { issuer: github, claims: { repository: acme/x } }
  - join_token: true
`

describe('workloads of a running deployment', () => {
  let system: TestDeployment
  before(async () => {
    system = await TestDeployment.start({
      yaml: `servers: { files: { command: [mcp-server-filesystem, ${documents}], effects: { read: [read_*, list_*] } } }
roles: { reader: ["read:files/*"], writer: ["write:files/*"] }
${wideLimits}`,
    })
    await writeFile(join(system.folder, 'w.yaml'), file)
  })
  after(() => system.remove())

  const told = async (words: string, input = ''): Promise<readonly [number | null, Answer]> => {
    const { code, stdout } = await system.run([...words.split(' '), '--json'], input)
    return [code, JSON.parse(stdout) as Answer]
  }
  /** Repeats what changes nothing until it answers with this code. */
  const until = async (words: string, wanted: string | undefined): Promise<void> => {
    for (let tries = 0; tries < 20; tries++) {
      const [, { error }] = await told(words)
      if (error?.code === wanted) return
    }
    throw new Error(`${words} did not come to ${wanted}`)
  }
  const ids = ({ workloads = [] }: Answer) => workloads.map(({ id }) => id.replace('spiffe://test.example/', ''))
  const steps = ({ changes = [] }: Answer) =>
    changes.map(({ action, id }) => `${action} ${id.replace('spiffe://test.example/', '')}`)

  test('OP-7: a dry run shows what would change, changes nothing, and fails', async () => {
    const [code, answer] = await told('workload apply -f w.yaml --dry-run')
    deepEqual([code, answer.applied], [1, false])
    deepEqual(steps(answer), ['add agent/planner', 'add agent/scribe', 'add service/ci'])
    deepEqual(ids((await told('workload list --under agent'))[1]), [])
  })

  test('nobody is asked where nobody can answer', async () => {
    const [code, { error }] = await told('workload apply -f w.yaml')
    deepEqual([code, error?.code], [2, 'confirmation_needed'])
    deepEqual(ids((await told('workload list --under agent'))[1]), [])
  })

  test('OP-7: applying does what was shown, hands over join strings by file, and a second time does nothing', async () => {
    const [code, answer] = await told('workload apply -f w.yaml --yes --out-dir joins')
    deepEqual([code, answer.applied], [0, true])
    const folder = join(system.folder, 'joins')
    const files = await readdir(folder)
    deepEqual(files.toSorted(), ['agent+planner.join', 'agent+scribe.join', 'service+ci.join'])
    for (const name of files) equal((await stat(join(folder, name))).mode & 0o777, 0o600)
    ok(!JSON.stringify(answer).includes('doorward-join'))
    const [again, nothing] = await told('workload apply -f w.yaml --yes --out-dir joins')
    deepEqual([again, steps(nothing), nothing.applied], [0, [], false])
    equal((await told('workload apply -f w.yaml --dry-run'))[0], 0)
  })

  test('a join string of an applied workload is good', async () => {
    equal((await told('join --file joins/agent+planner.join'))[0], 0)
    equal((await told('call files read_text_file path=welcome.md --as agent/planner'))[0], 0)
  })

  test('OP-7: what is exported is what is registered: applying it changes nothing, from standard input too', async () => {
    const exported = await system.run(['workload', 'export'])
    equal(exported.code, 0)
    ok(!exported.stdout.includes('doorward/'))
    const [code, answer] = await told('workload apply --prune --dry-run -f -', exported.stdout)
    deepEqual([code, steps(answer)], [0, []])
    const json = await system.run(['workload', 'export', '--json'])
    equal((await told('workload apply --prune --dry-run -f -', json.stdout))[0], 0)
  })

  test('a search goes by role and by whole segments of the path', async () => {
    deepEqual(ids((await told('workload search --role writer'))[1]), ['agent/scribe'])
    deepEqual(ids((await told('workload list --under agent/'))[1]), ['agent/planner', 'agent/scribe'])
    deepEqual(ids((await told('workload list --under age'))[1]), [])
    deepEqual(ids((await told('workload list --attest oidc'))[1]), ['service/ci'])
    deepEqual((await told('workload list --attest password'))[1].error?.code, 'usage')
  })

  test('a workload is shown with its instance and its certificate, and without secrets', async () => {
    const { stdout } = await system.run(['workload', 'show', 'agent/planner', '--json'])
    const shown = JSON.parse(stdout) as Answer
    deepEqual([shown.instances?.length, shown.certificates?.length], [1, 1])
    const invited = await readFile(join(system.folder, 'joins', 'agent+scribe.join'), 'utf8')
    ok(!stdout.includes(invited.trim()))
    const people = await system.run(['workload', 'show', 'agent/planner'])
    match(people.stdout, new RegExp(shown.instances?.[0]?.instance ?? 'none'))
    equal((await told('workload show agent/nobody'))[1].error?.code, 'resource_unknown')
  })

  test('a role that is taken away bites, the one that is given counts, and nothing else changes', async () => {
    equal((await told('workload set agent/planner --no-role'))[1].error?.code, 'confirmation_needed')
    const call = 'call files read_text_file path=welcome.md --as agent/planner'
    equal((await told('workload set agent/planner --no-role --dry-run'))[0], 1)
    equal((await told(call))[0], 0)
    equal((await told('workload set agent/planner --no-role --yes'))[1].changed, true)
    await until(call, 'policy_denied')
    equal((await told('workload set agent/planner --role reader --yes'))[1].changed, true)
    await until(call, undefined)
    equal((await told('workload set agent/planner --role reader --yes'))[1].changed, false)
    equal((await told('workload apply -f w.yaml --dry-run'))[0], 0)
  })

  test('a workload that is registered is invited again without being removed', async () => {
    const [code] = await told('workload invite agent/scribe --out scribe.join')
    equal(code, 0)
    equal((await told('join --file scribe.join'))[0], 0)
    equal((await told('workload invite agent/scribe --out scribe.join'))[1].error?.code, 'file_not_written')
  })

  test('OP-10: one instance is locked and forgotten by command', async () => {
    const [instance] = (await told('workload show agent/scribe'))[1].instances ?? []
    const words = `agent/scribe ${instance?.instance}`
    equal((await told(`workload lock ${words} --reason stolen`))[0], 0)
    ok((await told('call files read_text_file path=welcome.md --as agent/scribe'))[0] !== 0)
    equal((await told(`workload lock ${words}`))[1].error?.code, 'instance_locked')
    equal((await told(`workload unlock ${words}`))[0], 0)
    equal((await told(`workload unlock ${words}`))[1].error?.code, 'resource_unknown')
  })

  test('of concurrent changes by two operators none is lost unnoticed', async () => {
    const both = await Promise.all(['one', 'two'].map((role) => told(`workload set service/ci --role ${role} --yes`)))
    const [held] = (await told('workload list --under service'))[1].workloads ?? []
    const won = both.filter(([code]) => code === 0).length
    ok(won >= 1)
    for (const [, { error }] of both) ok(error === undefined || error.code === 'workload_changed')
    ok(held?.roles.length === 1 && ['one', 'two'].includes(held.roles[0] ?? ''))
  })

  test('OP-7: prune removes what is not declared, at once, and neither Doorward nor who runs it', async () => {
    const [, planned] = await told('workload apply -f - --prune --dry-run', '- id: agent/scribe\n')
    deepEqual(steps(planned), ['remove agent/planner', 'remove service/ci', 'change agent/scribe'])
    const [code] = await told('workload apply -f - --prune --yes', '- id: agent/scribe\n')
    equal(code, 0)
    const left = ids((await told('workload list'))[1])
    deepEqual(
      left.filter((id) => !id.startsWith('operator/')),
      ['agent/scribe', 'doorward/authority', 'doorward/gateway/main'],
    )
    equal(left.length, 4)
    await until('tools files --as agent/planner', 'identity_denied')
  })

  test('SID-8: what was removed returns only when that is said, and the rest is applied all the same', async () => {
    const [code, answer] = await told('workload apply -f w.yaml --yes')
    equal(code, 1)
    deepEqual(
      answer.results?.map(({ outcome, error }) => error?.code ?? outcome),
      ['done', 'workload_removed', 'workload_removed'],
    )
    equal((await told('workload apply -f w.yaml --yes --again'))[0], 0)
    await until('tools files --as agent/planner', 'identity_denied')
  })

  test('a removal says what it ended', async () => {
    const [code, { ended }] = await told('workload remove agent/scribe')
    deepEqual([code, Object.keys(ended ?? {})], [0, ['instances', 'certificates', 'join_tokens']])
  })

  test('a file with mistakes is misuse, each told with line and column, and nothing is sent', async () => {
    await writeFile(join(system.folder, 'bad.yaml'), '- id: agent/x\n  rolez: [a]\n- id: doorward/gateway/x\n')
    const { code, stderr } = await system.run(['workload', 'apply', '-f', 'bad.yaml', '--yes'])
    equal(code, 2)
    match(stderr, /bad\.yaml:2:3 /)
    match(stderr, /bad\.yaml:3:3 /)
    equal((await told('workload apply -f none.yaml --yes'))[1].error?.code, 'configuration_missing')
  })

  test('who is no operator applies nothing', async () => {
    await system.identity('agent/outsider', ['reader']).then((identity) => identity.close())
    const [code, { error }] = await told('workload apply -f w.yaml --prune --yes --as agent/outsider')
    deepEqual([code, error?.code], [1, 'policy_denied'])
  })

  test('a gateway is added by its own command, and by no other', async () => {
    equal((await told('gateway add eu --dns mcp.example --out eu.join'))[0], 0)
    equal(
      (await told('workload add doorward/gateway/us --role gateway --out us.join'))[1].error?.code,
      'request_invalid',
    )
    equal((await told('workload remove doorward/gateway/eu'))[0], 0)
  })

  test('every change is on record with who made it', async () => {
    const changes = (await system.record('authority')).filter(({ entry }) => entry.kind === 'admin')
    const byOperators = changes.filter(({ entry }) => String(entry.body['by']).includes('/operator/'))
    const names = new Set(byOperators.map(({ entry }) => entry.body['change']))
    for (const name of ['workload.add', 'workload.update', 'workload.remove', 'join-string.create'])
      ok(names.has(name), name)
    ok(byOperators.every(({ entry }) => typeof entry.body['id'] === 'string'))
  })
})
