/** The configured plain HTTP services of a gateway, each with its way to it. */

import { systemRuntime } from '@doorward/sdk'
import { answerHeaders, requestHeaders } from '../transports/backend-headers.ts'
import { openBackendUpstream } from '../transports/backend-upstream.ts'
import { Circuit, defaultCircuitThreshold } from '../transports/circuit.ts'
import type { HttpBackend } from '../transports/http-backends.ts'
import { tellOfCircuit, tlsOf, upstreamLimits } from './gateway-servers.ts'
import type { ServerParts } from './gateway-servers.ts'
import { audienceOfBackend } from './gateway-settings.ts'

/** Opens the way to every service; connects to nothing yet. Throws `upstream_url_invalid`. */
export function openBackends(
  parts: Pick<ServerParts, 'settings' | 'identity' | 'log' | 'warn'>,
  stack: AsyncDisposableStack,
): ReadonlyMap<string, HttpBackend> {
  const { settings, log, warn } = parts
  const backends = new Map<string, HttpBackend>()
  for (const [name, backend] of Object.entries(settings.backends ?? {})) {
    if (backend.insecureUpstream) warn('server_insecure', `service ${name} is reached without TLS, as configured`)
    const upstream = openBackendUpstream({
      name,
      url: backend.url,
      tls: tlsOf(parts, backend, stack),
      limits: upstreamLimits(settings),
      answerBytes: backend.answerBytes,
      requestHeaders: [...requestHeaders, ...backend.requestHeaders],
      answerHeaders: [...answerHeaders, ...backend.answerHeaders],
      onFailure: (reason) => log.warning('server_unreachable', { server: name, reason }),
    })
    stack.defer(() => upstream.close())
    const circuit = new Circuit(defaultCircuitThreshold, systemRuntime.chance)
    backends.set(name, {
      methods: new Set(backend.methods),
      upstream,
      circuit,
      onCircuit: tellOfCircuit(parts, name, circuit),
      audience: audienceOfBackend(settings, name),
    })
  }
  return backends
}
