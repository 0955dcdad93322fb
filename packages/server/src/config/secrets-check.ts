/** Mistakes between secrets, and the servers that are to have them. */

import type { CrossProblem } from './problem.ts'
import type { Configuration } from './schema.ts'
import type { CredentialSection } from './secrets-schema.ts'

type Keys = CrossProblem['keys']

interface Wanted {
  readonly keys: Keys
  readonly secret: string
  /** Server or service. */
  readonly by: string
}

export function secretProblems(configuration: Configuration): readonly CrossProblem[] {
  const { secrets, servers, services, agents } = configuration
  const known = new Set([servers, services, agents].flatMap((section) => Object.keys(section)))
  const strangers = Object.entries(secrets).flatMap(([name, secret]) =>
    secret.servers.flatMap((server, i): CrossProblem[] =>
      known.has(server)
        ? []
        : [
            problem(
              ['secrets', name, 'servers', i],
              'there is no server, service or agent of this name',
              'one that there is',
              server,
            ),
          ],
    ),
  )
  return [
    ...strangers,
    ...vaultProblems(configuration),
    ...passedProblems(configuration),
    ...wantedBy(configuration).flatMap((wanted) => wantedProblem(wanted, secrets)),
    ...headerProblems(configuration),
    ...userProblems(configuration),
    ...exchangeProblems(configuration),
  ]
}

function problem(keys: Keys, message: string, expected: string, got: string): CrossProblem {
  return { keys, message, expected, got }
}

function vaultProblems({ secrets, vault }: Configuration): readonly CrossProblem[] {
  if (vault !== undefined) return []
  return Object.entries(secrets).flatMap(([name, secret]) =>
    secret.vault === undefined
      ? []
      : [problem(['secrets', name, 'vault'], 'no vault is configured', 'vault: { url: … } beside secrets:', name)],
  )
}

/** What is taken out of the environment as a secret cannot be passed on from it as well. */
function passedProblems({ secrets, servers }: Configuration): readonly CrossProblem[] {
  const taken = new Set(Object.values(secrets).flatMap(({ env }) => env ?? []))
  return Object.entries(servers).flatMap(([name, server]) =>
    ('env_from' in server ? server.env_from : []).flatMap((variable, i) =>
      taken.has(variable)
        ? [
            problem(
              ['servers', name, 'env_from', i],
              'this variable is a secret',
              'env: { NAME: { secret: … } }',
              variable,
            ),
          ]
        : [],
    ),
  )
}

function wantedProblem({ keys, secret, by }: Wanted, secrets: Configuration['secrets']): readonly CrossProblem[] {
  const declared = Object.hasOwn(secrets, secret) ? secrets[secret] : undefined
  if (declared === undefined) return [problem(keys, 'there is no secret of this name', 'one of secrets:', secret)]
  if (declared.servers.includes(by)) return []
  return [problem(keys, `this secret is not meant for ${by}`, `a secret whose servers name ${by}`, secret)]
}

function wantedBy({ servers, services, agents }: Configuration): readonly Wanted[] {
  const of = (section: 'servers' | 'services' | 'agents', name: string, credential: CredentialSection | undefined) =>
    credential === undefined ? [] : inCredential(credential, [section, name, 'credential'], name)
  return [
    ...Object.entries(servers).flatMap(([name, server]) =>
      'url' in server
        ? of('servers', name, server.credential)
        : Object.entries(server.env).flatMap(([variable, value]): Wanted[] =>
            typeof value === 'string'
              ? []
              : [{ keys: ['servers', name, 'env', variable, 'secret'], secret: value.secret, by: name }],
          ),
    ),
    ...Object.entries(services).flatMap(([name, service]) => of('services', name, service.credential)),
    ...Object.entries(agents).flatMap(([name, agent]) => of('agents', name, agent.credential)),
  ]
}

function inCredential(credential: CredentialSection, keys: Keys, by: string): readonly Wanted[] {
  if ('client_credentials' in credential) {
    const { secret } = credential.client_credentials
    return [{ keys: [...keys, 'client_credentials', 'secret'], secret, by }]
  }
  if ('token_exchange' in credential) {
    const { secret, assertion } = credential.token_exchange
    return [
      { keys: [...keys, 'token_exchange', 'secret'], secret, by },
      { keys: [...keys, 'token_exchange', 'assertion', 'secret'], secret: assertion.secret, by },
      ...(credential.own === undefined ? [] : [{ keys: [...keys, 'own'], secret: credential.own, by }]),
    ]
  }
  if ('secret' in credential) return [{ keys: [...keys, 'secret'], secret: credential.secret, by }]
  if ('user_oauth' in credential) {
    const { client_secret: secret } = credential.user_oauth
    return [
      ...(secret === undefined ? [] : [{ keys: [...keys, 'user_oauth', 'client_secret'], secret, by }]),
      ...(credential.own === undefined ? [] : [{ keys: [...keys, 'own'], secret: credential.own, by }]),
    ]
  }
  return [
    ...credential.by.map(({ secret }, i) => ({ keys: [...keys, 'by', i, 'secret'], secret, by })),
    ...(credential.own === undefined ? [] : [{ keys: [...keys, 'own'], secret: credential.own, by }]),
  ]
}

