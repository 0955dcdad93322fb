/** What the edge hangs on, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

const identify = 'packages/enforcement/src/identify-edge.ts'
const use = 'packages/enforcement/src/proof-use.ts'
const proof = 'packages/core/src/token/dpop.ts'
const keys = 'packages/core/src/token/public-jwk.ts'
const edge = 'packages/server/src/transports/edge.ts'
const tokens = 'test/refusals/edge-tokens.test.ts'
const live = 'test/refusals/edge-live.test.ts'
const guard = 'test/contract/replay-guard-memory.test.ts'
const http = 'test/refusals/edge-http.test.ts'

function control(name: string, [file, test]: readonly [string, string], ...edits: readonly Edit[]): Control {
  return { name, edits, test: { file, name: test } }
}

const spent = 'RP-5: when no more proofs can be remembered, none is accepted'

const changed = 'test/refusals/edge-changed.test.ts'
const reloaded = 'test/scenarios/edge-reload.test.ts'

export const edgeControls: readonly Control[] = [
  control('edge.changed.streams', [changed, 'a stream ends when its issuer is taken away'], {
    file: 'packages/enforcement/src/pipeline.ts',
    from: 'this.open.endWhere((identified) => this.edgeProblem(identified))',
    to: 'void this.open',
  }),
  control('edge.changed.waiting', [changed, 'a call that waits while its issuer is taken away goes nowhere'], {
    file: 'packages/enforcement/src/pipeline.ts',
    from: 'if (refused !== null) return refused',
    to: "if (refused?.code === 'internal') return refused",
  }),
  control('edge.changed.memory', [changed, 'a proof that was used before a change is not used again after it'], {
    file: 'packages/server/src/apps/gateway-edge.ts',
    from: 'const kept = before?.proofs ?? {',
    to: 'const kept = {',
  }),
  control(
    'edge.reload.issuers',
    [reloaded, 'an issuer that is added is believed at the next request, and one that is taken away at none'],
    {
      file: 'packages/server/src/apps/gateway-change.ts',
      from: 'quotas, kept, edge: edge?.rules ?? null })',
      to: 'quotas, kept, edge: pipeline.dependencies.edge ?? null })',
    },
  ),
  control('edge.clients', [tokens, 'a token of a client that is not listed is refused'], {
    file: 'packages/server/src/config/edge-settings.ts',
    from: 'listed ?? (unlistedClients ? unlistedClient : null)',
    to: 'listed ?? unlistedClient',
  }),
  control(
    'edge.servers',
    [http, 'a server that is not served at the edge is not there, with the best of credentials'],
    {
      file: edge,
      from: 'audienceOf: (name) => (servers.has(name) ? this.#resourceOf(name) : null),',
      to: 'audienceOf: (name) => this.#resourceOf(name),',
    },
    { file: identify, from: 'if (!edge.resources.has(inbound.audience))', to: "if (inbound.audience === '')" },
  ),
  control(
    'edge.waited',
    [
      live,
      'a call that has waited for its approval longer than its token is good does not leave, and the approval is not used',
    ],
    {
      file: 'packages/enforcement/src/edge-standing.ts',
      from: 'now < principal.expires + LEEWAY_SECONDS',
      to: 'now < principal.expires + 100 * LEEWAY_SECONDS',
    },
  ),
  control('edge.bearer', [tokens, 'a bearer token is refused where bearer tokens are off'], {
    file: identify,
    from: "if (bearer) return { scheme: 'bearer'",
    to: "if (bearer || token !== '') return { scheme: 'bearer'",
  }),
  control('edge.downgrade', [live, 'a token that is bound to a key is refused as a bearer token all the same'], {
    file: identify,
    from: "if (scheme === 'bearer' && boundTo !== null)",
    to: "if (scheme === 'bearer' && boundTo === '')",
  }),
  control('edge.unbound', [tokens, 'a token that is bound to no key, shown with a proof is refused'], {
    file: identify,
    from: "if (scheme === 'dpop' && boundTo === null)",
    to: "if (scheme === 'dpop' && boundTo === '')",
  }),
  control('edge.query', [tokens, 'a token in the query is refused, and nothing of it is on the record'], {
    file: edge,
    from: 'if (holdsToken(head.query))',
    to: "if (head.query === 'x' && holdsToken(head.query))",
  }),
  control('edge.denied_clients', [live, 'a client at the edge that is denied is refused'], {
    file: 'packages/enforcement/src/withdrawal.ts',
    from: 'const issuedBefore = view.deniedIdentities.get(presenter.uri)\n  if (issuedBefore === undefined ||',
    to: "const issuedBefore = view.deniedIdentities.get(presenter.uri)\n  if (presenter.uri !== '' || issuedBefore === undefined ||",
  }),
  control('edge.stream_expiry', [live, 'a stream ends with the token that opened it'], {
    file: 'packages/server/src/transports/streamable-http.ts',
    from: "caller.certificateFingerprint === '' && caller.expires <= now",
    to: "caller.certificateFingerprint === '' && caller.expires <= 0",
  }),
  control('edge.limit_user', [live, 'the limit per user is that of the person, whatever client it is'], {
    file: identify,
    from: 'const limited = () => takeUser(name, caller, dependencies)',
    to: 'const limited = () => takeUser(`${name}${Math.random()}`, caller, dependencies)',
  }),
  control('edge.scopes', [live, 'a call that policy allows needs a scope that covers it, with all that is needed'], {
    file: 'packages/enforcement/src/authorize.ts',
    from: 'identified.scopes === undefined ? null : missingScope(identified.scopes, asked)',
    to: 'identified.scopes === undefined ? null : missingScope([...identified.scopes, `${asked.resource.server}:admin`], asked)',
  }),
  control(
    'edge.preflight_origins',
    [http, 'of any other origin are refused, with a token and without, and told nothing'],
    {
      file: 'packages/enforcement/src/wire/request-head.ts',
      from: 'if (origin === undefined || origins.has(origin)) return null',
      to: 'if (origin === undefined || origins.size > 0) return null',
    },
  ),
  control('dpop.key', [tokens, 'a proof by another key than the token is bound to is refused'], {
    file: proof,
    from: 'if (token !== null && thumbprint !== boundTo)',
    to: "if (token !== null && thumbprint === '' && thumbprint !== boundTo)",
  }),
  control('dpop.signature', [tokens, 'a proof by one key that says it is by another is refused'], {
    file: proof,
    from: 'if (!key.verify(parts.signed, parts.signature))',
    to: 'if (parts.signature.length === 0)',
  }),
  control('dpop.method', [tokens, 'a proof for another method is refused'], {
    file: proof,
    from: 'if (claims.htm !== expected.method)',
    to: "if (claims.htm === '' && claims.htm !== expected.method)",
  }),
  control('dpop.url', [tokens, 'a proof for the path of another server is refused'], {
    file: proof,
    from: 'if (url === null || url !== normalUrl(expected.url))',
    to: 'if (url === null)',
  }),
  control('dpop.token', [tokens, 'a proof for another token is refused'], {
    file: proof,
    from: 'if (claims.ath !== ath)',
    to: "if (claims.ath === '')",
  }),
  control('dpop.time', [live, 'a proof that is older than a minute is refused'], {
    file: proof,
    from: 'return Math.abs(expected.now - claims.iat) <= skew ?',
    to: 'return Math.abs(expected.now - claims.iat) <= skew * 1_000_000 ?',
  }),
  control('dpop.private_keys', [tokens, 'a proof with a private key is refused'], {
    file: keys,
    from: 'members.includes(name) || ABOUT.has(name)',
    to: "members.includes(name) || name !== ''",
  }),
  control('dpop.once', [tokens, 'a proof that is used a second time is refused'], {
    file: 'packages/server/src/state/memory-replay-guard.ts',
    from: "if (known !== undefined && known >= now) return 'seen'",
    to: "if (known !== undefined && known < 0) return 'seen'",
  }),
  control('dpop.bounded', [guard, 'RP-5: a full table refuses, and forgets nothing that is still good'], {
    file: 'packages/server/src/state/memory-replay-guard.ts',
    from: "if (known === undefined && !this.#hasRoom(now)) return 'full'",
    to: 'if (known === undefined && !this.#hasRoom(now)) this.#used.clear()',
  }),
  control('dpop.full', [live, spent], {
    file: use,
    from: "      case 'full':\n        return deny('dpop_unavailable', 'no more proofs can be remembered now', { ...by, retryAfterSeconds: 1 })",
    to: "      case 'full':\n        return null",
  }),
  control('dpop.nonce', [tokens, 'a proof without a nonce is refused'], {
    file: use,
    from: "if (nonceRequired) return deny('dpop_nonce', 'the proof has no nonce')",
    to: "if (nonceRequired && claims.jti === '') return deny('dpop_nonce', 'the proof has no nonce')",
  }),
  control(
    'dpop.nonce_of_this_process',
    [live, 'RP-4: a proof that one gateway has accepted is refused by another, which shares nothing with it'],
    {
      file: 'packages/server/src/state/sealed-nonces.ts',
      from: 'readonly #key = randomBytes(KEY_BYTES)',
      to: 'readonly #key = randomBytes(KEY_BYTES).fill(0)',
    },
  ),
  control('dpop.boot_fence', [live, 'RP-6: a proof from before the start is refused'], {
    file: use,
    from: 'if (claims.iat <= since)',
    to: 'if (claims.iat <= 0)',
  }),
]
