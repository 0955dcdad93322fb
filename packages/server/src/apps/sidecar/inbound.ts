/** Calls of other workloads to the program behind: judged and recorded as `protect` does, then handed over with who it is. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { joinBytes } from '@doorward/core'
import { CallFailed, protect } from '@doorward/sdk'
import type { ConnectedIdentity, OpenRecord, ProtectedCall, ProtectedServer, ProtectOptions } from '@doorward/sdk'
import { readCardFile } from '../../config/card-file.ts'
import type { AskedSettings, InboundSettings } from '../../config/sidecar-file.ts'
import { callProgram } from '../../transports/sidecar/program-call.ts'
import type { Assertions } from './assertions.ts'
import type { Program } from './program.ts'

/** Header with the assertion. Whatever a caller sends under this name is left out. */
export const assertionHeader = 'doorward-principal'

export interface InboundParts {
  readonly settings: InboundSettings
  readonly identity: ConnectedIdentity
  readonly record: OpenRecord
  readonly assertions: Assertions
  readonly program: Program
  /** Hears of each call of the program, and by what that gives, of its end. */
  readonly enters: () => () => void
  readonly onProblem: (error: unknown) => void
}

/** Throws the codes of `protect` and of `readCardFile`. */
export async function openInbound(parts: InboundParts): Promise<ProtectedServer> {
  const { settings, identity, record, onProblem } = parts
  const { audience, listen, service, roles, bindings, rates, bodyBytes, forward: forwarding } = settings
  const forward = new Forward(parts)
  return protect((request, response, call) => forward.serve(request, response, call), {
    identity,
    audience,
    listen,
    service,
    ...(await askedBy(settings.asked)),
    policy: { roles, bindings: bindings.map(withoutNothing) },
    record,
    limits: {
      ...rates,
      bodyBytes,
      callsUnderWay: forwarding.limits.concurrent,
      callsUnderWayPerCaller: forwarding.perCallerConcurrent,
    },
    onProblem,
  })
}

/** Messages are judged before the program has them, wherever it is. */
async function askedBy(asked: AskedSettings): Promise<Pick<ProtectOptions, 'routes' | 'mcp' | 'a2a' | 'jsonRpc'>> {
  switch (asked.kind) {
    case 'routes':
      return { routes: asked.routes }
    case 'mcp':
      return { mcp: { path: asked.path, effects: asked.effects } }
    case 'a2a':
      return { a2a: { path: asked.path, card: await readCardFile(asked.card) } }
    case 'json-rpc':
      return { jsonRpc: { path: asked.path, methods: asked.methods } }
  }
}

type Binding = InboundSettings['bindings'][number]

/** What is absent is no key. */
function withoutNothing({ role, workloads, issuer, users, groups }: Binding) {
  return {
    role,
    ...(workloads === undefined ? {} : { workloads }),
    ...(issuer === undefined ? {} : { issuer }),
    ...(users === undefined ? {} : { users }),
    ...(groups === undefined ? {} : { groups }),
  }
}

class Forward {
  readonly #parts: InboundParts

  constructor(parts: InboundParts) {
    this.#parts = parts
  }

  /** Throws `CallFailed`. */
  async serve(request: IncomingMessage, response: ServerResponse, call: ProtectedCall): Promise<void> {
    const leaves = this.#parts.enters()
    await this.#forward(request, response, call).finally(leaves)
  }

  async #forward(request: IncomingMessage, response: ServerResponse, call: ProtectedCall): Promise<void> {
    const { settings, assertions, program } = this.#parts
    const { limits, answerBytes: bytes } = settings.forward
    const [method, target] = [request.method ?? '', request.url ?? '']
    const body = await bodyOf(request)
    const assertion = await assertions.of({ call, method, target, body })
    const own = { [assertionHeader]: assertion }
    const what = { method, target, headers: request.headers, own, body }
    const connect = async () => {
      const connection = await program.connect(response)
      if (typeof connection === 'string') throw new CallFailed('upstream_unavailable', connection)
      return connection
    }
    const failure = await callProgram(connect, what, response, { ...limits, bytes })
    if (failure !== null) throw new CallFailed(failure.code, failure.reason)
  }
}

/** It has been read already, within its limit. */
async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const part of request as AsyncIterable<Uint8Array>) parts.push(part)
  return joinBytes(parts)
}
