/** The names in a gateway's certificate, where its registration follows its configuration. */

import { readIpAddress } from '@doorward/core'
import type { PeerCertificate } from '@doorward/core'
import type { Identity } from '@doorward/sdk'
import type { GatewayNames } from './gateway-settings.ts'

/**
 * Renews a certificate that lacks one of the names, before anybody connects. A name too many goes with the next renewal by
 * itself. What fails is told, and tried again with the next start: the certificate that is held stays good.
 */
export async function takeUpNames(
  identity: Pick<Identity, 'credentials' | 'renew'>,
  names: GatewayNames | undefined,
  { signal, onProblem }: { readonly signal: AbortSignal; readonly onProblem: (error: unknown) => void },
): Promise<void> {
  if (names === undefined || hasNames(identity.credentials.current().certificate, names)) return
  await identity.renew(signal).catch(onProblem)
}

function hasNames(certificate: Pick<PeerCertificate, keyof GatewayNames>, { dnsNames, ipAddresses }: GatewayNames) {
  return (
    dnsNames.every((name) => certificate.dnsNames.includes(name)) &&
    ipAddresses.every((address) => certificate.ipAddresses.includes(readIpAddress(address) ?? address))
  )
}
