/** What authority and gateway say of themselves to an operator. */

import { isJsonObject } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { listIn, numberIn, objectIn, textIn, textsIn } from '../answer-members.ts'
import { relativeTime } from '../relative-time.ts'
import { aBoolean, aNumber, aText, findingsOf, listOf, members, orNull } from './answer-shape.ts'
import type { AnswerLook } from './answer-shape.ts'
import { failure, fine, warning } from './finding.ts'
import type { Finding } from './finding.ts'

const dayAfter = 86_400
/** A planned step of a key may wait for followers; later than this it hangs. */
const stepGraceSeconds = 3600
const recentAlarmSeconds = 86_400
const storeAheadMilliseconds = 10_000
const maxTold = 10

/** `now` in seconds since 1970; `status` as `GET /v1/status` of an authority answers. */
export function authorityFindings(status: JsonObject, now: number): readonly Finding[] {
  return findingsOf(authorityLooks, status, now)
}

const authorityLooks: readonly AnswerLook<[now: number]>[] = [
  { check: 'authority_clock', needs: { store_ahead_milliseconds: aNumber }, look: clock },
  { check: 'delegation', needs: { delegation: members({ expires_at: aNumber }) }, look: delegation },
  { check: 'recovery_root', needs: { recovery_root: members({ at_hand: aBoolean }) }, look: root },
  {
    check: 'authority_live',
    needs: { authorities: listOf(members({ name: aText, live: aBoolean, delegated: aBoolean })) },
    look: (status) => listIn(status, 'authorities').slice(0, maxTold).map(standing),
  },
  {
    check: 'keys',
    needs: {
      slots: listOf(
        members({
          purpose: aText,
          key_id: aText,
          state: aText,
          dead: aBoolean,
          not_after: aNumber,
          next: orNull(members({ at: aNumber })),
        }),
      ),
    },
    look: keys,
  },
  { check: 'followers', needs: { straggling: aNumber, followers: aNumber }, look: followers },
  { check: 'revocation_list', needs: { crls: listOf(members({ key_id: aText, next_update: aNumber })) }, look: crls },
  { check: 'ceremony', needs: { ceremony: orNull(members({ id: aText, stage: aText })) }, look: ceremony },
  { check: 'alarms', needs: { alarms: listOf(members({ last_at: aNumber })) }, look: alarms },
]

function clock(status: JsonObject): Finding {
  const ahead = numberIn(status, 'store_ahead_milliseconds')
  if (Math.abs(ahead) <= storeAheadMilliseconds) return fine('authority_clock', 'authority and store agree on the time')
  return failure('authority_clock', {
    message: 'the clocks of authority and store differ',
    expected: `at most ${storeAheadMilliseconds / 1000} s`,
    got: `${Math.round(ahead / 1000)} s`,
    next: 'set both by NTP: beyond 60 s nothing is issued',
  })
}

function delegation(status: JsonObject, now: number): Finding {
  const left = numberIn(objectIn(status, 'delegation'), 'expires_at') - now
  const next = 'with the recovery root at hand: doorward authority delegate'
  if (left <= 0) return failure('delegation', { message: `the delegation ended ${relativeTime(left)}`, next })
  if (left < 14 * dayAfter) return warning('delegation', { message: `the delegation ends ${relativeTime(left)}`, next })
  return fine('delegation', `ends ${relativeTime(left)}`)
}

function root(status: JsonObject): Finding {
  if (objectIn(status, 'recovery_root')['at_hand'] !== true) return fine('recovery_root', 'is not on the machine')
  return warning('recovery_root', {
    message: 'the recovery root is on the machine of the authority: who takes the machine takes the trust domain',
    next: 'move it to a safe place; docs/recovery.md says how',
  })
}

function standing(one: JsonObject): Finding {
  const where = textIn(one, 'name')
  if (one['live'] !== true)
    return failure('authority_live', {
      where,
      message: 'this authority does not run',
      next: 'start it, or forget it: doorward authority forget',
    })
  if (one['delegated'] !== true)
    return warning('authority_live', {
      where,
      message: 'this authority is not named by the recovery root',
      next: 'doorward authority delegate',
    })
  return fine('authority_live', 'runs', { where })
}

