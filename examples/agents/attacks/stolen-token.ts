import type { Attack } from './attack.ts'
import { rawCall } from './raw-call.ts'

/** A token says to which certificate it was given (RFC 8705): on any other connection it is nothing. */
export const stolenToken: Attack = {
  name: 'stolen token',
  holds: 'a token of the planner',
  tries: 'to read the stock as the planner',
  run: async ({ shop, planner, intern }) => {
    const token = await planner.token(shop.stock)
    const headers = { authorization: `Bearer ${token.reveal()}` }
    return rawCall(`${shop.stock}/stock/lamps`, intern.identity.material(), { headers })
  },
}
