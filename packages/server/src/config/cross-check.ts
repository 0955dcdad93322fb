/** Mistakes that only show when several keys are read together. */

import { compilePolicy, DoorwardError, ownServers, parseTrustDomain } from '@doorward/core'
import type { BindingSource, PolicySource, TrustDomain } from '@doorward/core'
import { approvalProblems } from './approvals-check.ts'
import { keepProblems } from './audit-keep.ts'
import { decisionsProblems } from './decisions-check.ts'
import { edgeProblems } from './edge-check.ts'
import { alertProblems, exportProblems } from './export-check.ts'
import { issuerProblems } from './issuer-check.ts'
import { frontProblems } from './front-check.ts'
import { headerNameProblem } from './passed-headers.ts'
import type { CrossProblem } from './problem.ts'
import type { BindingSection } from './policy-schema.ts'
import { quotaProblems } from './quotas.ts'
import type { Configuration, HttpServerSection } from './schema.ts'
import { secretProblems } from './secrets-check.ts'
import { tracingProblems } from './tracing-schema.ts'

function problem(
  keys: CrossProblem['keys'],
  message: string,
  expected: string | null,
  got: string | null,
): CrossProblem {
  return { keys, message, expected, got }
}

/** Keys of a dotted path such as `roles.researcher[0]`. */
export function keysOf(where: string): readonly (string | number)[] {
  return where
    .split(/\.(?![^[]*\])/)
    .flatMap((part) => part.split('[').map((piece) => (piece.endsWith(']') ? Number(piece.slice(0, -1)) : piece)))
    .filter((piece) => piece !== '')
}

/** What is said of the front, and of the edge, is of all of these. */
const frontKeys = ['authority', 'edge', 'issuers', 'security']
const edgeKeys = ['edge', 'listeners', 'issuers', 'authority']
const decisionsKeys = ['decisions', 'listeners']

/** `broken`: sections that were left out because they are wrong in themselves; what is missing in them is missed nowhere else. */
export function crossProblems(
  configuration: Configuration,
  broken: ReadonlySet<PropertyKey> = new Set(),
): readonly CrossProblem[] {
  const domain = domainOf(configuration)
  if (domain instanceof DoorwardError) {
    return [problem(['trust_domain'], domain.message, domain.expected ?? null, domain.got ?? null)]
  }
  return [
    ...policyProblems(configuration, domain),
    ...approvalProblems(configuration, domain),
    ...listenerProblems(configuration),
    ...(edgeKeys.some((key) => broken.has(key)) ? [] : edgeProblems(configuration)),
    ...(frontKeys.some((key) => broken.has(key)) ? [] : frontProblems(configuration)),
    ...(decisionsKeys.some((key) => broken.has(key)) ? [] : decisionsProblems(configuration, domain)),
    ...urlProblems('servers', configuration.servers),
    ...urlProblems('services', configuration.services),
    ...urlProblems('agents', configuration.agents),
    ...outputProblems(configuration),
    ...backendProblems(configuration),
    ...secretProblems(configuration),
    ...limitProblems(configuration),
    ...quotaProblems(configuration, domain),
    ...issuerProblems(configuration, domain),
    ...exportProblems(configuration.audit.exports),
    ...tracingProblems(configuration.tracing),
    ...alertProblems(configuration.alerts.webhooks),
    ...keepProblems(configuration.audit.keep, Object.keys(configuration.servers)),
  ]
}

function domainOf(configuration: Configuration): TrustDomain | DoorwardError {
  try {
    return parseTrustDomain(configuration.trust_domain)
  } catch (error) {
    if (error instanceof DoorwardError) return error
    throw error
  }
}

/** Names of servers, services and agents: what policies, quotas and secrets may name. */
export function calledNames({ servers, services, agents }: Configuration): readonly string[] {
  return [servers, services, agents].flatMap((section) => Object.keys(section))
}

/** The policy slice of a configuration, without the files that it names. */
export function policySource(configuration: Configuration, trustDomain: TrustDomain): PolicySource {
  return {
    trustDomain,
    rbac: configuration.security.rbac.policies,
    roles: Object.entries(configuration.roles).map(([role, permissions]) => ({ role, permissions })),
    bindings: configuration.bindings.map(bindingSource),
    servers: calledNames(configuration),
    timeZone: configuration.policy.time_zone,
    approvals: {
      groups: Object.keys(configuration.approvals.groups),
      rules: configuration.approvals.rules,
    },
  }
}

export function bindingSource({ role, workloads, issuer, users, groups }: BindingSection): BindingSource {
  return {
    role,
    ...(workloads === undefined ? {} : { workloads }),
    ...(issuer === undefined ? {} : { issuer }),
    ...(users === undefined ? {} : { users }),
    ...(groups === undefined ? {} : { groups }),
  }
}

function policyProblems(configuration: Configuration, trustDomain: TrustDomain): readonly CrossProblem[] {
  const result = compilePolicy(policySource(configuration, trustDomain))
  if (result.ok) return []
  return result.problems.map((error) =>
    problem(keysOf(error.where ?? ''), error.message, error.expected ?? null, error.got ?? null),
  )
}

