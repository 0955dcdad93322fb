/**
 * Possession of a certificate that the workload has from somebody else: a device certificate, one of a company's own
 * authority. What is proven is the key; what is read is the very certificate whose path was verified.
 */

import {
  commonNames,
  foreignPath,
  fromBase64url,
  hex,
  jwkThumbprint,
  readCertificate,
  x509ProofBytes,
} from '@doorward/core'
import type { PeerCertificate } from '@doorward/core'
import { nowSeconds } from '../context.ts'
import type { AuthorityContext } from '../context.ts'
import { isAuthorityRefusal } from '../refusal.ts'
import type { AuthorityRefusal } from '../refusal.ts'
import { unattested } from './attestor.ts'
import type { Applicant, Attested, Attestor, EvidenceOf } from './attestor.ts'
import { provesForeignKey, signedByForeignKey } from './foreign-key.ts'
import { isRefused, rulesOf } from './rules-of.ts'
import type { RuleOf } from './rules-of.ts'
import type { Vouchers } from './vouchers.ts'

type Rule = RuleOf<'x509_pop'>

/** Not checked: revocation by whoever issued the certificate. */
export function x509PopAttestor(context: AuthorityContext, anchors: Vouchers['anchors']): Attestor<'x509_pop'> {
  return {
    attest: async (evidence, applicant) => {
      const rules = await rulesOf(context.store, applicant.id, 'x509_pop')
      if (isRefused(rules)) return rules
      const chain = readChain(context, evidence.chain)
      if (chain === null) return unattested('expected 1 to 4 certificates in strict DER')
      const matched = matchingRule(context, { chain, rules, anchors })
      if (isAuthorityRefusal(matched)) return matched
      return proven(context, { ...matched, evidence, applicant })
    },
  }
}

function readChain(context: AuthorityContext, chain: readonly Uint8Array[]): readonly PeerCertificate[] | null {
  const read = chain.map((der) => readCertificate(der, context))
  const sound = read.filter((one): one is PeerCertificate => !('problem' in one))
  return sound.length === chain.length ? sound : null
}

interface Matched {
  readonly rule: Rule
  readonly leaf: PeerCertificate
}

/** Each set of anchors that a rule names is tried once. */
function matchingRule(
  context: AuthorityContext,
  {
    chain,
    rules,
    anchors,
  }: { chain: readonly PeerCertificate[]; rules: readonly Rule[]; anchors: Vouchers['anchors'] },
): Matched | AuthorityRefusal {
  let why = 'no rule'
  for (const name of new Set(rules.map((rule) => rule.anchors))) {
    const set = anchors.get(name)
    if (set === undefined) {
      why = `no anchors ${name} are configured`
      continue
    }
    const path = foreignPath(chain, set, { now: nowSeconds(context), signedBy: signedByForeignKey })
    if ('code' in path) {
      why = `${name}: ${path.code}: ${path.message}`
      continue
    }
    const rule = rules.find((one) => one.anchors === name && matches(one, path.leaf))
    if (rule !== undefined) return { rule, leaf: path.leaf }
    why = `${name}: the certificate ${fingerprintOf(path.leaf)} is none that the registration names`
  }
  return unattested(why)
}

function matches({ certificate: wanted }: Rule, leaf: PeerCertificate): boolean {
  if ('fingerprint' in wanted) return wanted.fingerprint === fingerprintOf(leaf)
  if ('dns' in wanted) return leaf.dnsNames.includes(wanted.dns)
  if ('uri' in wanted) return leaf.uris.includes(wanted.uri)
  const names = commonNamesOf(leaf)
  return names.length === 1 && names[0] === wanted.commonName
}

function commonNamesOf({ subjectName }: PeerCertificate): readonly string[] {
  try {
    return commonNames(subjectName)
  } catch {
    return []
  }
}

/** Lowercase hex, as operators write it. */
function fingerprintOf({ fingerprint }: PeerCertificate): string {
  return hex(fromBase64url(fingerprint) ?? new Uint8Array())
}

interface Proving extends Matched {
  readonly evidence: EvidenceOf<'x509_pop'>
  readonly applicant: Applicant
}

function proven(
  { sha256 }: AuthorityContext,
  { rule, leaf, evidence, applicant }: Proving,
): Attested | AuthorityRefusal {
  const { id, machineKey, exported } = applicant
  const thumbprint = jwkThumbprint(machineKey, sha256)
  const holds = provesForeignKey(leaf.publicKeySpki, x509ProofBytes(thumbprint, exported), evidence.proof)
  if (id === null || !holds)
    return unattested('expected a proof by the key of the certificate over this connection and the machine key')
  const said = { anchors: rule.anchors, certificate: fingerprintOf(leaf), serial: leaf.serial }
  return { id, kind: 'x509_pop', proven: said, consumes: null }
}
