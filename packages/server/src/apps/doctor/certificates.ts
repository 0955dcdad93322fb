/** Certificates of the identities on this machine, as their folders hold them: nothing is opened, so no key is needed. */

import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { backdatingSeconds } from '@doorward/core'
import { readBoundedFile } from '../../config/certificate-file.ts'
import { relativeTime } from '../relative-time.ts'
import { failure, fine, findingOf, warning } from './finding.ts'
import type { Finding } from './finding.ts'

const MAX_BYTES = 64 * 1024

/** An identity that somebody has to keep fresh, or one that renews when it is used. */
export interface HeldIdentity {
  readonly name: string
  readonly folder: string
  /** True where a process follows the authority all the time. */
  readonly kept: boolean
}

/** `now` in seconds since 1970. */
export async function certificateFinding(identity: HeldIdentity, now: number): Promise<Finding> {
  const where = `${identity.name} (${identity.folder})`
  try {
    const bytes = await readBoundedFile(join(identity.folder, 'svid.json'), MAX_BYTES)
    return { ...judged(leafOf(bytes), identity.kept, now), where }
  } catch (error) {
    const next = 'run this as the user that the identity belongs to; if the file is gone, join again'
    return { ...findingOf('certificate', 'unknown', error, next), where }
  }
}

interface Times {
  readonly from: number
  readonly until: number
}

function leafOf(bytes: Uint8Array): Times {
  const { chain } = JSON.parse(Buffer.from(bytes).toString('utf8')) as { readonly chain: readonly string[] }
  const certificate = new X509Certificate(Buffer.from(chain[0] ?? '', 'base64'))
  return { from: certificate.validFromDate.getTime() / 1000, until: certificate.validToDate.getTime() / 1000 }
}

/** Renewal is due at half of the lifetime, give or take a tenth; what is older lags. */
function judged({ from, until }: Times, kept: boolean, now: number): Finding {
  const issued = from + backdatingSeconds
  const lagsFrom = issued + (until - issued) * 0.7
  if (now < from - 60)
    return failure('certificate', {
      message: `the certificate begins ${relativeTime(from - now)}: a clock is wrong`,
      next: 'set the clock of this machine right',
    })
  if (now >= until) {
    const message = `the certificate ended ${relativeTime(until - now)}`
    return kept
      ? failure('certificate', { message, next: 'start the process that keeps it; it returns by its machine key' })
      : fine('certificate', `${message}; it is renewed when it is used`)
  }
  if (kept && now > lagsFrom)
    return warning('certificate', {
      message: `renewal is late: the certificate ends ${relativeTime(until - now)}`,
      expected: 'a new one at half of its lifetime',
      next: 'look at the log of the process that keeps it: it says why renewing failed',
    })
  return fine('certificate', `ends ${relativeTime(until - now)}`)
}
