/** Mistakes in `sidecar.yaml` that only show when several keys are read together. */

import { resolve } from 'node:path'
import { compilePolicy, DoorwardError, parseSpiffeId, parseTrustDomain, readNamePattern } from '@doorward/core'
import type { TrustDomain } from '@doorward/core'
import { bindingSource, keysOf } from './cross-check.ts'
import type { CrossProblem } from './problem.ts'
import type { SidecarFile, SidecarOutbound } from './sidecar-schema.ts'

function problem(keys: CrossProblem['keys'], message: string, expected: string | null, got: string | null) {
  return { keys, message, expected, got }
}

function saidBy<T>(read: () => T): T | DoorwardError {
  try {
    return read()
  } catch (error) {
    if (error instanceof DoorwardError) return error
    throw error
  }
}

/** Paths are meant from that folder. */
export function sidecarProblems(file: SidecarFile, folder: string): readonly CrossProblem[] {
  const domain = saidBy(() => parseTrustDomain(file.trust_domain))
  if (domain instanceof DoorwardError)
    return [problem(['trust_domain'], domain.message, domain.expected ?? null, domain.got ?? null)]
  const nothing = file.inbound === undefined && file.outbound.length === 0
  return [
    ...(nothing ? [problem([], 'the sidecar has nothing to do', 'inbound, outbound, or both', null)] : []),
    ...policyProblems(file, domain),
    ...effectProblems(file),
    ...placeProblems(file, folder),
    ...file.outbound.flatMap((entry, i) => [
      ...peerProblems(entry, domain, ['outbound', i]),
      ...callerProblems(entry, ['outbound', i]),
    ]),
  ]
}

function policyProblems({ inbound }: SidecarFile, trustDomain: TrustDomain): readonly CrossProblem[] {
  if (inbound === undefined) return []
  const { roles, bindings, service } = inbound
  const result = compilePolicy({
    trustDomain,
    rbac: [],
    roles: Object.entries(roles).map(([role, permissions]) => ({ role, permissions })),
    bindings: bindings.map(bindingSource),
    servers: [service],
  })
  if (result.ok) return []
  return result.problems.map((error) =>
    problem(['inbound', ...keysOf(error.where ?? '')], error.message, error.expected ?? null, error.got ?? null),
  )
}

/** An effect of a name that nothing has would protect nothing. */
function effectProblems({ inbound }: SidecarFile): readonly CrossProblem[] {
  return Object.entries(inbound?.mcp?.effects ?? {}).flatMap(([effect, names]) =>
    names.flatMap((name, i) => {
      const pattern = readNamePattern(name)
      if (!('problem' in pattern)) return []
      return [problem(['inbound', 'mcp', 'effects', effect, i], pattern.problem, 'the name of a tool, * in it', name)]
    }),
  )
}

/** One place is one listener's. Where the program's were ours, whoever calls in would call out as this identity. */
function placeProblems(
  { outbound, socket, metrics, inbound, workload_api: given }: SidecarFile,
  folder: string,
): readonly CrossProblem[] {
  const used = new Set<string>()
  const placeOf = (at: { readonly socket?: string | undefined; readonly port?: number | undefined } | undefined) =>
    at?.socket === undefined ? (at?.port === undefined ? undefined : `port ${at.port}`) : resolve(folder, at.socket)
  const { forward } = inbound ?? {}
  const places: readonly (readonly [CrossProblem['keys'], string | undefined])[] = [
    [['socket'], placeOf({ socket })],
    [['metrics', 'port'], placeOf(metrics)],
    [['workload_api', 'socket'], placeOf(given)],
    [['inbound', 'forward', forward?.port === undefined ? 'socket' : 'port'], placeOf(forward)],
    ...outbound.map(({ listen }, i) => [['outbound', i, 'listen'], placeOf(listen)] as const),
  ]
  return places.flatMap(([keys, place]) => {
    if (place === undefined) return []
    const taken = used.has(place)
    used.add(place)
    return taken ? [problem(keys, 'the place is taken', 'a place of its own', place)] : []
  })
}

function peerProblems(
  { id: text, insecure_any_local_process: anybody, callers }: SidecarOutbound,
  trustDomain: TrustDomain,
  keys: CrossProblem['keys'],
): readonly CrossProblem[] {
  const id = saidBy(() => parseSpiffeId(text))
  const found: CrossProblem[] = []
  if (id instanceof DoorwardError) found.push(problem([...keys, 'id'], id.message, id.expected ?? null, id.got ?? null))
  else if (id.trustDomain !== trustDomain || id.segments.length === 0)
    found.push(problem([...keys, 'id'], 'not a workload of this trust domain', `spiffe://${trustDomain}/…`, text))
  if (anybody && callers !== undefined)
    found.push(problem([...keys, 'callers'], 'insecure_any_local_process lets everybody in', 'one of the two', 'both'))
  return found
}

/** Of a connection to a port the kernel tells the user alone, and who may use it has to be said. */
function callerProblems(
  { listen, callers, insecure_any_local_process: anybody }: SidecarOutbound,
  keys: CrossProblem['keys'],
): readonly CrossProblem[] {
  if (listen.port === undefined || anybody) return []
  if (callers === undefined)
    return [
      problem([...keys, 'listen', 'port'], 'nothing says who may use the port', 'callers, or a socket', 'neither'),
    ]
  return callers.flatMap((caller, i) => {
    const more = Object.keys(caller).filter((name) => name !== 'uid')
    const message = 'of a connection to a port only the user is known'
    return more.length === 0
      ? []
      : [problem([...keys, 'callers', i], message, 'uid alone, or a socket', more.join(', '))]
  })
}
