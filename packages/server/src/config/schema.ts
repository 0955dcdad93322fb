/** `doorward.yaml`: strict, unknown keys are errors. */

import { z } from 'zod'
import { approvals } from './approval-schema.ts'
import { attestors } from './attestor-schema.ts'
import { alerts, audit } from './audit-schema.ts'
import { decisions } from './decisions-schema.ts'
import { detections } from './detections-schema.ts'
import { edge } from './edge-schema.ts'
import { front } from './front-schema.ts'
import { issuers } from './issuer-schema.ts'
import { callBounds, limits, network } from './limits-schema.ts'
import { agent, backend } from './backend-schema.ts'
import { binding, path, policy } from './policy-schema.ts'
import { credential, environmentName, identitiesKeyring, secrets, variable, vault } from './secrets-schema.ts'
import { section } from './section.ts'
import { security } from './security-schema.ts'
import { tracing } from './tracing-schema.ts'
import { workloadApi } from './workload-api-schema.ts'

/** Where somebody listens. */
export const address = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\]|[0-9A-Za-z.-]+):(0|[1-9][0-9]{0,4})$/, { error: 'not an address; expected host:port' })
  .refine((text) => Number(text.slice(text.lastIndexOf(':') + 1)) <= 65535, {
    error: 'not a port; expected 0 to 65535',
  })

/** An https origin, optionally with a path, without trailing slash, query or fragment. */
const publicUrl = z.string().refine(
  (text) => {
    const url = URL.canParse(text) ? new URL(text) : null
    return (
      url !== null &&
      url.protocol === 'https:' &&
      url.username === '' &&
      url.search === '' &&
      url.hash === '' &&
      !text.endsWith('/')
    )
  },
  { error: 'not a public URL; expected https://host[:port] without trailing slash, query or fragment' },
)

const serverName = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, {
  error: 'not a server name; expected lowercase letters, digits, - and _',
})

const toolPattern = z.string().min(1).max(256)

/** What tools do. */
export const effects = section({
  read: z.array(toolPattern).default([]),
  write: z.array(toolPattern).default([]),
  admin: z.array(toolPattern).default([]),
}).prefault({})

/** JSON file with the tools of the server: what `tools/list` answers. */
const tools = path.optional()

/** Whether what a server says of itself and its tools has to be approved before callers see it. */
const approval = z.enum(['required', 'on-first-use', 'off']).default('on-first-use')

/** What is demanded of a server's answers. */
const output = section({
  /** Of one message; 4 MiB where nothing is said. */
  max_bytes: z
    .int()
    .min(1024)
    .max(4 * 1024 * 1024)
    .optional(),
  /** Takes known secrets out of texts. */
  redact: z.boolean().default(false),
  /** Refuses results that do not have the structure that was approved. */
  validate: z.boolean().default(false),
}).prefault({})

/** Callers reach it over the HTTP+SSE of 2024-11-05 as well. */
const legacySse = z.boolean().default(false)

const stdioServer = section({
  command: z.array(z.string().min(1)).min(1, { error: 'an empty command; expected a program and its arguments' }),
  cwd: z.string().optional(),
  env: z.record(environmentName, variable).default({}),
  /** Names of variables that the gateway passes on from its own environment. */
  env_from: z.array(environmentName).default([]),
  /** Processes at once, hence sessions. */
  processes: z.int().min(1).max(1024).default(64),
  /** A session of which nothing is under way for so long ends with its process. */
  idle_seconds: z.int().min(10).max(86_400).default(1800),
  /** Whom its processes belong to, by number; only where the gateway runs as root. */
  user: z
    .string()
    .regex(/^[1-9][0-9]{0,9}:[1-9][0-9]{0,9}$/, {
      error: 'not a user; expected <uid>:<gid> in numbers, neither of them root',
    })
    .optional(),
  effects,
  tools,
  approval,
  output,
  legacy_sse: legacySse,
  limits: callBounds,
})

const httpServer = section({
  url: z.url({ protocol: /^https?$/ }),
  insecure_upstream: z.boolean().default(false),
  /** `http` is streamable HTTP; `sse` the HTTP+SSE of 2024-11-05, whose address is that of the stream. */
  transport: z.enum(['http', 'sse'], { error: 'not a transport; expected http or sse' }).default('http'),
  credential: credential.optional(),
  effects,
  tools,
  approval,
  output,
  legacy_sse: legacySse,
  limits: callBounds,
})

const reservedServers = new Set(['authority', 'gateway', 'admin'])

/** Which of the two kinds an entry is decides how its mistakes are told. */
const server = z.unknown().transform((value, context): ServerSection => {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  const shape = isObject && 'url' in value ? httpServer : isObject && 'command' in value ? stdioServer : null
  if (shape === null) {
    context.addIssue({
      code: 'custom',
      message: 'neither a program nor an address; expected command: [program, …] or url: https://…',
      input: value,
    })
    return z.NEVER
  }
  if (isObject && 'url' in value && 'command' in value) {
    context.addIssue({
      code: 'custom',
      message: 'two ways to one server; expected either command or url',
      input: value,
    })
    return z.NEVER
  }
  const parsed = shape.safeParse(value)
  if (parsed.success) return parsed.data
  for (const issue of parsed.error.issues) context.addIssue({ ...issue })
  return z.NEVER
})

export type StdioServerSection = z.output<typeof stdioServer>
export type HttpServerSection = z.output<typeof httpServer>
export type ServerSection = StdioServerSection | HttpServerSection

const seconds = (fallback: number) => z.int().min(1).max(3600).default(fallback)

