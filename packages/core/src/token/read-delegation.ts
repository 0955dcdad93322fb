/** The shape of what a token says of delegation: the chain, who may lengthen it, and what the token is narrowed to. */

import type { ChainLink } from '../identity/principal.ts'
import { distinct, exactObject, isSeconds, isText, readList } from '../identity/strict-members.ts'
import type { JsonObject, JsonValue } from '../json-value.ts'
import { chainClaim, tokenLimits } from './claims.ts'
import type { AccessTokenClaims, ActClaim, MayActClaim } from './claims.ts'

export const delegationClaims = ['act', 'may_act', 'scope', chainClaim] as const

type DelegationClaims = Pick<AccessTokenClaims, (typeof delegationClaims)[number]>

const MAX_TEXT = 2048
const LINK = ['jti', 'iat', 'kid', 'serial', 'anchor']

/** Those of the claims that are there, or what is wrong with one. */
export function readDelegation(claims: JsonObject): DelegationClaims | string {
  const has = (name: string) => Object.hasOwn(claims, name)
  const act = has('act') ? readAct(claims['act'], tokenLimits.actDepth) : undefined
  if (act === null) return `expected act to be at most ${tokenLimits.actDepth} nested objects of sub and act`
  const mayAct = has('may_act') ? readMayAct(claims['may_act']) : undefined
  if (mayAct === null) return `expected may_act to hold sub alone: at most ${tokenLimits.mayAct} names, each once`
  const scope = claims['scope']
  if (has('scope') && readScopeText(scope) === null) return 'expected scope to be distinct words, one space between'
  const links = has(chainClaim) ? readList(claims[chainClaim], tokenLimits.actDepth, readLink) : undefined
  if (links === null || links?.length === 0) return `expected the chain to be 1 to ${tokenLimits.actDepth} links`
  return {
    ...(act === undefined ? {} : { act }),
    ...(mayAct === undefined ? {} : { may_act: mayAct }),
    ...(typeof scope === 'string' ? { scope } : {}),
    ...(links === undefined ? {} : { [chainClaim]: links }),
  }
}

/** RFC 6749 §3.3. */
const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]+$/

/** The words of a scope; null when it is none, has one twice, or is too long. What the words mean is not judged. */
export function readScopeText(text: JsonValue | undefined): readonly string[] | null {
  if (!isText(text, tokenLimits.scopeLength)) return null
  const words = text.split(' ')
  const fits = words.length <= tokenLimits.scopes && words.every((word) => SCOPE_TOKEN.test(word))
  return fits && distinct(words, (word) => word) ? words : null
}

function readMayAct(value: JsonValue | undefined): MayActClaim | null {
  const named = exactObject(value, ['sub'])
  const sub = readList(named?.['sub'], tokenLimits.mayAct, (one) => (isText(one, MAX_TEXT) ? one : null))
  return sub !== null && distinct(sub, (one) => one) ? { sub } : null
}

function readLink(value: JsonValue): ChainLink | null {
  const link = exactObject(value, LINK)
  if (link === null) return null
  const { jti, iat, kid, serial, anchor } = link as Readonly<Record<string, JsonValue>>
  const isId = (text: JsonValue | undefined): text is string => isText(text, tokenLimits.idLength)
  if (!isId(jti) || !isSeconds(iat) || !isId(kid) || !isId(serial) || !isId(anchor)) return null
  return { jti, iat, kid, serial, anchor }
}

export function readAct(value: JsonValue | undefined, depthLeft: number): ActClaim | null {
  const actor = depthLeft === 0 ? null : exactObject(value, ['sub'], ['act'])
  const sub = actor?.['sub']
  if (actor === null || !isText(sub, MAX_TEXT)) return null
  if (!Object.hasOwn(actor, 'act')) return { sub }
  const act = readAct(actor['act'], depthLeft - 1)
  return act === null ? null : { sub, act }
}
