/** The way to a server of our own trust domain: mutual TLS with our own identity, for as long as trust allows it. */

import type { TLSSocket } from 'node:tls'
import { DoorwardError, toSeconds } from '@doorward/core'
import type { PeerCertificate, SpiffeId } from '@doorward/core'
import type { TrustView } from '@doorward/enforcement'
import { connectMutualTls, importP256, serverProblem, systemClock } from '@doorward/sdk'
import type { Identity, ServerProblem } from '@doorward/sdk'
import type { UpstreamTls } from '../transports/upstream-http.ts'

export interface OwnUpstream {
  readonly tls: UpstreamTls
  /** Looks at nothing any more. */
  readonly close: () => void
}

/** Nobody else is at the other end than the workload that is named. Open connections are judged again with every trust state. */
export function ownUpstream(
  identity: Pick<Identity, 'credentials' | 'material' | 'trustStore'>,
  expected: SpiffeId,
): OwnUpstream {
  const live = new Map<TLSSocket, PeerCertificate>()
  const judge = (certificate: PeerCertificate, mirror: 'require' | 'skip'): ServerProblem | null =>
    serverProblem(certificate, {
      expected,
      trust: viewOf(identity),
      now: toSeconds(systemClock()),
      importP256,
      mirror,
    })
  const close = identity.trustStore.onAccept(() => {
    // A certificate leaves the mirror when it ends: what is open then has been open with it.
    for (const [socket, server] of live) if (judge(server, 'skip') !== null) socket.destroy()
  })
  const connect = async (host: string, port: number): Promise<TLSSocket> => {
    const { socket, server } = await connectMutualTls({
      host,
      port,
      svid: identity.credentials.current(),
      anchors: identity.material().anchors,
      judge: async (certificate) => judge(certificate, 'require'),
    })
    live.set(socket, server)
    socket.once('close', () => live.delete(socket))
    return socket
  }
  return { tls: { kind: 'connector', connect }, close }
}

function viewOf({ trustStore }: Pick<Identity, 'trustStore'>): TrustView {
  const view = trustStore.view()
  if (view === null)
    throw new DoorwardError('trust_state_missing', 'there is no current trust state to judge the server by')
  return view
}
