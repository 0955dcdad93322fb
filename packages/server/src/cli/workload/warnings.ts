/** What a registration names and the configuration here does not know: it grants nothing, and nobody joins by it. */

import { gatewayRole } from '@doorward/core'
import type { WorkloadDocument } from '@doorward/core'
import type { CliContext } from '../context.ts'

type Named = Partial<Pick<WorkloadDocument, 'roles' | 'attest'>>

export async function warnOfUnknown(context: CliContext, documents: readonly Named[]): Promise<void> {
  const { configuration } = await context.deployment()
  const { oidc, x509 } = configuration.authority.attestors
  const roles = [
    gatewayRole,
    ...configuration.security.rbac.policies.map(({ role }) => role),
    ...Object.keys(configuration.roles),
  ]
  const ways = documents.flatMap(({ attest = [] }) => attest)
  const warn = (names: readonly string[], known: readonly string[], text: (name: string) => string) => {
    for (const name of new Set(names)) if (!known.includes(name)) context.err(`warning: ${text(name)}`)
  }
  warn(
    documents.flatMap((document) => document.roles ?? []),
    roles,
    (name) => `the configuration defines no role ${name}; it grants nothing`,
  )
  warn(
    ways.flatMap((way) => ('oidc' in way ? [way.oidc.issuer] : [])),
    Object.keys(oidc),
    (name) => `the configuration knows no issuer ${name} under authority.attestors.oidc; nobody joins by it`,
  )
  warn(
    ways.flatMap((way) => ('x509_pop' in way ? [way.x509_pop.anchors] : [])),
    Object.keys(x509),
    (name) => `the configuration knows no anchors ${name} under authority.attestors.x509; nobody joins by them`,
  )
}
