import type { Attack } from './attack.ts'
import { refusedWith, resultOf } from './attack.ts'

/** The planner has only asked for a quote, and given a token that is good for that. Each hop may narrow it; none may widen it. */
export const widenedDelegation: Attack = {
  name: 'widened delegation',
  holds: 'the buyer, a token to look',
  tries: 'to order for the planner',
  run: async ({ shop, planner, buyer }) => {
    const onBehalfOf = await planner.token(shop.buyer, { scope: ['POST:buyer/quotes', 'read:stock/*'] })
    try {
      const answer = await buyer.fetch(`${shop.stock}/orders`, {
        method: 'POST',
        body: JSON.stringify({ item: 'lamps', count: 1000 }),
        expect: `spiffe://${buyer.trustDomain}/service/stock`,
        token: { onBehalfOf, scope: ['POST:stock/orders'] },
      })
      return resultOf(answer)
    } catch (error) {
      return refusedWith(error)
    }
  },
}
