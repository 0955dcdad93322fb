/** The authority's admin API: denials, and who has heard of them. */

import { setTimeout as sleep } from 'node:timers/promises'
import { exactObject, isCount, isSeconds, isText } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { deny, isDenial } from '@doorward/enforcement'
import type { Denial, Permit } from '@doorward/enforcement'
import type { Denial as StoredDenial } from '../authority/ports.ts'
import { isAuthorityRefusal } from '../authority/refusal.ts'
import type { Marks, Revocations } from '../authority/revocations.ts'
import type { RevocationSubject } from '../authority/revoke.ts'
import { byOf, forOperators } from './admin-caller.ts'
import { callerOf, requestOf } from './api-routes.ts'
import type { ApiAnswer, ApiRequest, ApiRoute } from './api-routes.ts'
import { denialOf } from './token-endpoint.ts'

const MAX_ID = 2048
const MAX_REASON = 200
const MAX_WAIT_SECONDS = 60
const PAUSE_MILLISECONDS = 100

/**
 * `POST /v1/revocations {subject, …, reason?}` denies, and answers when the state that shows it is published. `GET` lists
 * what is denied now. `GET /v1/receivers?delegation=&full=&callers=&wait=` tells who has applied those sequences, after at
 * most `wait` seconds.
 */
export function revocationRoutes(revocations: Revocations): readonly ApiRoute[] {
  const path = '/v1/revocations'
  return [
    { ...forOperators, method: 'GET', path, body: 'none', handle: () => list(revocations) },
    { ...forOperators, method: 'POST', path, body: 'json', handle: (permit) => revoke(revocations, permit) },
    {
      ...forOperators,
      method: 'GET',
      path: '/v1/receivers',
      body: 'none',
      query: ['delegation', 'full', 'callers', 'wait'],
      handle: (permit, { response }) => receivers(revocations, permit, () => response.destroyed),
    },
  ]
}

async function list(revocations: Revocations): Promise<ApiAnswer> {
  return { kind: 'json', status: 200, value: { revocations: (await revocations.list()).map(shown) } }
}

/** Identities alone have a moment before which they are denied; the others are denied as such. */
function shown({ kind, value, issuedBefore, lapsesAt, reason }: StoredDenial): object {
  const moment = kind === 'identity' ? { issued_before: issuedBefore } : { denied_at: issuedBefore }
  return { kind, value, ...moment, lapses_at: lapsesAt, reason }
}

async function revoke(revocations: Revocations, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const body = requestOf(permit).json ?? {}
  const subject = readSubject(body)
  if (isDenial(subject)) return subject
  const reason = body['reason'] ?? 'revoked by an operator'
  if (!isText(reason, MAX_REASON))
    return deny('request_invalid', `expected reason to be a text of at most ${MAX_REASON} characters`)
  const { presenter, certificateSerial } = callerOf(permit)
  const by = { name: byOf(permit), id: presenter.uri, serial: certificateSerial }
  const revoked = await revocations.revoke({ subject, reason, by })
  if (isAuthorityRefusal(revoked)) return denialOf(revoked)
  const { denials, locked, marks } = revoked
  const state = { delegation: marks.full.delegation, full: marks.full.sequence, callers: marks.callers.sequence }
  return { kind: 'json', status: 201, value: { revocations: denials.map(shown), locked, trust_state: state } }
}

const COMMON = ['reason']

/** What each kind of subject is named by. */
function readSubject(body: JsonObject): RevocationSubject | Denial {
  const wrong = (expected: string) => deny('request_invalid', `expected subject, ${expected} and at most reason`)
  const exactly = (required: readonly string[], optional: readonly string[] = []) =>
    exactObject(body, ['subject', ...required], [...optional, ...COMMON])
  const { subject } = body
  switch (typeof subject === 'string' ? subject : '') {
    case 'serial': {
      const { serial, unseen = false } = exactly(['serial'], ['unseen']) ?? {}
      const reads = isText(serial, MAX_ID) && typeof unseen === 'boolean'
      return reads ? { kind: 'serial', serial, unseen } : wrong('serial, perhaps unseen')
    }
    case 'workload': {
      const { id, issued_before: issuedBefore = null } = exactly(['id'], ['issued_before']) ?? {}
      const reads = isText(id, MAX_ID) && (issuedBefore === null || isSeconds(issuedBefore))
      return reads ? { kind: 'workload', id, issuedBefore } : wrong('id, perhaps issued_before')
    }
    case 'instance': {
      const { instance } = exactly(['instance']) ?? {}
      return isText(instance, MAX_ID) ? { kind: 'instance', instance } : wrong('instance')
    }
    case 'token': {
      const { token } = exactly(['token']) ?? {}
      return isText(token, MAX_ID) ? { kind: 'token', tokenId: token } : wrong('token')
    }
    case 'user': {
      const { user } = exactly(['user']) ?? {}
      return isText(user, MAX_ID) ? { kind: 'user', user } : wrong('user')
    }
    case 'authority': {
      const { key_id } = exactly(['key_id']) ?? {}
      return isText(key_id, MAX_ID) ? { kind: 'authority', keyId: key_id } : wrong('key_id')
    }
    default:
      return deny('request_invalid', 'expected subject to be serial, workload, instance, token, user or authority')
  }
}

async function receivers(
  revocations: Revocations,
  permit: Permit<ApiRequest>,
  gone: () => boolean,
): Promise<ApiAnswer | Denial> {
  const { query } = requestOf(permit)
  const [delegation, full, callers, wait] = ['delegation', 'full', 'callers', 'wait'].map((name) =>
    wholeOf(query.get(name) ?? (name === 'wait' ? '0' : '')),
  )
  if (!isCount(delegation) || !isCount(full) || !isCount(callers) || !isCount(wait) || wait > MAX_WAIT_SECONDS)
    return deny('request_invalid', `expected delegation, full, callers, and wait of at most ${MAX_WAIT_SECONDS}`)
  const marks: Marks = { full: { delegation, sequence: full }, callers: { delegation, sequence: callers } }
  const until = performance.now() + wait * 1000
  for (;;) {
    const seen = await revocations.receivers(marks)
    const left = until - performance.now()
    if (seen.stragglers.length === 0 || left <= 0 || gone()) return { kind: 'json', status: 200, value: seen }
    await sleep(Math.min(PAUSE_MILLISECONDS, left))
  }
}

function wholeOf(text: string): number | null {
  return /^(?:0|[1-9][0-9]{0,14})$/.test(text) ? Number(text) : null
}