/** People need a place to grant it at, and a way to say who they are; and only answers in JSON-RPC can show them the link. */
function userProblems({ servers, services, agents, edge, issuers }: Configuration): readonly CrossProblem[] {
  const wanted = Object.entries(servers).filter(
    ([, server]) => 'url' in server && server.credential !== undefined && 'user_oauth' in server.credential,
  )
  const problems = Object.entries({ services, agents }).flatMap(([section, entries]) =>
    Object.entries(entries).flatMap(([name, { credential }]) =>
      credential !== undefined && 'user_oauth' in credential
        ? [
            problem(
              [section, name, 'credential'],
              `not for ${section}`,
              'user_oauth at a server of servers:',
              'user_oauth',
            ),
          ]
        : [],
    ),
  )
  for (const [name, server] of wanted) {
    const keys = ['servers', name, 'credential', 'user_oauth']
    if ('url' in server && server.transport === 'sse')
      problems.push(problem(keys, 'not for servers of HTTP+SSE', 'transport: http', 'sse'))
    if (edge === undefined)
      problems.push(problem(keys, 'there is no page where people could grant it', 'edge: beside servers:', 'no edge'))
    if (!Object.values(issuers).some(({ consent }) => consent !== undefined))
      problems.push(
        problem(keys, 'nobody can show who they are', 'issuers.NAME.consent for the issuer of your people', 'none'),
      )
  }
  return problems
}

/** An issuer that nobody comes from is a mistake in its text: every call would be refused. */
function exchangeProblems({ servers, services, agents, issuers }: Configuration): readonly CrossProblem[] {
  const known = new Set(Object.values(issuers).map(({ issuer }) => issuer))
  const look = (
    section: string,
    [name, of]: readonly [string, { readonly credential?: CredentialSection | undefined }],
  ) => {
    const { credential } = of
    if (credential === undefined || !('token_exchange' in credential)) return []
    const { people } = credential.token_exchange
    if (people === undefined || known.has(people)) return []
    const keys = [section, name, 'credential', 'token_exchange', 'people']
    return [problem(keys, 'no people are of this issuer', 'the issuer of one of issuers:', people)]
  }
  return [
    ...Object.entries(servers).flatMap(([name, server]) => ('url' in server ? look('servers', [name, server]) : [])),
    ...Object.entries(services).flatMap((one) => look('services', one)),
    ...Object.entries(agents).flatMap((one) => look('agents', one)),
  ]
}

/** What the protocol or the gateway itself says in a request is not what a credential may say. */
const TAKEN =
  /^(?:host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|expect|content-.*|accept.*|cookie2?|user-agent|traceparent|tracestate|baggage|via|forwarded|x-forwarded.*|x-real-ip|proxy-.*|mcp-.*|last-event-id|doorward-.*|if-.*|range|origin|referer)$/

function headerProblems({ servers, services, agents }: Configuration): readonly CrossProblem[] {
  const problems: CrossProblem[] = []
  const look = (
    section: string,
    name: string,
    credential: CredentialSection | undefined,
    passed: readonly string[],
  ) => {
    if (credential === undefined || !('secret' in credential || 'by' in credential)) return
    const header = credential.header?.toLowerCase()
    if (header === undefined) return
    const keys = [section, name, 'credential', 'header']
    if (TAKEN.test(header)) problems.push(problem(keys, 'this header is not for credentials', 'another header', header))
    if (passed.includes(header))
      problems.push(
        problem(keys, 'callers set this header themselves', 'a header that request_headers does not name', header),
      )
  }
  for (const [name, server] of Object.entries(servers))
    if ('url' in server) look('servers', name, server.credential, [])
  for (const [name, { credential, request_headers }] of Object.entries(services))
    look('services', name, credential, request_headers)
  for (const [name, { credential }] of Object.entries(agents)) look('agents', name, credential, ['a2a-version'])
  return problems
}
