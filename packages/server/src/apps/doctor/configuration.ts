/** The configuration: whether it holds, which policy it makes, and what in it is weaker than it could be. */

import { ConfigurationError, problemLine } from '../../config/problem.ts'
import type { Problem } from '../../config/problem.ts'
import type { Deployment } from '../../config/settings.ts'
import { judgePolicy } from '../policy-preparation.ts'
import { failure, fine, findingOf, warning } from './finding.ts'
import type { Finding } from './finding.ts'

/** Every mistake of a configuration that is refused. */
export function mistakes(error: unknown): readonly Finding[] {
  if (!(error instanceof ConfigurationError)) return [findingOf('configuration', 'failure', error)]
  return error.problems.map((problem) => mistake(error.file, problem))
}

function mistake(file: string, problem: Problem): Finding {
  const line = problemLine(file, problem)
  return failure('configuration', { message: line, next: 'mend it, then run: doorward config check' })
}

export async function policyFindings(deployment: Deployment): Promise<readonly Finding[]> {
  const { configuration, file } = deployment
  try {
    const judged = await judgePolicy(deployment)
    const warned = judged.warnings.map((one) =>
      warning('policy', { message: problemLine(file, one), next: 'doorward policy check' }),
    )
    const nobody = configuration.bindings.length === 0 && configuration.policy.files.length === 0
    if (warned.length > 0) return warned
    return [
      fine(
        'policy',
        nobody
          ? `${judged.policies} policies; only roles given at registration allow anything`
          : `${judged.policies} policies, those of roles among them`,
      ),
    ]
  } catch (error) {
    return mistakes(error).map((one) => ({ ...one, check: 'policy' }))
  }
}

/** A key that makes something weaker, and what that means. */
interface Loud {
  readonly keys: readonly string[]
  readonly message: string
  readonly next: string
}

/** What is in force that an operator should know to be weaker than the default, or than it should stay. */
export function loudFindings(deployment: Deployment): readonly Finding[] {
  const loud = [
    ...loudEdge(deployment),
    ...loudAnywhere(deployment.configuration),
    ...loudServers(deployment),
    ...loudPlaces(deployment),
    ...loudTrust(deployment),
    ...exposed(deployment),
  ]
  if (loud.length === 0) return [fine('weak_options', 'nothing in the configuration is weaker than by default')]
  return loud.map(({ keys, message, next }) => {
    const line = deployment.lineOf(keys)
    const where = `${deployment.file}${line === null ? '' : `:${line}`} ${keys.join('.')}`
    return warning('weak_options', { where, message, next })
  })
}

function* loudEdge({ configuration: { edge } }: Deployment): Generator<Loud> {
  if (edge === undefined) return
  if (edge.bearer)
    yield {
      keys: ['edge', 'bearer'],
      message: 'tokens that are bound to no key are accepted: whoever has one is believed',
      next: 'set edge.bearer to false once every host makes proofs (RFC 9449)',
    }
  if (edge.unlisted_clients)
    yield {
      keys: ['edge', 'unlisted_clients'],
      message: 'clients that nobody has listed are let in',
      next: 'list them under edge.clients, and set edge.unlisted_clients to false',
    }
  if (edge.dpop.nonce === 'optional')
    yield {
      keys: ['edge', 'dpop', 'nonce'],
      message: 'proofs are accepted that were made ahead of time',
      next: 'set edge.dpop.nonce to required, unless a host cannot answer with a nonce',
    }
}

/** Wherever they stand: what such a key is called says what it does. */
const loudKeys: Readonly<Record<string, Omit<Loud, 'keys'>>> = {
  insecure_upstream: {
    message: 'calls go on in plain text',
    next: 'keep it on this machine, or give the server a certificate',
  },
  allow_private_addresses: {
    message: 'what is fetched may lie in the own network as well, wherever the one who names the address wants it',
    next: 'set it to false for what is on the internet',
  },
}

function* loudAnywhere(value: unknown, keys: readonly string[] = []): Generator<Loud> {
  if (typeof value !== 'object' || value === null) return
  for (const [key, inner] of Object.entries(value)) {
    const told = inner === true ? loudKeys[key] : undefined
    if (told === undefined) yield* loudAnywhere(inner, [...keys, key])
    else yield { keys: [...keys, key], ...told }
  }
}

function* loudServers({ configuration: { servers } }: Deployment): Generator<Loud> {
  for (const [name, { approval }] of Object.entries(servers))
    if (approval === 'off')
      yield {
        keys: ['servers', name, 'approval'],
        message: 'whatever the server says of its tools is shown to callers, also when it changes',
        next: 'set approval to required, then: doorward servers approve',
      }
}

function* loudPlaces({ configuration: { state } }: Deployment): Generator<Loud> {
  if (state.key_dir === undefined)
    yield {
      keys: ['state', 'key_dir'],
      message: 'the keys that open the state lie in the home of the user who started it',
      next: 'in production, name a folder that a service manager fills as state.key_dir',
    }
}

/** The defaults of the design: full function for a minute, known identities until five. */
function* loudTrust({ configuration: { trust } }: Deployment): Generator<Loud> {
  if (trust.full_seconds > 60 || trust.reduced_seconds > 300)
    yield {
      keys: ['trust', trust.full_seconds > 60 ? 'full_seconds' : 'reduced_seconds'],
      message: `without news of the authority calls go on for ${Math.max(trust.full_seconds, trust.reduced_seconds)} s: so long may a revocation take`,
      next: 'keep to 60 and 300, unless the authority is often away',
    }
}

const everywhere = new Set(['0.0.0.0', '::'])

/** APIs of operators that anybody can knock at. */
function* exposed({ authority, gateway }: Deployment): Generator<Loud> {
  const admin = [
    [['authority', 'listeners', 'admin'], authority.listeners.admin],
    [['listeners', 'admin'], gateway.listeners.admin],
  ] as const
  for (const [keys, { host }] of admin)
    if (everywhere.has(host))
      yield {
        keys,
        message: 'the API of operators listens on every address of this machine',
        next: 'name the address of the network that operators are in',
      }
}