function keys(status: JsonObject, now: number): readonly Finding[] {
  const slots = listIn(status, 'slots')
  const late = slots.flatMap((slot) => {
    const at = numberIn(objectIn(slot, 'next'), 'at')
    const where = `${textIn(slot, 'purpose')} ${textIn(slot, 'key_id').slice(0, 16)}`
    const ends = numberIn(slot, 'not_after')
    if (textIn(slot, 'state') === 'active' && slot['dead'] === true)
      return [
        failure('keys', {
          where,
          message: 'a key that is refused is the one that signs',
          next: 'doorward authority rotate',
        }),
      ]
    if (textIn(slot, 'state') === 'active' && ends < now + dayAfter)
      return [
        warning('keys', {
          where,
          message: `the active key ends ${relativeTime(ends - now)}`,
          next: 'doorward authority rotate',
        }),
      ]
    if (at > 0 && at + stepGraceSeconds < now)
      return [
        warning('keys', {
          where,
          message: `its next step was due ${relativeTime(at - now)}`,
          next: 'see who has not acknowledged: doorward authority status',
        }),
      ]
    return []
  })
  return late.length > 0 ? late.slice(0, maxTold) : [fine('keys', `${slots.length} slots, none late`)]
}

function followers(status: JsonObject): Finding {
  const behind = numberIn(status, 'straggling')
  const count = numberIn(status, 'followers')
  if (behind === 0) return fine('followers', `${count} follow, and all are up to date`)
  return warning('followers', {
    message: `${behind} of ${count} followers are behind: revocations reach them late`,
    next: 'their names: doorward authority status',
  })
}

function crls(status: JsonObject, now: number): readonly Finding[] {
  const ended = listIn(status, 'crls').filter((crl) => numberIn(crl, 'next_update') <= now)
  return ended.slice(0, maxTold).map((crl) =>
    failure('revocation_list', {
      where: textIn(crl, 'key_id').slice(0, 16),
      message: `the list ended ${relativeTime(numberIn(crl, 'next_update') - now)}: outsiders refuse our certificates`,
      next: 'look at the log of the authority',
    }),
  )
}

function ceremony(status: JsonObject): readonly Finding[] {
  const newest = objectIn(status, 'ceremony')
  const stage = textIn(newest, 'stage')
  if (stage === '' || stage === 'done') return []
  const told = {
    where: textIn(newest, 'id'),
    message: `the newest ceremony stands at ${stage}`,
    next: 'doorward authority status',
  }
  return [stage === 'failed' ? failure('ceremony', told) : warning('ceremony', told)]
}

function alarms(status: JsonObject, now: number): readonly Finding[] {
  const recent = listIn(status, 'alarms').filter((one) => numberIn(one, 'last_at') / 1000 > now - recentAlarmSeconds)
  if (recent.length === 0) return [fine('alarms', 'none within a day')]
  return recent.slice(0, maxTold).map((one) =>
    warning('alarms', {
      where: textIn(one, 'subject'),
      message: `${textIn(one, 'detector')}: ${textIn(one, 'detail')}`,
      got: `${numberIn(one, 'count')} times`,
      next: 'what it means: docs/detectors.md',
    }),
  )
}

export interface GatewayExpectation {
  /** Name of a server, and the audience that the configuration gives it. */
  readonly audiences: ReadonlyMap<string, string>
  /** `trust.full_seconds`. */
  readonly fullSeconds: number
}

/** `status` as `GET /v1/status` of a gateway answers. */
export function gatewayFindings(status: JsonObject, expected: GatewayExpectation, now: number): readonly Finding[] {
  return findingsOf(gatewayLooks, status, { ...expected, now })
}

type GatewayJudgement = GatewayExpectation & { readonly now: number }

const backends = listOf(members({ name: aText, audience: aText, circuit: aText }))

