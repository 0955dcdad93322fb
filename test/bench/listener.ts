/** The gateway's listener, for whatever is measured behind it. */

import { systemClock } from '@doorward/sdk'
import {
  defaultCipherSuites,
  defaultListenerLimits,
  openListener,
} from '../../packages/enforcement/src/wire/listener.ts'
import type { Listener, ListenerOptions } from '../../packages/enforcement/src/wire/listener.ts'
import { defaultHeaders } from '../../packages/server/src/config/security-schema.ts'

export function openBenchListener(
  options: Pick<ListenerOptions, 'clientCertificate' | 'material' | 'onExchange'>,
): Promise<Listener> {
  return openListener({
    ...options,
    name: 'main',
    host: '127.0.0.1',
    port: 0,
    authorities: ['127.0.0.1:0'],
    cipherSuites: defaultCipherSuites,
    securityHeaders: defaultHeaders,
    limits: { ...defaultListenerLimits, handshakes: { count: 1_000_000, periodSeconds: 60 } },
    clock: systemClock,
    monotonic: () => performance.now(),
    // Without a certificate it is tried on purpose.
    onRefusedHandshake: ({ reason }) =>
      void (reason === 'certificate_missing' || process.stderr.write(`handshake refused: ${reason}\n`)),
  })
}
