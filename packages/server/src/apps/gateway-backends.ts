/** The way of a gateway to a configured plain HTTP service. */

import { systemRuntime } from '@doorward/sdk'
import { answerHeaders, requestHeaders } from '../transports/backend-headers.ts'
import { openBackendUpstream } from '../transports/backend-upstream.ts'
import { BoundedCalls } from '../transports/bounded-calls.ts'
import { Circuit, defaultCircuitThreshold } from '../transports/circuit.ts'
import type { HttpBackend } from '../transports/http-backends.ts'
import { KnownValues } from './credentials/known-values.ts'
import { openCredential } from './credentials/open-credential.ts'
import { boundedLimits, keepingParts, tellOfCircuit, tlsOf } from './gateway-servers.ts'
import type { ServerParts } from './gateway-servers.ts'
import { audienceOfBackend } from './gateway-settings.ts'
import type { BackendSettings } from './gateway-settings.ts'
import { callBounds } from './live-settings.ts'

/** Opens the way to one service, closed by `stack`; connects to nothing yet. Throws `upstream_url_invalid`. */
export function openBackend(
  parts: Omit<ServerParts, 'pipeline' | 'definitions'>,
  { name, server: backend }: { readonly name: string; readonly server: BackendSettings },
  stack: AsyncDisposableStack,
): HttpBackend {
  const { settings, live, secrets, log, warn } = parts
  if (backend.insecureUpstream) warn('server_insecure', `service ${name} is reached without TLS, as configured`)
  const known = new KnownValues()
  const upstream = openBackendUpstream({
    name,
    url: backend.url,
    tls: tlsOf(parts, backend, stack),
    limits: boundedLimits(parts, name),
    credential: openCredential(backend.credential ?? null, {
      server: name,
      secrets,
      known,
      ...keepingParts(parts, stack),
    }),
    known,
    answerBytes: backend.answerBytes,
    redact: backend.redact === true,
    requestHeaders: [...requestHeaders, ...backend.requestHeaders],
    answerHeaders: [...answerHeaders, ...backend.answerHeaders],
    onFailure: (reason) => log.warning('server_unreachable', { server: name, reason }),
  })
  stack.defer(() => upstream.close())
  const circuit = new Circuit(defaultCircuitThreshold, systemRuntime.chance)
  return {
    methods: new Set(backend.methods),
    upstream,
    circuit,
    calls: new BoundedCalls(callBounds(live, name)),
    onCircuit: tellOfCircuit(parts, name, circuit),
    audience: audienceOfBackend(settings, name),
  }
}
