/** What tokens of the front hang on at the edge, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

const token = 'packages/core/src/token/front-token.ts'
const refusals = 'test/refusals/edge-front.test.ts'
const sightings = 'test/unit/enforcement/sightings.test.ts'

function control(name: string, test: string, ...edits: readonly Edit[]): Control {
  return { name, edits, test: { file: refusals, name: test } }
}

export const edgeFrontControls: readonly Control[] = [
  control('front.token.resource', 'a token of the front for another server is refused', {
    file: token,
    from: 'if (aud !== audience)',
    to: "if (aud === '')",
  }),
  control('front.token.life', 'a token of the front that lives too long is refused', {
    file: token,
    from: "if (lifetime <= 0 || lifetime > tokenLimits.lifetimeSeconds)\n    return refuse('token_lifetime'",
    to: "if (lifetime <= 0)\n    return refuse('token_lifetime'",
  }),
  control('front.token.expiry', 'a token of the front that has expired is refused', {
    file: token,
    from: 'if (now >= exp + leeway)',
    to: 'if (now < 0)',
  }),
  control(
    'front.token.kind_at_the_edge',
    'a token of a workload is refused at the edge, also if it says it is of the front',
    {
      file: token,
      from: "if (typeof claims === 'string') return refuse('token_claims', claims)",
      to: "if (typeof claims === 'string') return factsOf(payload.value as unknown as FrontTokenClaims, signed.keyId)",
    },
  ),
  control(
    'front.token.kind_elsewhere',
    'a token of the front is refused where callers have a certificate, also if it says it is of the authority',
    {
      file: 'packages/core/src/token/verify.ts',
      from: "if (typeof claims === 'string') return refuse('token_claims', claims)",
      to: "if (typeof claims === 'string') return { ok: true, claims: payload.value as unknown as AccessTokenClaims, keyId: signed.keyId }",
    },
  ),
  control(
    'front.token.epoch',
    'a token of the front of an earlier epoch is refused',
    { file: token, from: 'claims[epochClaim] >= epoch ? null', to: 'claims[epochClaim] >= 0 ? null' },
    {
      file: 'packages/enforcement/src/identify-edge.ts',
      from: 'const { keyId, epoch } = issued.own ?? { keyId: null, epoch: null }',
      to: 'const { keyId, epoch } = { keyId: null, epoch: null }',
    },
  ),
  control('front.token.epoch_under_way', 'what is under way with a token of the front ends with the epoch', {
    file: 'packages/enforcement/src/identify-edge.ts',
    from: 'const { keyId, epoch } = issued.own ?? { keyId: null, epoch: null }',
    to: 'const { keyId, epoch } = { keyId: null, epoch: null }',
  }),
  control('front.token.provider', 'a token of the front for a person of another provider is refused', {
    file: 'packages/server/src/issuers/front-tokens.ts',
    from: 'if (issued.user.issuer !== provider)',
    to: "if (issued.user.issuer === '')",
  }),
  control('front.token.denied_clients', 'a client of the front that is denied is refused', {
    file: 'packages/enforcement/src/withdrawal.ts',
    from: 'const atEdge = token !== null && certificate === null',
    to: 'const atEdge = token?.keyId === null',
  }),
  control('front.token.clients', 'both are named, ours first, and a client of the front is none of theirs', {
    file: 'packages/server/src/config/edge-settings.ts',
    from: 'const own = ofFront && clientId !== null ?',
    to: 'const own = clientId !== null ?',
  }),
  {
    name: 'front.token.sightings',
    edits: [
      {
        file: 'packages/enforcement/src/sightings.ts',
        from: '? this.#frontToken(inbound, denial, view)',
        to: '? null',
      },
    ],
    test: { file: sightings, name: 'DT-1: at the edge a token that the front does not make is a sighting of its key' },
  },
]
