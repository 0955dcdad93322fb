/** One registered workload with everything that stands on it, as operators are shown it. No secrets, no machine keys. */

import type { JsonObject } from '@doorward/core'
import type { Instance, IssuedCertificateRow } from '../authority/ports.ts'
import type { RegistrationDetail } from '../authority/registration-search.ts'
import { shownRegistration } from '../authority/registrations.ts'

/** Of long lists the newest are shown; the counts tell how many there are. */
const MOST_SHOWN = 300

export function shownDetail({ registration, instances, certificates, joinTokens }: RegistrationDetail): JsonObject {
  return {
    workload: shownRegistration(registration),
    instances: instances.slice(-MOST_SHOWN).map(shownInstance),
    certificates: certificates.slice(-MOST_SHOWN).map(shownCertificate),
    join_tokens: joinTokens
      .slice(-MOST_SHOWN)
      .map(({ createdAt, expiresAt }) => ({ created_at: createdAt, expires_at: expiresAt })),
    counts: { instances: instances.length, certificates: certificates.length, join_tokens: joinTokens.length },
  }
}

export function shownInstance(instance: Instance): JsonObject {
  const { locked } = instance
  return {
    instance: instance.instance,
    attested_by: instance.attestedBy,
    bound_at: instance.boundAt,
    seen_at: instance.seenAt,
    sequence: instance.sequence,
    locked: locked === null ? null : { at: locked.at, reason: locked.reason },
  }
}

function shownCertificate(certificate: IssuedCertificateRow): JsonObject {
  return {
    serial: certificate.serial,
    fingerprint: certificate.fingerprint,
    not_after: certificate.notAfter,
    anchor: certificate.anchorKeyId,
    instance: certificate.instance,
  }
}
