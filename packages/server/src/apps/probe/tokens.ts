/** Attempts with tokens: forged, of others, for others, and in places where none belongs. */

import { createPublicKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { DoorwardError } from '@doorward/core'
import { refusedBy } from './attempt.ts'
import type { Attempt } from './attempt.ts'
import { forgedTokens } from './forged-tokens.ts'
import { requestOf } from './request.ts'
import type { Changes } from './request.ts'
import type { Scene } from './scene.ts'

export async function tokenAttempts(scene: Scene): Promise<readonly Attempt[]> {
  const good = await scene.caller.token()
  const forged = forgedTokens(good, publishedKey(scene, good)).map(({ name, text, codes }, index): Attempt => {
    const id = `token-forged-${String(index + 1).padStart(2, '0')}`
    return attempt(scene, { id, title: `a token ${name}`, codes }, text)
  })
  return [...forged, ...misplaced(scene, good), ...(await borrowed(scene))]
}

/** The key that verifies the token, as everybody who verifies one has it. */
function publishedKey({ caller }: Scene, token: string): KeyObject {
  const header = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString('utf8')) as unknown
  const { kid } = header as { readonly kid?: unknown }
  const found = caller.identity.trustStore.view()?.state.tokenKeys.find((key) => key.kid === kid)
  if (found !== undefined) return createPublicKey({ key: { ...found.jwk }, format: 'jwk' })
  throw new DoorwardError('token_key_unknown', 'the trust state has no key for a token that was just given', {
    expected: String(kid),
    next: 'doorward doctor',
  })
}

interface Named {
  readonly id: string
  readonly title: string
  readonly codes: readonly string[]
  readonly requirement?: string
}

function attempt(
  scene: Scene,
  { id, title, codes, requirement = 'OS25-D3' }: Named,
  token: string,
  changes: Changes = {},
): Attempt {
  return {
    id,
    kind: 'token',
    title,
    requirement,
    run: async () => refusedBy(await scene.send(scene.caller.material(), requestOf(scene, token, changes)), codes),
  }
}

function misplaced(scene: Scene, good: string): readonly Attempt[] {
  const rows: readonly (readonly [id: string, title: string, changes: Changes, code?: string])[] = [
    ['none', 'no token at all', { token: null }],
    ['basic', 'a token as a password (Basic)', { token: `Basic ${Buffer.from(`x:${good}`).toString('base64')}` }],
    ['dpop', 'a token as if it were bound to a proof (DPoP)', { token: `DPoP ${good}` }],
    ['no-scheme', 'a token without its scheme', { token: good }],
    ['no-value', 'the scheme without a token', { token: 'Bearer' }],
    ['two-in-one', 'two tokens in one header', { token: `Bearer ${good}, Bearer ${good}` }, 'token_malformed'],
    ['two-headers', 'two headers with a token', { more: [['Authorization', `Bearer ${good}`]] }, 'header_duplicate'],
    ['query', 'a token in the query', { token: null, target: `${scene.path}?access_token=${good}` }],
    ['cookie', 'a token in a cookie', { token: null, headers: { Cookie: `access_token=${good}` } }],
    [
      'x-header',
      'a token in a header that proxies set',
      { token: null, headers: { 'X-Forwarded-Access-Token': good } },
    ],
  ]
  return rows.map(([id, title, changes, code = 'token_missing']) =>
    attempt(scene, { id: `token-place-${id}`, title, codes: [code], requirement: 'OS25-D2' }, good, changes),
  )
}

async function borrowed(scene: Scene): Promise<readonly Attempt[]> {
  const { caller, other, options } = scene
  const rows: readonly (readonly [id: string, title: string, token: string, codes: readonly string[]])[] = [
    ['other', "another workload's token with one's own certificate", await other.token(), ['token_binding']],
    ['gateway', 'a token for the gateway itself', await caller.token(options.url), ['token_audience']],
    ['authority', 'a token for the authority', await caller.token(options.authorityUrl), ['token_audience']],
  ]
  return rows.map(([id, title, token, codes]) =>
    attempt(scene, { id: `token-of-${id}`, title, codes, requirement: 'OS25-ASM-4' }, token),
  )
}
