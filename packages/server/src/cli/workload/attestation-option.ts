/** `--attest`: how a workload may prove who it is, in one word of a command line. Pure. */

import { DoorwardError } from '@doorward/core'
import type { AttestationEntry } from '@doorward/core'
import { parse } from 'yaml'

const EXPECTED =
  'join_token, bound_key:THUMBPRINT, x509_pop:ANCHORS,dns=NAME, oidc:ISSUER,CLAIM=VALUE, or an entry as in a file: {oidc: {…}}'

/** What it says is judged by the authority. Throws `usage`. */
export function attestationOption(text: string): AttestationEntry {
  if (text.startsWith('{')) return written(text)
  const [kind, rest] = splitOnce(text, ':')
  const [first = '', ...pairs] = (rest ?? '').split(',')
  const named = pairs.map((pair) => splitOnce(pair, '='))
  const complete = named.every(([name, value]) => name !== '' && value !== undefined)
  const members = Object.fromEntries(named.map(([name, value = '']) => [name, value]))
  switch (kind) {
    case 'join_token':
      if (rest === undefined) return { join_token: true }
      break
    case 'bound_key':
      if (first !== '' && pairs.length === 0) return { bound_key: first }
      break
    case 'oidc':
      if (first !== '' && complete) return { oidc: { issuer: first, claims: members } }
      break
    case 'x509_pop':
      if (first !== '' && complete) return { x509_pop: { ...members, anchors: first } } as AttestationEntry
  }
  throw unusable(text)
}

/** The word that `attestationOption` reads as this entry. */
export function attestationText(entry: AttestationEntry): string {
  const word = shortText(entry)
  return word === null ? JSON.stringify(entry) : word
}

function shortText(entry: AttestationEntry): string | null {
  if ('join_token' in entry) return 'join_token'
  if ('bound_key' in entry) return `bound_key:${entry.bound_key}`
  if ('oidc' in entry) return named('oidc', entry.oidc.issuer, entry.oidc.claims)
  const { anchors, ...certificate } = entry.x509_pop
  return named('x509_pop', anchors, certificate)
}

/** Null where a name or value holds what would part it. */
function named(kind: string, first: string, members: Readonly<Record<string, string>>): string | null {
  const pairs = Object.entries(members)
  const plain = pairs.every(([name, value]) => !/[,=]/.test(name) && !value.includes(','))
  return plain ? [`${kind}:${first}`, ...pairs.map(([name, value]) => `${name}=${value}`)].join(',') : null
}

/** An entry of a file, in YAML's flow form, which JSON is too. */
function written(text: string): AttestationEntry {
  try {
    const value: unknown = parse(text, { version: '1.2', maxAliasCount: 0 })
    if (typeof value === 'object' && value !== null) return value as AttestationEntry
  } catch {
    // Told below.
  }
  throw unusable(text)
}

function splitOnce(text: string, separator: string): readonly [string, string | undefined] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

function unusable(text: string): DoorwardError {
  return new DoorwardError('usage', 'that is no way to prove who one is', {
    where: '--attest',
    expected: EXPECTED,
    got: text.slice(0, 120),
  })
}
