/** Mistakes of `decisions` that only show beside other keys. */

import { isDoorwardError, parseSpiffeId } from '@doorward/core'
import type { TrustDomain } from '@doorward/core'
import type { DecisionsSection } from './decisions-schema.ts'
import type { CrossProblem } from './problem.ts'

export interface DecisionsSurroundings {
  readonly decisions?: DecisionsSection | undefined
  readonly listeners: { readonly decisions?: string | undefined }
  readonly servers: Readonly<Record<string, unknown>>
  readonly services: Readonly<
    Record<string, { readonly json_rpc?: unknown; readonly output: { readonly redact: boolean } }>
  >
}

export function decisionsProblems(surroundings: DecisionsSurroundings, domain: TrustDomain): readonly CrossProblem[] {
  const { decisions, listeners } = surroundings
  const { decisions: address } = listeners
  if (decisions === undefined && address === undefined) return []
  if (decisions === undefined)
    return [wrong(['listeners', 'decisions'], 'a listener without what it decides', 'decisions: beside it', address)]
  const unheard =
    address === undefined ? [wrong(['decisions'], 'nothing listens for it', 'listeners.decisions: host:port')] : []
  return [...unheard, ...serviceProblems(decisions, surroundings), ...proxyProblems(decisions, domain)]
}

function serviceProblems(
  { services }: DecisionsSection,
  { servers, services: configured }: DecisionsSurroundings,
): readonly CrossProblem[] {
  const taken = new Map<string, string>()
  return Object.entries(services).flatMap(([name, { public_url: url }]) => {
    const keys = ['decisions', 'services', name]
    const other = taken.get(url)
    taken.set(url, name)
    const twice =
      other === undefined ? [] : [wrong([...keys, 'public_url'], `${other} is there`, 'a URL of its own', url)]
    const service = Object.hasOwn(configured, name) ? configured[name] : undefined
    if (service !== undefined && service.json_rpc === undefined) return [...twice, ...unseenProblems(name, service)]
    if (service === undefined && !Object.hasOwn(servers, name))
      return [...twice, wrong(keys, 'no such service', listOf(configured, 'a name in services'), name)]
    const what = service === undefined ? 'an MCP server' : 'a service of JSON-RPC'
    const message = `${what}: what is called there stands in the body, which a proxy that asks does not show`
    return [
      ...twice,
      wrong(keys, message, 'a plain HTTP service; clients of the server come to this gateway itself', name),
    ]
  })
}

/** Answers do not come by here. What the gateway does to those that it forwards itself would be promised for all. */
function unseenProblems(name: string, { output }: DecisionsSurroundings['services'][string]): readonly CrossProblem[] {
  if (!output.redact) return []
  const message = 'secrets are not taken out of answers that another proxy forwards: they are not seen here'
  return [wrong(['services', name, 'output', 'redact'], message, 'false, or no decisions about it', 'true')]
}

function proxyProblems({ proxies, services }: DecisionsSection, domain: TrustDomain): readonly CrossProblem[] {
  const ids = new Map<string, string>()
  return Object.entries(proxies).flatMap(([name, proxy]) => {
    const keys = ['decisions', 'proxies', name]
    const problems = [...idProblems(proxy.id, [...keys, 'id'], domain)]
    const other = ids.get(proxy.id)
    ids.set(proxy.id, name)
    if (other !== undefined)
      problems.push(wrong([...keys, 'id'], `the id is that of ${other}`, 'each id once', proxy.id))
    for (const [at, service] of proxy.services.entries()) {
      const place = [...keys, 'services', at]
      if (!Object.hasOwn(services, service))
        problems.push(wrong(place, 'no such name in decisions.services', listOf(services, 'one of them'), service))
      else if (proxy.services.indexOf(service) !== at)
        problems.push(wrong(place, 'named twice', 'each name once', service))
    }
    return problems
  })
}

function idProblems(text: string, keys: CrossProblem['keys'], domain: TrustDomain): readonly CrossProblem[] {
  try {
    if (parseSpiffeId(text).trustDomain === domain) return []
    return [wrong(keys, 'a proxy outside the trust domain', `spiffe://${domain}/…`, text)]
  } catch (error) {
    if (!isDoorwardError(error)) throw error
    return [{ keys, message: error.message, expected: error.expected ?? null, got: error.got ?? null }]
  }
}

function listOf(named: Readonly<Record<string, unknown>>, otherwise: string): string {
  const list = Object.keys(named).join(', ')
  return list === '' ? otherwise : list
}

function wrong(keys: CrossProblem['keys'], message: string, expected: string, got?: string): CrossProblem {
  return { keys, message, expected, got: got ?? null }
}