function listenerProblems(configuration: Configuration): readonly CrossProblem[] {
  const { listen, listeners, authority } = configuration
  const problems: CrossProblem[] = []
  if (listen !== undefined && listeners.main !== undefined) {
    problems.push(problem(['listen'], 'listen and listeners.main name the same listener', 'one of the two', null))
  }
  const used = new Map<string, string>()
  const addresses: readonly (readonly [readonly string[], string])[] = [
    [listen === undefined ? ['listeners', 'main'] : ['listen'], listen ?? listeners.main ?? '127.0.0.1:8443'],
    [['listeners', 'admin'], listeners.admin],
    [['listeners', 'public'], listeners.public],
    ...(listeners.edge === undefined ? [] : [[['listeners', 'edge'], listeners.edge] as const]),
    ...(listeners.decisions === undefined ? [] : [[['listeners', 'decisions'], listeners.decisions] as const]),
    ...(authority.listeners.front === undefined
      ? []
      : [[['authority', 'listeners', 'front'], authority.listeners.front] as const]),
    ...(['main', 'admin', 'enrol', 'public'] as const).map(
      (name) => [['authority', 'listeners', name], authority.listeners[name]] as const,
    ),
  ]
  for (const [keys, address] of addresses) {
    if (address.endsWith(':0')) continue
    const other = used.get(address)
    if (other !== undefined) {
      problems.push(
        problem(keys, `the address is taken by ${other}`, 'an address of its own for each listener', address),
      )
    }
    used.set(address, keys.join('.'))
  }
  return problems
}

const loopback = new Set(['localhost', '127.0.0.1', '[::1]'])

/** A service is known by its name where a server is: to policies, tokens and the record. */
function backendProblems({ servers, services, agents }: Configuration): readonly CrossProblem[] {
  const problems: CrossProblem[] = []
  const isTaken = (name: string, others: readonly object[]) =>
    others.some((one) => Object.hasOwn(one, name)) || ownServers.includes(name) || name === 'admin'
  for (const name of Object.keys(agents))
    if (isTaken(name, [servers, services]))
      problems.push(problem(['agents', name], 'the name is taken', 'a name of its own', name))
  for (const [name, { request_headers, answer_headers, json_rpc, methods }] of Object.entries(services)) {
    if (isTaken(name, [servers]))
      problems.push(problem(['services', name], 'the name is taken', 'a name of its own', name))
    if (json_rpc !== undefined && methods.join() !== 'POST')
      problems.push(
        problem(['services', name, 'methods'], 'messages of JSON-RPC are posted', '[POST]', methods.join(', ')),
      )
    for (const [key, names] of Object.entries({ request_headers, answer_headers })) {
      for (const [at, header] of names.entries()) {
        const wrong = headerNameProblem(header)
        if (wrong !== null) problems.push(problem(['services', name, key, at], wrong, 'another header', header))
      }
    }
  }
  return problems
}

function outputProblems({ servers }: Configuration): readonly CrossProblem[] {
  const problems: CrossProblem[] = []
  for (const [name, server] of Object.entries(servers)) {
    if (server.output.validate && server.approval === 'off')
      problems.push(
        problem(
          ['servers', name, 'output', 'validate'],
          'with approval: off no structure is approved to compare with',
          'approval: required or on-first-use',
          'true',
        ),
      )
  }
  return problems
}

type WithUrl = Pick<HttpServerSection, 'url' | 'insecure_upstream'>

function urlProblems(
  section: 'servers' | 'services' | 'agents',
  entries: Readonly<Record<string, WithUrl | object>>,
): readonly CrossProblem[] {
  const problems: CrossProblem[] = []
  for (const [name, server] of Object.entries(entries)) {
    if (!('url' in server)) continue
    const url = new URL(server.url)
    const keys = [section, name, 'url']
    if (url.protocol === 'http:' && !(loopback.has(url.hostname) && server.insecure_upstream)) {
      problems.push(
        problem(
          keys,
          'plain HTTP is spoken only to this machine and only with insecure_upstream: true',
          'an https URL',
          server.url,
        ),
      )
    }
    if (url.username !== '' || url.password !== '' || url.hash !== '') {
      problems.push(problem(keys, 'a server URL has no credentials and no fragment', 'https://host/path', url.origin))
    }
    if (url.protocol === 'https:' && server.insecure_upstream) {
      problems.push(
        problem(
          [section, name, 'insecure_upstream'],
          'the server is reached over TLS already',
          'no insecure_upstream',
          'true',
        ),
      )
    }
  }
  return problems
}

function limitProblems(configuration: Configuration): readonly CrossProblem[] {
  const { trust } = configuration
  if (trust.full_seconds <= trust.reduced_seconds) return []
  return [
    problem(
      ['trust', 'full_seconds'],
      'full function cannot outlast reduced function',
      `at most trust.reduced_seconds (${trust.reduced_seconds})`,
      String(trust.full_seconds),
    ),
  ]
}
