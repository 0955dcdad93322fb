/** What `doorward workload apply` would do, and that doing it leads there. */

import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { DoorwardError } from '@doorward/core'
import type { WorkloadDocument } from '@doorward/core'
import { ServerRefused } from '@doorward/sdk'
import type { Workload } from '@doorward/sdk'
import { carryOut } from '../../../packages/server/src/cli/workload/carry-out.ts'
import type { Carrying, StepResult } from '../../../packages/server/src/cli/workload/carry-out.ts'
import { planOf } from '../../../packages/server/src/cli/workload/plan.ts'
import { parseWorkloads, workloadsYaml } from '../../../packages/server/src/config/workload-file.ts'
import { self, withDesk } from '../../fixtures/authority/registration-desk.ts'
import type { Desk } from '../../fixtures/authority/registration-desk.ts'
import { anyWorkload, anyWorkloads, trustDomain } from '../core/workload-arbitraries.ts'

const options = { prune: true, self }

function asRegistered(document: WorkloadDocument, revision = 1): Workload {
  return { document, revision, createdAt: 0, updatedAt: 0 }
}

function carrying({ registrar }: Desk, more: Partial<Carrying> = {}): Carrying {
  const { signal } = new AbortController()
  return { client: registrar, trustDomain, again: true, outDir: null, signal, onResult: () => undefined, ...more }
}

async function applied(desk: Desk, declared: readonly WorkloadDocument[]): Promise<readonly StepResult[]> {
  return carryOut(planOf(declared, await desk.workloads(), options).steps, carrying(desk))
}

const outcomes = (results: readonly StepResult[]) => results.map(({ outcome }) => outcome.kind)

function workload(path: string, more: Partial<WorkloadDocument> = {}): WorkloadDocument {
  const [document] = parseWorkloads(JSON.stringify({ ...more, id: path }), 'test', trustDomain)
  assert.ok(document !== undefined)
  return document
}

test('OP-7: what is exported and applied changes nothing', () => {
  fc.assert(
    fc.property(anyWorkloads, (documents) => {
      const registered = documents.map((document) => asRegistered(document))
      const declared = parseWorkloads(workloadsYaml(documents, trustDomain), 'export', trustDomain)
      const plan = planOf(declared, registered, options)
      assert.deepEqual([plan.steps, plan.unchanged, plan.undeclared], [[], documents.length, []])
    }),
  )
})

test('a plan does not depend on the order of what is declared or registered', () => {
  fc.assert(
    fc.property(anyWorkloads, anyWorkloads, (declared, documents) => {
      const registered = documents.map((document) => asRegistered(document))
      assert.deepEqual(
        planOf(declared.toReversed(), registered.toReversed(), options),
        planOf(declared, registered, options),
      )
    }),
  )
})

/** DNS names move about freely among few workloads, each by one change; what cannot be registered is left out. */
const states = fc.array(
  fc
    .tuple(...['a', 'b', 'c', 'd'].map((path) => fc.option(anyWorkload(`spiffe://${trustDomain}/agent/${path}`))))
    .chain((documents) =>
      fc
        .shuffledSubarray(['w.example', 'x.example', 'y.example', 'z.example'], { minLength: 4 })
        .map((names) =>
          documents.flatMap((document, i) =>
            document === null ? [] : [{ ...document, dns_names: i === 3 ? [] : names.slice(i, i + 1) }],
          ),
        ),
    ),
  { minLength: 1, maxLength: 4 },
)

test('OP-7: applying leads to what is declared, wherever one comes from, and a second time changes nothing', async () => {
  await fc.assert(
    fc.asyncProperty(states, (all) =>
      withDesk(async (desk) => {
        for (const declared of all) {
          const results = await applied(desk, declared)
          assert.ok(
            results.every(({ outcome }) => outcome.kind === 'done'),
            JSON.stringify(results),
          )
          assert.deepEqual(
            (await desk.workloads()).map(({ document }) => document),
            declared.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
          )
          assert.deepEqual(await applied(desk, declared), [])
        }
      }),
    ),
    { numRuns: 60 },
  )
})

test('two workloads can change their DNS names with each other', () =>
  withDesk(async (desk) => {
    await applied(desk, [
      workload('agent/a', { dns_names: ['a.example', 'keep.example'] }),
      workload('agent/b', { dns_names: ['b.example'] }),
    ])
    const declared = [
      workload('agent/a', { dns_names: ['b.example', 'keep.example'] }),
      workload('agent/b', { dns_names: ['a.example'] }),
    ]
    assert.deepEqual(outcomes(await applied(desk, declared)), ['done', 'done'])
    assert.deepEqual(await applied(desk, declared), [])
  }))

