/** What each stage of a call costs: its own function, called with a fixed amount of work, nothing else running. */

import { utf8 } from '@doorward/core'
import {
  authorize,
  CertificateStanding,
  classify,
  identify,
  isDenial,
  limit,
  limitArrival,
  record,
  recordOutcome,
  Handles,
  mcpClassifier,
  judgeTraffic,
} from '@doorward/enforcement'
import type {
  Classified,
  Denial,
  Identified,
  Inbound,
  PipelineDependencies,
  McpCall,
  TrafficOptions,
  McpSession,
  SessionTable,
} from '@doorward/enforcement'
import { systemClock } from '@doorward/sdk'
import { callBody } from './messages.ts'

/** Everything that a call meets, put together once. */
export interface StageParts {
  readonly inbound: Inbound
  readonly dependencies: PipelineDependencies
  readonly sessions: SessionTable
  readonly traffic: TrafficOptions
}

export interface Stage {
  readonly name: string
  /** Calls that are under way at once. */
  readonly concurrency: number
  run(): unknown
  /** What was begun and not waited for. */
  settle(): Promise<unknown>
}

const CALLERS = 16

/** Walks one call through every stage and gives back each stage ready to be repeated. */
export async function stagesOf(parts: StageParts): Promise<readonly Stage[]> {
  const { inbound, dependencies } = parts
  const { limiter, connectionLimits, quotas, decisions, trust, log } = dependencies
  const identified = must(await identify(inbound, 'token', dependencies))
  const session = sessionOf(parts, identified)
  const body = Buffer.from(callBody(1_000_000))
  const judge = () => classifyOnce(parts, identified, { session, body })
  const classified = must(judge())
  const authorized = must(await authorize(classified, decisions, trust.now()))
  const admitted = must(await limit(authorized, { limiter, quotas }))
  const permit = must(await record(admitted, log))
  const outcome = { status: 'completed', http: 200, bytes: 256, milliseconds: 1.234 } as const
  const answer = utf8(
    `{"jsonrpc":"2.0","id":1000000,"result":{"content":[{"type":"text","text":"${'x'.repeat(134)}"}]}}`,
  )
  const settle = () => Promise.resolve()
  const one = (name: string, run: () => unknown): Stage => ({ name, concurrency: 1, run, settle })
  let outcomes: Promise<unknown> = Promise.resolve()
  return [
    one('identify', () => identify(inbound, 'token', dependencies)),
    one('classify', judge),
    one('authorize', () => authorize(classified, decisions, trust.now())),
    one('limit', async () => {
      await limitArrival(inbound, limiter, connectionLimits)
      await limit(authorized, { limiter, quotas })
    }),
    { name: 'record', concurrency: CALLERS, run: () => record(admitted, log), settle },
    {
      name: 'record and outcome',
      concurrency: CALLERS,
      async run() {
        await record(admitted, log)
        // As a call does: nobody waits for its outcome, which shares the sync of a later decision.
        outcomes = recordOutcome(permit.entry, outcome, log)
      },
      settle: () => outcomes,
    },
    one('judge answer', () => {
      session.expect({
        id: 1_000_000,
        method: 'tools/call',
        subject: '',
        progressToken: undefined,
        identified: session.identified,
        state: 'waiting',
        left: false,
      })
      return judgeTraffic(answer, session, parts.traffic)
    }),
    one('first use of a token', () => identify(unseen(inbound), 'token', dependencies)),
  ]
}

function must<Value extends object>(value: Value | Denial): Exclude<Value, Denial> {
  if (isDenial(value)) throw new Error(`${value.code}: ${value.explanation}`)
  return value as Exclude<Value, Denial>
}

function unseen(inbound: Inbound): Inbound {
  return { ...inbound, connection: { ...inbound.connection, standing: new CertificateStanding() } }
}

function sessionOf({ sessions }: StageParts, identified: Identified): McpSession {
  const session = sessions.open('bench', identified)
  if (session === null) throw new Error('no session')
  session.version = '2025-11-25'
  return session
}

const handles = new Handles({ key: new Uint8Array(32), now: systemClock })

function classifyOnce(
  { inbound, sessions }: StageParts,
  identified: Identified,
  { session, body }: { readonly session: McpSession; readonly body: Uint8Array },
): Classified<McpCall> | Denial {
  const head = { ...inbound.head, headers: { ...inbound.head.headers, 'mcp-session-id': session.id } }
  const classifier = mcpClassifier({
    server: 'bench',
    effectOf: () => 'read',
    sessions,
    handles,
    versions: () => [],
    sessionless: () => false,
    taskless: () => false,
    bodyBytes: 1024 * 1024,
    head,
    onOpened: () => undefined,
  })
  return classify(identified, body, classifier)
}