const gatewayLooks: readonly AnswerLook<[GatewayJudgement]>[] = [
  { check: 'gateway_ready', needs: { health: members({ ready: aBoolean }) }, look: gatewayReady },
  { check: 'gateway_trust', needs: { trust: members({ freshness: aText }) }, look: gatewayTrust },
  {
    check: 'gateway_certificate',
    needs: { certificate: orNull(members({ not_after: aNumber })) },
    look: gatewayCertificate,
  },
  { check: 'servers', needs: { servers: backends, services: backends }, look: circuits },
  { check: 'audiences', needs: { servers: backends, services: backends }, look: audiences },
  { check: 'edge_certificate', needs: { edge: orNull(members({ certificate_ends: orNull(aNumber) })) }, look: edge },
]

function gatewayReady(status: JsonObject): Finding {
  const health = objectIn(status, 'health')
  if (health['ready'] === true) return fine('gateway_ready', 'ready')
  return failure('gateway_ready', {
    message: `the gateway is not ready: ${textsIn(health, 'reasons').join(', ')}`,
    next: 'docs/monitoring.md says what each reason means',
  })
}

function gatewayTrust(status: JsonObject, { fullSeconds }: GatewayExpectation): Finding {
  const trust = objectIn(status, 'trust')
  const age = numberIn(trust, 'age_seconds')
  if (textIn(trust, 'freshness') === 'fresh') return fine('gateway_trust', `news of the authority ${age} s ago`)
  return failure('gateway_trust', {
    message: `the gateway has not heard of the authority for ${age} s`,
    expected: `at most ${fullSeconds} s`,
    next: 'see that the authority runs and that the gateway can reach its main listener',
  })
}

function gatewayCertificate(status: JsonObject, { now }: GatewayJudgement): Finding {
  const left = numberIn(objectIn(status, 'certificate'), 'not_after') - now
  if (left <= 0)
    return failure('gateway_certificate', {
      message: 'the gateway has no certificate that holds',
      next: 'look at its log',
    })
  return fine('gateway_certificate', `ends ${relativeTime(left)}`)
}

function circuits(status: JsonObject): readonly Finding[] {
  return [...listIn(status, 'servers'), ...listIn(status, 'services')]
    .filter((one) => textIn(one, 'circuit') !== 'closed')
    .slice(0, maxTold)
    .map((one) =>
      warning('servers', {
        where: textIn(one, 'name'),
        message: `it is given a pause after ${numberIn(one, 'failures_in_a_row')} failures in a row`,
        next: 'see that the server runs and that its credential holds',
      }),
    )
}

/** Tokens are for audiences: where the two differ, everybody is refused. */
function audiences(status: JsonObject, { audiences: wanted }: GatewayExpectation): readonly Finding[] {
  const running = new Map(
    [...listIn(status, 'servers'), ...listIn(status, 'services')].map((one) => [
      textIn(one, 'name'),
      textIn(one, 'audience'),
    ]),
  )
  const next = 'the gateway runs with another configuration: doorward gateway reload, or start it again'
  const differing = [...wanted].filter(([name, audience]) => running.get(name) !== audience)
  const unknown = [...running.keys()].filter((name) => !wanted.has(name))
  const told = [
    ...differing.map(([name, audience]) =>
      failure('audiences', {
        where: name,
        message: 'the gateway does not serve it under the audience of this configuration',
        expected: audience,
        got: running.get(name) ?? 'no such server',
        next,
      }),
    ),
    ...unknown.map((name) =>
      failure('audiences', { where: name, message: 'the gateway serves what this configuration does not name', next }),
    ),
  ]
  return told.length > 0 ? told.slice(0, maxTold) : [fine('audiences', `${wanted.size} as configured`)]
}

function edge(status: JsonObject, { now }: GatewayJudgement): readonly Finding[] {
  const held = status['edge']
  if (!isJsonObject(held)) return []
  const ends = held['certificate_ends']
  const left = typeof ends === 'number' ? ends - now : 0
  const next = 'replace the files of edge.certificate, or see why the certificate authority refuses'
  if (left <= 0) return [failure('edge_certificate', { message: 'the edge has no certificate that holds', next })]
  if (left < 7 * dayAfter)
    return [warning('edge_certificate', { message: `the certificate of the edge ends ${relativeTime(left)}`, next })]
  return [fine('edge_certificate', `ends ${relativeTime(left)}`)]
}
