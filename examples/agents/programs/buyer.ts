/**
 * `agent/buyer`, a worker: others call it, and it calls the stock for them. With its caller's token it gets one of its own
 * (RFC 8693), which says for whom it acts and can do no more than the caller's.
 */

import { text } from 'node:stream/consumers'
import { connect, protect } from '@doorward/sdk'
import { fromEnvironment, placeOf, untilStopped } from './shop.ts'
import type { Shop } from './shop.ts'

export async function startBuyer(shop: Shop, tell: (line: string) => void): Promise<AsyncDisposable> {
  const place = placeOf(shop, 'agent/buyer')
  const identity = await connect({ ...place.identity, callee: true })
  const id = (path: string) => `spiffe://${identity.trustDomain}/${path}`
  const expect = id('service/stock')
  const server = await protect(
    async (request, response, { principal, route, token: onBehalfOf, signal }) => {
      tell(`handled ${request.method} ${request.url} of ${principal.presenter.uri}`)
      const { item, count } = JSON.parse(await text(request)) as { readonly item: string; readonly count: number }
      const call = { expect, token: { onBehalfOf }, signal }
      const looked = await identity.fetch(`${shop.stock}/stock/${item}`, call)
      if (looked.status !== 200 || route === 'POST /quotes') return pass(looked)
      const body = JSON.stringify({ item, count })
      return pass(await identity.fetch(`${shop.stock}/orders`, { ...call, method: 'POST', body }))

      async function pass(answer: Response): Promise<void> {
        response.statusCode = answer.status === 200 ? 200 : 502
        response.end(await answer.text())
      }
    },
    {
      identity,
      audience: shop.buyer,
      listen: { host: '127.0.0.1', port: Number(new URL(shop.buyer).port) },
      service: 'buyer',
      routes: ['POST /quotes', 'POST /purchases'],
      policy: {
        roles: { customer: ['POST:buyer/*'] },
        bindings: [
          { role: 'customer', workloads: [id('agent/planner'), id('laptop/alice')] },
          { role: 'customer', issuer: shop.issuer, groups: ['purchasing'] },
        ],
      },
      record: place.record,
    },
  )
  return {
    [Symbol.asyncDispose]: async () => {
      await server.close(1000)
      await identity.close()
    },
  }
}

if (import.meta.main) {
  const running = await startBuyer(fromEnvironment(), console.log)
  console.log('listening')
  await untilStopped(running)
}
