/** Questions of Envoy over gRPC: `envoy.service.auth.v3.Authorization/Check`. Whatever is missing, unknown or doubled refuses. */

import type { Socket } from 'node:net'
import { deny, isDenial, isRefusal, refusalAnswer } from '@doorward/enforcement'
import type { Connection, Denial, Inbound, Refusal } from '@doorward/enforcement'
import { serveGrpc } from '../grpc/grpc.ts'
import type { GrpcAnswer, GrpcCalls, GrpcLimits } from '../grpc/grpc.ts'
import { grpcStatus } from '../grpc/grpc.ts'
import type { Asked, Unreadable } from './asked.ts'
import { allowedResponse, deniedResponse, readAddress, readCheckRequest } from './check-messages.ts'
import type { CheckRequest } from './check-messages.ts'
import { askerOf } from './decision-desk.ts'
import type { DecisionDesk } from './decision-desk.ts'
import { withheld } from './http-decisions.ts'
import { escapedChain } from './shown-certificate.ts'

export const checkPath = '/envoy.service.auth.v3.Authorization/Check'

/** The key of `context_extensions` by which a route says which service it is of. */
export const serviceExtension = 'doorward_service'

const limits: GrpcLimits = {
  messageBytes: 65_536,
  calls: 256,
  headerBytes: 8192,
  requestMilliseconds: 10_000,
  idleMilliseconds: 600_000,
}

/** Answers questions on the connection until it ends. */
export function serveChecks(
  socket: Socket,
  connection: Connection,
  { desk, onProblem, onCall }: Pick<GrpcCalls, 'onProblem' | 'onCall'> & { readonly desk: DecisionDesk },
): { close(): void } {
  const calls: GrpcCalls = {
    admit: () => null,
    methods: new Map([[checkPath, (request: Uint8Array) => check(desk, connection, request)]]),
    onProblem,
    ...(onCall === undefined ? {} : { onCall }),
    limits,
  }
  const session = serveGrpc(socket, calls, new AbortController().signal)
  return { close: () => session.close() }
}

async function* check(desk: DecisionDesk, connection: Connection, request: Uint8Array): GrpcAnswer {
  yield await answerOf(desk, connection, request)
  return { status: grpcStatus.ok, message: '' }
}

async function answerOf(desk: DecisionDesk, connection: Connection, message: Uint8Array): Promise<Uint8Array> {
  const own: Inbound = {
    connection,
    head: { method: 'POST', path: checkPath, query: '', headers: {} },
    audience: '',
  }
  const asking = await desk.proxyOf(own)
  if (isDenial(asking)) return refused(await desk.pipeline.refuseHead(own, asking), undefined)
  const { proxy, caller } = asking
  const request = readCheckRequest(message)
  const authorization = request?.headers.get('authorization')
  const refuse = async (denial: Denial) =>
    refused(await desk.pipeline.refuseHead(own, { ...denial, caller }), authorization)
  if (proxy.kind !== 'envoy') return refuse(deny('asker_refused', `${proxy.name} is of the kind ${proxy.kind}`))
  if (request === null) {
    const denial = deny('assertion_invalid', 'expected a CheckRequest that says everything once')
    const asked = { address: readAddress(message) }
    return refused(await desk.refuse({ own, asker: askerOf(asking) }, { denial, asked }), undefined)
  }
  const question = desk.question(own, asking, request.extensions.get(serviceExtension) ?? '')
  if (isDenial(question)) return refuse(question)
  const result = await desk.decide(question, askedOf(request))
  return isRefusal(result) ? refused(result, authorization) : allowedResponse(result.headers, withheld)
}

function askedOf(request: CheckRequest): Asked | Unreadable {
  const { method, target, host, scheme, address, certificate: text, headers } = request
  const said = { method, target, host, address }
  const unreadable = (why: string) => ({ denial: deny('assertion_invalid', why), asked: said })
  if (scheme !== 'https') return unreadable('the request did not come over TLS')
  const certificate = text === undefined || text === '' ? null : escapedChain(text)
  if (certificate === null && text !== undefined && text !== '')
    return unreadable('source.certificate is not percent-escaped PEM')
  return { ...said, certificate, authorization: headers.get('authorization') }
}

function refused(refusal: Refusal, authorization: string | undefined): Uint8Array {
  return deniedResponse(refusalAnswer({ method: 'POST', headers: { authorization } }, refusal))
}
