/** Where the edge, or the front, has its certificate from: files that somebody else replaces, or a certificate authority that it asks itself. */

import { DoorwardError } from '@doorward/core'
import { systemRuntime, timerSleep } from '@doorward/sdk'
import { readEdgeCertificate } from '../config/edge-certificate.ts'
import type { EdgeCertificate } from '../config/edge-certificate.ts'
import type { EdgeCertificatePlace, EdgeSettings } from '../config/edge-settings.ts'
import type { EdgeCertificates } from './edge-certificate-source.ts'
import { openAcmeCertificates } from './acme-certificates.ts'
import type { AcmeTools } from './acme-certificates.ts'
import type { GatewaySettings } from './gateway-settings.ts'
import type { GatewayState } from './gateway-state.ts'

/** Throws what is wrong with files; an authority is asked later. Throws the codes of `readEdgeCertificate`, and of the state. */
export async function openEdgeCertificates(
  { certificate: from, publicUrl }: Pick<EdgeSettings, 'certificate' | 'publicUrl'>,
  tools: AcmeTools,
): Promise<EdgeCertificates> {
  if ('directory' in from) return openAcmeCertificates(from, publicUrl, tools)
  return openCertificateFiles(from, publicUrl, tools)
}

/** Of a gateway; null where it has no edge. */
export async function gatewayCertificates(
  { edge, stateDir }: Pick<GatewaySettings, 'edge' | 'stateDir'>,
  { identity, record, sealer, keys }: Pick<GatewayState, 'identity' | 'record' | 'sealer' | 'keys'>,
  onProblem: (error: unknown) => void,
): Promise<EdgeCertificates | null> {
  if (edge === undefined) return null
  return openEdgeCertificates(edge, {
    listener: 'edge',
    stateDir,
    sealer,
    keys,
    // Certificates are good or not by the time that no stepped local clock turns back.
    now: () => identity.trust.now(),
    runtime: systemRuntime,
    enter: (body) => record.append({ kind: 'lifecycle', body }),
    onProblem,
  })
}

const LOOK_MILLISECONDS = 5000

/** Throws the codes of `readEdgeCertificate`. */
export async function openCertificateFiles(
  first: EdgeCertificatePlace,
  publicUrl: string,
  { now, onProblem }: Pick<AcmeTools, 'now' | 'onProblem'>,
): Promise<EdgeCertificates> {
  let from = first
  let shown = await readEdgeCertificate(from, publicUrl, now())
  let told: string | null = null
  /** What cannot be used is told once. */
  const look = async (onChange: (certificate: EdgeCertificate) => void) => {
    const place = from
    try {
      const read = await readEdgeCertificate(place, publicUrl, now())
      // Other files may have been named meanwhile.
      if (place !== from) return
      told = null
      if (isSame(read, shown)) return
      onChange(read)
      shown = read
    } catch (error) {
      const text = error instanceof DoorwardError ? `${error.code} ${error.got ?? ''}` : String(error)
      if (text !== told) onProblem(error)
      told = text
    }
  }
  return {
    current: () => shown,
    problem: () => told,
    proofs: null,
    async prepare(next, onChange) {
      if ('directory' in next || (next.file === from.file && next.keyFile === from.keyFile)) return () => undefined
      const read = await readEdgeCertificate(next, publicUrl, now())
      return () => {
        from = next
        told = null
        if (!isSame(read, shown)) onChange(read)
        shown = read
      }
    },
    async run(signal, onChange) {
      while (!signal.aborted) {
        await timerSleep(LOOK_MILLISECONDS, signal)
        if (!signal.aborted) await look(onChange)
      }
    },
  }
}

function isSame(one: EdgeCertificate, other: EdgeCertificate): boolean {
  return one.fingerprint === other.fingerprint && one.chain.length === other.chain.length
}
