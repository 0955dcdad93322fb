/** What proxies that ask are held to, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'

const decisions = 'packages/server/src/transports/decisions'
const tests = 'test/refusals/decisions.test.ts'
const grpcTests = 'test/refusals/decisions-grpc.test.ts'

type Change = readonly [file: string, from: string, to: string]

function control(name: string, test: string, [file, from, to]: Change, where = tests): Control {
  return { name: `decisions.${name}`, edits: [{ file, from, to }], test: { file: where, name: test } }
}

const grpc = (name: string, test: string, change: Change) => control(`grpc_${name}`, test, change, grpcTests)

export const decisionControls: readonly Control[] = [
  control('asker', 'only a proxy that is listed asks, about services that it was given, whatever role it has', [
    `${decisions}/decision-desk.ts`,
    'const proxy = this.#options.rules().proxies.get(caller.id)',
    'const [proxy] = this.#options.rules().proxies.values()',
  ]),
  control('services', 'only a proxy that is listed asks, about services that it was given, whatever role it has', [
    `${decisions}/decision-desk.ts`,
    'proxy.services.has(name) ? ',
    "name !== '' ? ",
  ]),
  control('asker_standing', 'a proxy that is denied asks nothing more', [
    'packages/enforcement/src/identify.ts',
    'return standingProblem(leaf, current, dependencies.trust.now()) ?? { leaf, caller, current }',
    'return { leaf, caller, current }',
  ]),
  control('token', 'a token that is missing, for another audience, or not bound to the certificate, refuses', [
    `${decisions}/decision-desk.ts`,
    "credential: 'token',",
    "credential: 'certificate',",
  ]),
  control('forged_headers', 'what it says in another form, twice, or beside what is expected, is not read', [
    `${decisions}/proxy-kinds.ts`,
    'if (unexpected !== undefined)',
    "if (unexpected === 'never')",
  ]),
  control(
    'path',
    'a request that the proxy could read otherwise than we do is refused, and so is one that it does not describe',
    [
      `${decisions}/asked.ts`,
      'const read = readTarget(target)',
      "const read = { path: target.split('?')[0] ?? '', query: '' }",
    ],
  ),
  control(
    'host',
    'a request that the proxy could read otherwise than we do is refused, and so is one that it does not describe',
    [`${decisions}/asked.ts`, 'if (hostOf(asked.host) !== service.host)', "if (service.host === '')"],
  ),
  control(
    'tls',
    'a request that the proxy could read otherwise than we do is refused, and so is one that it does not describe',
    [`${decisions}/proxy-kinds.ts`, "headers[row.scheme] !== 'https'", "(headers[row.scheme] ?? 'https') !== 'https'"],
  ),
  control('address', 'the address is what the proxy has seen, not what its caller says or what the proxy has itself', [
    `${decisions}/proxy-kinds.ts`,
    'addressAt: -2',
    'addressAt: -1',
  ]),
  control('address_of_refusals', 'limits count for the caller and its address, as the proxy says them', [
    `${decisions}/decision-desk.ts`,
    'addressOf(asked.address) ?? own.connection.remoteAddress',
    'own.connection.remoteAddress',
  ]),
  control(
    'strangers',
    'what strangers send through a proxy is counted for their address, and neither spends nor names the proxy',
    [
      `${decisions}/decision-desk.ts`,
      '{ ...denial, caller: null }',
      "{ ...denial, caller: { id: asker.id, certificateFingerprint: '', certificateSerial: '' } }",
    ],
  ),
  control(
    'answers_unseen',
    'are refused for a service whose answers are read for secrets, which nobody here sees',
    [
      'packages/server/src/config/decisions-check.ts',
      'if (!output.redact) return []',
      'if (output !== null) return []',
    ],
    'test/unit/server/config-decisions.test.ts',
  ),
  control('removed', 'other rules count from the next question on, and are on record before', [
    'packages/server/src/apps/gateway-decisions.ts',
    'const rules = rulesOf(next)',
    'const rules = rulesOf(next.decisions === undefined ? settings : next)',
  ]),
  control(
    'standing_of_strangers',
    'what is known of a certificate is kept for those who were identified, and of strangers nothing',
    [`${decisions}/decision-desk.ts`, 'certificate === null || !standing.identified', 'certificate === null'],
    'test/unit/server/decision-desk.test.ts',
  ),
  control('unseen', 'what needs a human, or counts what is not seen here, is refused', [
    `${decisions}/decision-desk.ts`,
    'elsewhere: true,',
    '',
  ]),
  control('status', 'nginx is told no in a status that it passes on, and the true one beside it', [
    `${decisions}/proxy-kinds.ts`,
    'refusals === null || refusals.has(status) ? status : 403',
    'status',
  ]),
  control('word', 'a caller with certificate, token and role is let through, on record as the word of the proxy', [
    'packages/enforcement/src/identify.ts',
    "inbound.asker === undefined ? 'mtls-bound-token' : 'asserted-bound-token'",
    "'mtls-bound-token'",
  ]),
  grpc('route', 'what Envoy does not say refuses', [
    `${decisions}/grpc-decisions.ts`,
    "request.extensions.get(serviceExtension) ?? ''",
    "request.extensions.get(serviceExtension) ?? 'orders'",
  ]),
  grpc('twice', 'a header that is said twice is not chosen among', [
    `${decisions}/check-messages.ts`,
    'if (found.has(name))',
    "if (name === 'never')",
  ]),
  grpc('idle', 'a listener that is full closes what asks nothing, and not the connection over which Envoy asks', [
    'packages/enforcement/src/wire/listener.ts',
    'open++\n      this.#idle.delete(socket)',
    'open++',
  ]),
  grpc('kind', 'other proxies, strangers, other calls and what is too large get nothing over gRPC', [
    `${decisions}/grpc-decisions.ts`,
    "if (proxy.kind !== 'envoy')",
    "if (proxy.name === '')",
  ]),
  grpc('tls', 'what Envoy does not say refuses', [
    `${decisions}/grpc-decisions.ts`,
    "if (scheme !== 'https')",
    "if (scheme === 'never')",
  ]),
]
