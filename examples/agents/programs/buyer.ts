/**
 * `agent/buyer`, a worker: others call it, and it calls the stock for them. With its caller's token it gets one of its own
 * (RFC 8693), which says for whom it acts and can do no more than the caller's.
 */

import { text } from 'node:stream/consumers'
import { connect, protect } from '@doorward/sdk'
import { fromEnvironment, placeOf, untilStopped } from './shop.ts'
import type { Shop } from './shop.ts'
import { failureOf, orderIn, wishIn } from './wishes.ts'

export async function startBuyer(shop: Shop, tell: (line: string) => void): Promise<AsyncDisposable> {
  const place = placeOf(shop, 'agent/buyer')
  const identity = await connect({ ...place.identity, callee: true })
  const id = (path: string) => `spiffe://${identity.trustDomain}/${path}`
  const expect = id('service/stock')
  const server = await protect(
    async (request, response, { principal, route, token: onBehalfOf, signal }) => {
      tell(`handled ${request.method} ${request.url} of ${principal.presenter.uri}`)
      response.setHeader('content-type', 'application/json')
      const body = await text(request)
      const order = route === 'POST /quotes' ? wishIn(body) : orderIn(body)
      if (order === null) return end(400, JSON.stringify({ error: 'expected an item, and how many of it to buy' }))
      // For each call no more than it needs, and nobody goes on with it from the stock.
      const call = (scope: string) => ({ expect, token: { onBehalfOf, scope: [scope], mayAct: [] }, signal })
      const url = `${shop.stock}/stock/${encodeURIComponent(order.item)}`
      const looked = await identity.fetch(url, call('read:stock/*'))
      if (looked.status !== 200 || route === 'POST /quotes') return pass('the look', looked)
      const more = { method: 'POST', body: JSON.stringify(order) }
      return pass('the order', await identity.fetch(`${shop.stock}/orders`, { ...call('POST:stock/orders'), ...more }))

      async function pass(what: string, answer: Response): Promise<void> {
        if (answer.status === 200) return end(200, await answer.text())
        end(502, JSON.stringify(failureOf(what, answer)))
      }

      function end(status: number, document: string): void {
        response.statusCode = status
        response.end(document)
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
