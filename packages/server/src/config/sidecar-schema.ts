/** `sidecar.yaml`: what a sidecar beside one program lets in and out. Strict, unknown keys are errors. */

import { cardPath, isEndpointPath } from '@doorward/core'
import { z } from 'zod'
import { rpcMethods } from './backend-schema.ts'
import { binding, path } from './policy-schema.ts'
import { address, effects } from './schema.ts'
import { section } from './section.ts'
import { environmentName } from './secrets-schema.ts'
import { rate } from './security-schema.ts'
import { ownWorkloadApi, selectors } from './workload-api-schema.ts'

const user = z.int().min(0).max(4_294_967_295)
const port = z.int().min(1).max(65_535)
const text = (most: number) => z.string().min(1).max(most)

const origin = z
  .string()
  .refine((given) => URL.canParse(given) && new URL(given).origin === given && given.startsWith('https://'), {
    error: 'not an origin; expected https://host[:port] and nothing behind it',
  })

const join = section({ file: path.optional(), env: environmentName.optional() }).refine(
  ({ file, env }) => (file === undefined) !== (env === undefined),
  { error: 'not one place of a join string; expected either file or env' },
)

const identity = section({
  /** Of the identity: made when it joins. */
  folder: path,
  /** Outside of the folder. */
  key: path,
  join: join.optional(),
})

const record = section({ folder: path, checkpoints: path })

const answers = {
  /** Until the head of an answer, and between its parts where it is no event stream. */
  answer_seconds: z.int().min(1).max(3600).default(30),
  /** All of an answer. */
  stream_seconds: z.int().min(1).max(86_400).default(3600),
  concurrent: z.int().min(1).max(1024).default(64),
}

const bodyBytes = z
  .int()
  .min(1024)
  .max(64 * 1024 * 1024)
  .default(1024 * 1024)

const forward = section({
  socket: path.optional(),
  port: port.optional(),
  /** Whose the program is. */
  uid: user.optional(),
  answer_bytes: z
    .int()
    .min(1024)
    .max(1024 * 1024 * 1024)
    .default(64 * 1024 * 1024),
  ...answers,
  /** Of one caller, and of each for whom it acts; by default half of all. */
  per_caller_concurrent: z.int().min(1).max(1024).optional(),
}).refine(({ socket, port: given }) => (socket === undefined) !== (given === undefined), {
  error: 'not one place of a program; expected either socket or port',
})

const assertion = section({
  /** By default the name of the service. */
  audience: text(256).optional(),
  jwks_file: path.optional(),
}).prefault({})

/** Where messages are posted to. */
const endpoint = z.string().refine((given) => isEndpointPath(given) && given !== cardPath, {
  error: 'not a path of an endpoint; expected one such as /a2a',
})

const asked = ['routes', 'mcp', 'a2a', 'json_rpc'] as const

const inbound = section({
  listen: address,
  audience: origin,
  service: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, {
    error: 'not the name of a service; expected lowercase letters, digits, - and _',
  }),
  routes: z.array(text(2048)).min(1).max(1000).optional(),
  /** The program is an MCP server: what each of its tools does, by name. */
  mcp: section({ path: endpoint.default('/mcp'), effects }).optional(),
  /** The program is an agent. Its card is a file. */
  a2a: section({ path: endpoint.default('/a2a'), card: path }).optional(),
  /** The program is asked by plain JSON-RPC: what each method that it has counts as. */
  json_rpc: section({ path: endpoint.default('/rpc'), methods: rpcMethods }).optional(),
  roles: z.record(text(128), z.array(text(2048))).default({}),
  bindings: z.array(binding).max(1000).default([]),
  forward,
  assertion,
  limits: section({
    body_bytes: bodyBytes,
    global: rate.optional(),
    per_address: rate.optional(),
    per_caller: rate.optional(),
  }).prefault({}),
}).refine((given) => asked.filter((name) => given[name] !== undefined).length === 1, {
  error: `not one way to ask a program; expected one of ${asked.join(', ')}`,
})

const caller = section(selectors).refine((given) => Object.values(given).some((value) => value !== undefined), {
  error: 'nothing says who this is; expected one or more of uid, gid, path, sha256, cgroup, systemd_unit',
})

const listen = section({ socket: path.optional(), port: port.optional() }).refine(
  ({ socket, port: given }) => (socket === undefined) !== (given === undefined),
  { error: 'not one place to listen; expected either socket or port' },
)

const outbound = section({
  listen,
  to: origin,
  /** SPIFFE ID of who must answer there. */
  id: text(2048),
  /** For whom tokens are; by default `to`. */
  audience: text(2048).optional(),
  callers: z.array(caller).min(1).max(64).optional(),
  insecure_any_local_process: z.boolean().default(false),
  limits: section({ body_bytes: bodyBytes, ...answers }).prefault({}),
})

export const sidecar = section({
  trust_domain: z.string(),
  identity,
  record,
  /** Where the sidecar says how it is, and with which keys it asserts. */
  socket: path.optional(),
  /** Port of 127.0.0.1 at which Prometheus reads its numbers. */
  metrics: section({ port }).optional(),
  inbound: inbound.optional(),
  outbound: z.array(outbound).max(64).default([]),
  /** Programs that speak SPIFFE are given the sidecar's own identity there. */
  workload_api: ownWorkloadApi.optional(),
})

export type SidecarFile = z.output<typeof sidecar>
export type SidecarOutbound = z.output<typeof outbound>
export type SidecarInbound = z.output<typeof inbound>
