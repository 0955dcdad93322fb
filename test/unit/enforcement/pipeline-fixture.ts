/** A pipeline whose stages all answer well unless a test says otherwise, and which says who was asked, in order. */

import assert from 'node:assert/strict'
import { toMillis } from '@doorward/core'
import type { DecisionRequest, EntryEnvelope, Verdict } from '@doorward/core'
import { isDenial, isRefusal, Permit, Pipeline, RefusalCounter } from '@doorward/enforcement'
import type {
  Call,
  Denial,
  Identified,
  Inbound,
  PipelineDependencies,
  Refusal,
  TakeResult,
} from '@doorward/enforcement'
import { memoryRecord } from '../../../packages/enforcement/src/record/memory-record.ts'
import type { MemoryRecord } from '../../../packages/enforcement/src/record/memory-record.ts'
import { id, inboundOf, newStage, now, tokenOf } from './call-fixture.ts'
import type { Stage } from './call-fixture.ts'

export const call: Call<string> = {
  action: { name: 'tools/call', group: 'write' },
  resource: { server: 'files', kind: 'tool', name: 'read' },
  args: { n: 1 },
  rpcId: 7,
  detail: 'more',
}
export const body = new Uint8Array([1, 2, 3])
export const version = { digest: 'd', sequence: 3 }
export const allow: Verdict = { effect: 'allow', policies: ['p'], obligations: [], version }
/** An `Authorization` header that is accepted. */
export const header = `Bearer ${await tokenOf()}`

/** Who is asked for a call that nobody refuses; its entry in the record follows. */
export const STAGES = ['ip+global', 'user', `identified ${id.uri}`, 'body', 'classify', 'decide', 'quota']

/** What the parts answer; each may be replaced. */
export interface Answers {
  /** By the scopes that are taken together, `quota` for that of an action. */
  readonly limits: Map<string, TakeResult | Error>
  body: () => Promise<Uint8Array | Denial>
  classify: (identified: Identified) => Call<string> | Denial
  decide: (request: DecisionRequest) => Promise<Verdict>
}

export interface PipelineStage extends Stage {
  readonly pipeline: Pipeline
  readonly answers: Answers
  readonly asked: readonly string[]
  readonly log: MemoryRecord
  readonly refusals: RefusalCounter
  readonly enforce: (inbound?: Inbound) => Promise<Permit<string> | Refusal>
  /** Bodies of the entries so far. */
  readonly recorded: () => readonly EntryEnvelope['body'][]
}

function newAnswers(): Answers {
  return { limits: new Map(), body: async () => body, classify: () => call, decide: async () => allow }
}

function dependenciesOf(stage: Stage, asked: string[], answers: Answers, log: MemoryRecord): PipelineDependencies {
  stage.limiter.answer = (takes) => {
    const name = takes.map(({ scope, key }) => (key.includes(' ') ? 'quota' : scope)).join('+')
    asked.push(name)
    return answers.limits.get(name) ?? { ok: true }
  }
  const decide = (request: DecisionRequest) => {
    asked.push('decide')
    return answers.decide(request)
  }
  const append: MemoryRecord['append'] = (entry) => {
    asked.push(`record ${(entry.body as { decision?: string }).decision}`)
    return log.append(entry)
  }
  return {
    ...stage.dependencies,
    decisions: {
      decide,
      list: async () => assert.fail('not asked for'),
      some: async () => assert.fail('not asked for'),
    },
    log: { append },
    refusals: new RefusalCounter({ record: log, clock: () => toMillis(now) }),
    connectionLimits: {
      global: { count: 100, periodSeconds: 1 },
      perIp: () => ({ count: 10, periodSeconds: 1 }),
      ipKey: (address) => address,
    },
    quotas: [{ action: 'tools/call', rate: { count: 5, periodSeconds: 60 } }],
    watch: {
      refused: (_inbound, denial) => void asked.push(`refused ${denial.code}`),
      identified: ({ principal }) => void asked.push(`identified ${principal.presenter.uri}`),
    },
  }
}

export function newPipeline(): PipelineStage {
  const [stage, asked, answers, log] = [newStage(), [] as string[], newAnswers(), memoryRecord()]
  const dependencies = dependenciesOf(stage, asked, answers, log)
  const pipeline = new Pipeline(dependencies)
  const enforce = (inbound: Inbound = inboundOf(header)) =>
    pipeline.enforce(inbound, {
      credential: 'token',
      readBody: () => {
        asked.push('body')
        return answers.body()
      },
      classifier: (bytes, identified) => {
        assert.deepEqual([bytes, identified.principal.presenter], [body, id])
        asked.push('classify')
        return answers.classify(identified)
      },
    })
  const recorded = () => log.entries.map((entry) => entry.body)
  return { ...stage, pipeline, answers, asked, log, refusals: dependencies.refusals, enforce, recorded }
}

export async function permitOf({ enforce }: PipelineStage): Promise<Permit<string>> {
  const permit = await enforce()
  assert(permit instanceof Permit)
  return permit
}

export async function refusalOf(enforced: Promise<Permit<string> | Refusal>): Promise<Refusal> {
  const refusal = await enforced
  assert(isRefusal(refusal))
  assert(isDenial(refusal.denial))
  return refusal
}
