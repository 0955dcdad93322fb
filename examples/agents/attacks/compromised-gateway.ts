import type { Attack } from './attack.ts'
import { refusedWith } from './attack.ts'
import { rawCall } from './raw-call.ts'

/** Whoever protects itself asks the gateway for nothing: the gateway's word about who calls does not count there. */
export const gatewayReplaysToken: Attack = {
  name: 'compromised gateway: token',
  holds: 'the gateway, a token of the planner',
  tries: 'to call the buyer as the planner',
  run: async ({ shop, planner, gateway }) => {
    const token = await planner.token(shop.buyer)
    return rawCall(`${shop.buyer}/quotes`, gateway.material(), {
      method: 'POST',
      headers: { authorization: `Bearer ${token.reveal()}` },
      body: JSON.stringify({ item: 'lamps', count: 1 }),
    })
  },
}

/** What callers show at the gateway is for the servers behind it: it can be exchanged for nothing. */
export const gatewayExchanges: Attack = {
  name: 'compromised gateway: exchange',
  holds: 'the gateway, a token of the planner',
  tries: 'to exchange it for the buyer',
  run: async ({ shop, planner, gateway }) => {
    const onBehalfOf = await planner.token(shop.notes)
    return gateway
      .token(shop.buyer, { onBehalfOf })
      .then(() => ({ letThrough: true, code: 'allowed', entry: null }), refusedWith)
  },
}