test('without prune nothing is removed, and what is not declared is told', () => {
  const registered = ['agent/a', 'agent/b'].map((path) => asRegistered(workload(path)))
  const plan = planOf([workload('agent/a')], registered, { ...options, prune: false })
  assert.deepEqual([plan.steps, plan.undeclared], [[], [`spiffe://${trustDomain}/agent/b`]])
})

test('prune removes neither parts of Doorward nor who carries it out', () => {
  const ids = ['doorward/authority', 'doorward/gateway/main', 'operator/eve', 'operator/ann', 'agent/a']
  const registered = ids.map((path) => asRegistered({ ...workload('x'), id: `spiffe://${trustDomain}/${path}` }))
  const plan = planOf([], registered, options)
  assert.deepEqual(
    plan.steps.map(({ action, document }) => [action, document.id.split('example/')[1]]),
    [
      ['remove', 'agent/a'],
      ['remove', 'operator/ann'],
    ],
  )
  assert.deepEqual(plan.undeclared, [self])
})

test('what the authority refuses fails alone, and the rest is done', () =>
  withDesk(async (desk) => {
    await applied(desk, [workload('agent/b')])
    await applied(desk, [])
    const steps = planOf(
      ['agent/a', 'agent/b', 'agent/c'].map((path) => workload(path)),
      [],
      options,
    ).steps
    const results = await carryOut(steps, carrying(desk, { again: false }))
    assert.deepEqual(outcomes(results), ['done', 'failed', 'done'])
    const { outcome } = results[1]!
    assert.equal(outcome.kind === 'failed' && outcome.error.code, 'workload_removed')
  }))

test('a plan that was overtaken by another operator changes nothing of theirs', () =>
  withDesk(async (desk) => {
    await applied(desk, [workload('agent/a'), workload('agent/b')])
    const { steps } = planOf([workload('agent/a', { roles: ['mine'] })], await desk.workloads(), options)
    const [a, b] = await desk.workloads()
    await desk.registrar.updateWorkload({ ...a!.document, roles: ['theirs'] }, 1)
    await desk.registrar.updateWorkload({ ...b!.document, roles: ['theirs'] }, 1)
    const results = await carryOut(steps, carrying(desk))
    assert.deepEqual(
      results.map(({ outcome }) => outcome.kind === 'failed' && outcome.error.code),
      ['workload_changed', 'workload_changed'],
    )
    assert.ok((await desk.workloads()).every(({ document }) => document.roles[0] === 'theirs'))
  }))

test('when the authority is gone the rest is not tried, and that is said', () =>
  withDesk(async (desk) => {
    let calls = 0
    const client: Carrying['client'] = {
      ...desk.registrar,
      addWorkload: (...words) => {
        if (++calls > 1) throw new DoorwardError('server_unreachable', 'gone')
        return desk.registrar.addWorkload(...words)
      },
    }
    const { steps } = planOf(
      ['a', 'b', 'c'].map((path) => workload(path)),
      [],
      options,
    )
    assert.deepEqual(outcomes(await carryOut(steps, carrying(desk, { client }))), ['done', 'failed', 'untried'])
    assert.equal(calls, 2)
  }))

test('a limit is waited for', () =>
  withDesk(async (desk) => {
    let refused = 0
    const client: Carrying['client'] = {
      ...desk.registrar,
      addWorkload: (...words) => {
        if (refused++ === 0)
          throw new ServerRefused('limit_user', 'slower', { decision: null, permission: null, retryAfterSeconds: 0 })
        return desk.registrar.addWorkload(...words)
      },
    }
    const { steps } = planOf([workload('a')], [], options)
    assert.deepEqual(outcomes(await carryOut(steps, carrying(desk, { client }))), ['done'])
  }))

test('join strings of added workloads are files of their own, closed to others, and nothing is overwritten', () =>
  withDesk(async (desk) => {
    const folder = await mkdtemp(join(tmpdir(), 'doorward-joins-'))
    try {
      const outDir = join(folder, 'joins')
      const first = planOf([workload('agent/a')], [], options).steps
      assert.deepEqual(outcomes(await carryOut(first, carrying(desk, { outDir }))), ['done'])
      await writeFile(join(outDir, 'agent+b.join'), 'mine')
      const more = planOf(
        ['agent/a', 'agent/b', 'agent/c'].map((path) => workload(path)),
        await desk.workloads(),
        options,
      )
      const results = await carryOut(more.steps, carrying(desk, { outDir }))
      assert.deepEqual(outcomes(results), ['failed', 'done'])
      assert.deepEqual((await readdir(outDir)).toSorted(), ['agent+a.join', 'agent+b.join', 'agent+c.join'])
      assert.equal((await stat(join(outDir, 'agent+c.join'))).mode & 0o777, 0o600)
      assert.deepEqual(
        (await desk.workloads()).map(({ document }) => document.id.split('agent/')[1]),
        ['a', 'c'],
      )
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }))
