/** A registration as operators read and write it, and back. Pure. */

import { sortedAttestations } from '@doorward/core'
import type { AttestationEntry, WorkloadDocument } from '@doorward/core'
import type { AttestationRule } from './attest/rule.ts'
import type { Registration } from './ports.ts'

/** What the document decides of a registration. */
export type RegistrationContent = Omit<Registration, 'createdAt' | 'updatedAt' | 'revision'>

/** Also of a registration from before lists were kept sorted. */
export function documentOf(registration: RegistrationContent): WorkloadDocument {
  return {
    id: registration.id,
    roles: registration.roles.toSorted(),
    ttl_seconds: registration.ttlSeconds,
    dns_names: registration.dnsNames.toSorted(),
    ip_addresses: registration.ipAddresses.toSorted(),
    shared_names: registration.sharedNames,
    attest: sortedAttestations(registration.attestation.map(entryOf)),
    single_instance: registration.singleInstance,
    canary: registration.canary,
    audiences: registration.audiences.toSorted(),
  }
}

export function contentOf(document: WorkloadDocument): RegistrationContent {
  return {
    id: document.id,
    roles: document.roles,
    ttlSeconds: document.ttl_seconds,
    dnsNames: document.dns_names,
    ipAddresses: document.ip_addresses,
    sharedNames: document.shared_names,
    attestation: document.attest.map(ruleOf),
    singleInstance: document.single_instance,
    canary: document.canary,
    audiences: document.audiences,
  }
}

function entryOf(rule: AttestationRule): AttestationEntry {
  switch (rule.kind) {
    case 'join_token':
      return { join_token: true }
    case 'bound_key':
      return { bound_key: rule.thumbprint }
    case 'x509_pop':
      return { x509_pop: { anchors: rule.anchors, ...certificateEntryOf(rule.certificate) } }
    case 'oidc':
      return { oidc: { issuer: rule.issuer, claims: sortedClaims(rule.claims) } }
  }
}

type Certificate = Extract<AttestationRule, { readonly kind: 'x509_pop' }>['certificate']

function certificateEntryOf(certificate: Certificate):
  | Exclude<Certificate, { readonly commonName: string }>
  | {
      readonly common_name: string
    } {
  return 'commonName' in certificate ? { common_name: certificate.commonName } : certificate
}

function sortedClaims(claims: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(claims).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

function ruleOf(entry: AttestationEntry): AttestationRule {
  if ('join_token' in entry) return { kind: 'join_token' }
  if ('bound_key' in entry) return { kind: 'bound_key', thumbprint: entry.bound_key }
  if ('oidc' in entry) return { kind: 'oidc', ...entry.oidc }
  const { anchors, ...name } = entry.x509_pop
  return { kind: 'x509_pop', anchors, certificate: 'common_name' in name ? { commonName: name.common_name } : name }
}
