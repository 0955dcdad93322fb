import type { Identity } from '@doorward/sdk'
import { DoorwardError, parseSpiffeId } from '@doorward/sdk'
import type { Attack, Loot, Result } from './attack.ts'

/**
 * `Doorward-Principal` is how a sidecar tells its program who calls. From a caller it is a header like any other, and goes no further:
 * the buyer may call, but the program writes no letters for programs.
 */
export const forgedHeader: Attack = {
  name: 'forged header',
  holds: 'the buyer',
  tries: 'to have a letter written as alice',
  run: (loot) => forgedLetter(loot, loot.buyer.identity),
}

/** The gateway's word about who calls is nobody's but its own. */
export const gatewayAsserts: Attack = {
  name: 'compromised gateway: assertion',
  holds: 'the gateway',
  tries: 'to have a letter written as alice',
  run: (loot) => forgedLetter(loot, loot.gateway),
}

async function forgedLetter({ shop }: Loot, caller: Identity): Promise<Result> {
  const claims = { sub: `${shop.issuer}#alice`, client_id: `spiffe://${caller.trustDomain}/agent/planner` }
  const forged = [{ alg: 'ES256', typ: 'doorward-principal+jwt' }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  )
  const { status, headers, body } = await caller.call(`${shop.writer}/letters`, {
    method: 'POST',
    headers: { 'doorward-principal': `${forged.join('.')}.AAAA` },
    body: JSON.stringify({ item: 'lamps' }),
    audience: shop.writer,
    expectedId: parseSpiffeId(`spiffe://${caller.trustDomain}/agent/writer`),
  })
  body.resume()
  const [code, entry] = [headers['doorward-code'], headers['doorward-decision']]
  if (typeof code !== 'string' || typeof entry !== 'string')
    throw new DoorwardError('attack_failed', 'no answer of ours')
  // Where the call was allowed, it is the program that has refused.
  return { letThrough: status === 200, code: code === 'allowed' && status !== 200 ? `HTTP ${status}` : code, entry }
}
