/** Whether each step really asks for what it is measured with: whoever lacks that one thing is refused, and nobody else. */

import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Identity } from '@doorward/sdk'
import { readEntries } from '../../../packages/server/src/audit/read.ts'
import { callBody, callPath } from '../messages.ts'
import { pemOf } from '../system.ts'
import type { Variant } from '../system.ts'
import { stepNames } from './numbers.ts'
import type { StepName } from './numbers.ts'

export interface StepPlace extends Variant {
  readonly name: StepName
  /** Of a gateway's state, where it has one. */
  readonly folder?: string
}

export interface CheckParts {
  readonly caller: Identity
  /** Without a role. */
  readonly stranger: Identity
  readonly audience: string
}

interface Sent {
  readonly identity: Identity | null
  readonly token: string | null
  readonly headers?: Readonly<Record<string, string>>
}

interface Answer {
  readonly status: number
  /** Of a refusal. */
  readonly code: string
  readonly session: string
}

const RECORD_ATTEMPTS = 50
const ATTEMPT_MILLISECONDS = 100
/** Codes of answers; a step in between says nothing. */
const went: ReadonlySet<string> = new Set(['', 'allowed'])
const version = '2025-11-25'
const opening = JSON.stringify({
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: version, capabilities: {}, clientInfo: { name: 'bench', version: '1' } },
})

/** Throws when a step lets through what it has to refuse, or refuses what it may not. */
export async function checkSteps(steps: readonly StepPlace[], parts: CheckParts): Promise<void> {
  const { caller, stranger, audience } = parts
  const token = (await caller.token(audience)).reveal()
  const strange = (await stranger.token(audience)).reveal()
  for (const step of steps) {
    const asks = (name: StepName) => stepNames.indexOf(step.name) >= stepNames.indexOf(name)
    await expect(step, { identity: null, token }, asks('blind') ? 'no connection' : null)
    await expect(step, { identity: caller, token: null }, asks('token') ? 'token_missing' : null)
    await expect(step, { identity: stranger, token: strange }, asks('policy') ? 'policy_denied' : null)
    await expect(step, { identity: caller, token }, null)
    if (step.name === 'record') await expectRecord(step)
  }
}

/** Refused with that code; answered with null. */
async function expect(step: StepPlace, sent: Sent, code: string | null): Promise<void> {
  const answer = await answerOf(step, sent).catch(() => ({ status: 0, code: 'no connection' }))
  if (code === null ? answer.status === 200 && went.has(answer.code) : answer.code === code) return
  const { identity, token } = sent
  const whose = `of ${identity?.id.uri ?? 'nobody'}, ${token === null ? 'without' : 'with'} a token`
  throw new Error(
    `the step ${step.name}, a call ${whose}: got ${answer.status} ${answer.code}, expected ${code ?? 'an answer'}`,
  )
}

/** At the gateway itself a call needs a session, and what is refused may be that one is opened. */
async function answerOf(step: StepPlace, sent: Sent): Promise<Answer> {
  if (step.name !== 'full') return exchange(step, sent, callBody(1_000_000))
  const opened = await exchange(step, sent, opening)
  if (opened.status !== 200 || !went.has(opened.code)) return opened
  const headers = { 'mcp-session-id': opened.session, 'mcp-protocol-version': version }
  await exchange(step, { ...sent, headers }, '{"jsonrpc":"2.0","method":"notifications/initialized"}')
  return exchange(step, { ...sent, headers }, callBody(1_000_000))
}

async function exchange({ port }: StepPlace, { identity, token, headers = {} }: Sent, body: string): Promise<Answer> {
  const { cert, key } = identity === null ? {} : pemOf(identity)
  const sending = request({
    ...(cert === undefined ? {} : { cert, key }),
    host: '127.0.0.1',
    port,
    path: callPath,
    method: 'POST',
    agent: false,
    timeout: 10_000,
    // Who answers is not the question here.
    rejectUnauthorized: false,
    headers: {
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
  })
  sending.end(body)
  const [answer] = (await once(sending, 'response')) as [IncomingMessage]
  answer.resume()
  const { 'mcp-session-id': session = '', 'doorward-code': code = '' } = answer.headers
  return { status: answer.statusCode ?? 0, code: String(code), session: String(session) }
}

/** The decision and the outcome of the call before. */
async function expectRecord({ folder = '' }: StepPlace): Promise<void> {
  for (let attempt = 0; attempt < RECORD_ATTEMPTS; attempt++) {
    const kinds: string[] = []
    for await (const { entry } of readEntries(join(folder, 'gateway', 'record'), { from: 0, unsigned: true }))
      kinds.push(entry.kind)
    if (kinds.includes('decision') && kinds.includes('outcome')) return
    await delay(ATTEMPT_MILLISECONDS)
  }
  throw new Error('the step record has no decision and outcome on its record')
}