/** `host:port`, or the folder of a Unix socket. */
const databaseAddress = z.union([address, z.string().startsWith('/')], {
  error: 'not an address; expected host:port, or the folder of a Unix socket',
})

const database = section({
  addresses: z
    .array(databaseAddress)
    .min(1, { error: 'no address; expected at least one' })
    .max(8, { error: 'too many addresses; expected at most eight' }),
  name: z.string().min(1).max(63).default('doorward'),
  user: z.string().min(1).max(63).default('doorward'),
  /** Read for each new connection; mode 0600. */
  password_file: z.string().min(1).optional(),
  /** PEM of the authorities that the server's certificate must chain to. Needed unless every address stays on this machine. */
  ca_file: z.string().min(1).optional(),
  connections: z.int().min(1).max(8).default(8),
})

const proxyNetworks = z
  .array(
    network.refine((text) => !text.endsWith('/0'), {
      error: 'a network of everybody; expected the addresses of your proxies',
    }),
  )
  .max(64, { error: 'too many networks; expected at most 64' })
  .default([])

/** Who says, by a PROXY header, whom the connections are from that it makes to a listener. */
const listenerProxies = { main: proxyNetworks, admin: proxyNetworks, public: proxyNetworks }
const proxies = section({ ...listenerProxies, edge: proxyNetworks }).prefault({})
const authorityProxies = section({ ...listenerProxies, enrol: proxyNetworks, front: proxyNetworks }).prefault({})

const partName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, {
  error: 'not a name; expected lowercase letters, digits and -',
})

const authority = section({
  name: partName.default('main'),
  public_url: publicUrl.optional(),
  /** Where workloads reach it, when that is not where it listens. */
  advertise: section({ main: address.optional(), enrol: address.optional(), admin: address.optional() }).prefault({}),
  /** A database that several authorities share; a file of its own without it. */
  database: database.optional(),
  attestors,
  front: front.optional(),
  /** How long a revocation list for outsiders is good; it is signed anew at half of that. */
  crl_seconds: z
    .int()
    .min(300, { error: 'too short for verifiers that fetch it now and then; expected at least 300' })
    .max(86_400, { error: 'too long for anybody to hear of a denial; expected at most 86400' })
    .default(3600),
  /** Whom outside the trust domain workloads may prove themselves to by a JWT-SVID, which nothing binds to a certificate then. */
  jwt_svid_audiences: z
    .array(
      z
        .string()
        .regex(/^[\x21-\x7e]{1,2048}$/, { error: 'not an audience; expected visible characters without spaces' })
        .refine((text) => !text.startsWith('spiffe://'), {
          error: 'a SPIFFE ID; those of registered workloads need no entry, and others are not audiences here',
        }),
    )
    .max(64)
    .default([]),
  /** From when on issuance is an alarm (DT-4). */
  detect: section({
    certificates_per_instance: z.number().min(3).max(1000).default(6),
    new_identities_per_hour: z.int().min(1).max(1_000_000).default(500),
  }).prefault({}),
  listeners: section({
    main: address.default('127.0.0.1:8446'),
    admin: address.default('127.0.0.1:8447'),
    enrol: address.default('127.0.0.1:8448'),
    public: address.default('127.0.0.1:8449'),
    /** For clients of people and their browsers; nothing listens by default. */
    front: address.optional(),
    proxies: authorityProxies,
  }).prefault({}),
})

export const configuration = section({
  trust_domain: z.string().regex(/^[a-z0-9._-]{1,255}$/, {
    error: 'not a trust domain; expected a lowercase name such as example.org',
  }),
  public_url: publicUrl.optional(),
  listen: address.optional(),
  listeners: section({
    main: address.optional(),
    admin: address.default('127.0.0.1:8444'),
    public: address.default('127.0.0.1:8445'),
    /** For hosts that cannot hold a certificate; nothing listens by default. */
    edge: address.optional(),
    /** For proxies that ask about the requests that they hold; nothing listens by default. */
    decisions: address.optional(),
    proxies,
  }).prefault({}),
  gateway: section({
    name: partName.default('main'),
    /** Not ready while every server is given a pause. */
    needs_server: z.boolean().default(false),
  }).prefault({}),
  authority: authority.prefault({}),
  state: section({
    dir: z.string().min(1).default('.doorward'),
    key_dir: z.string().min(1).optional(),
    identities_keyring: identitiesKeyring,
  }).prefault({}),
  security: security.prefault({}),
  servers: z
    .record(serverName, server)
    .default({})
    .check((context) => {
      for (const name of Object.keys(context.value)) {
        if (reservedServers.has(name)) {
          context.issues.push({
            code: 'custom',
            message: 'this name is reserved; expected another one',
            input: name,
            path: [name],
          })
        }
      }
    }),
  secrets,
  vault,
  /** Plain HTTP services, at `/http/<name>/`. */
  services: z.record(serverName, backend).default({}),
  /** Agents over A2A, at `/a2a/<name>`. */
  agents: z.record(serverName, agent).default({}),
  roles: z.record(z.string().min(1).max(64), z.array(z.string())).default({}),
  bindings: z.array(binding).default([]),
  policy,
  approvals,
  issuers,
  edge: edge.optional(),
  decisions: decisions.optional(),
  limits: limits.prefault({}),
  trust: section({ full_seconds: seconds(60), reduced_seconds: seconds(300) }).prefault({}),
  audit,
  tracing,
  detections,
  alerts,
  workload_api: workloadApi,
})

export type Configuration = z.output<typeof configuration>
