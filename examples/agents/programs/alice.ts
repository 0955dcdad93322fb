/**
 * `laptop/alice`: the program with which a person works. She signs in at the company's provider; what it calls then is called for
 * her, and everybody down the chain knows for whom.
 */

import { connect, Secret } from '@doorward/sdk'
import type { ConnectedIdentity } from '@doorward/sdk'
import { fromEnvironment, placeOf } from './shop.ts'
import type { Shop } from './shop.ts'

/** `provider`: where she signs in. In earnest this is a browser, and a client that the provider knows (docs/login.md). */
export async function signedIn(shop: Shop, provider: string): Promise<ConnectedIdentity> {
  const identity = await connect({
    ...placeOf(shop, 'laptop/alice').identity,
    forPerson: true,
  })
  await identity.signIn(async (nonce) => {
    const answer = await fetch(`${provider}/sign-in`, {
      method: 'POST',
      body: JSON.stringify({ person: 'alice', nonce }),
    })
    return new Secret(await answer.text())
  })
  return identity
}

export async function giveTask(identity: ConnectedIdentity, shop: Shop, item: string): Promise<Response> {
  const expect = `spiffe://${identity.trustDomain}/agent/planner`
  return identity.fetch(`${shop.planner}/tasks`, { method: 'POST', body: JSON.stringify({ item }), expect })
}

if (import.meta.main) {
  const shop = fromEnvironment()
  await using identity = await signedIn(shop, process.env['PROVIDER'] ?? '')
  const answer = await giveTask(identity, shop, 'lamps')
  console.log(answer.status, await answer.text())
}
