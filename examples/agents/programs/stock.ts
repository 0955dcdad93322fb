/**
 * `service/stock`, an internal HTTP service: what is in the shop, and orders for more. It protects itself: whoever has called, for
 * whomever, needs a role here, everybody between included.
 */

import { text } from 'node:stream/consumers'
import { connect, protect } from '@doorward/sdk'
import { fromEnvironment, placeOf, untilStopped } from './shop.ts'
import type { Shop } from './shop.ts'
import { orderIn } from './wishes.ts'

/** So much room there is. */
const MOST_ITEMS = 1000
const MOST_STORED = 1_000_000

export async function startStock(shop: Shop, tell: (line: string) => void): Promise<AsyncDisposable> {
  const place = placeOf(shop, 'service/stock')
  const identity = await connect({ ...place.identity, callee: true })
  const id = (path: string) => `spiffe://${identity.trustDomain}/${path}`
  const chain = [id('agent/buyer'), id('agent/planner'), id('laptop/alice')]
  const stored = new Map([
    ['lamps', 2],
    ['chairs', 12],
  ])
  const server = await protect(
    async (request, response, { principal, route }) => {
      tell(`handled ${request.method} ${request.url} of ${principal.presenter.uri}`)
      response.setHeader('content-type', 'application/json')
      if (route === 'GET /stock/{item}') {
        const item = itemIn(request.url ?? '')
        if (item === null) return end(400, { error: 'expected the name of an item' })
        return end(200, { item, stored: stored.get(item) ?? 0 })
      }
      const order = orderIn(await text(request))
      if (order === null) return end(400, { error: 'expected an item, and how many of it to order' })
      const { item, count } = order
      const now = (stored.get(item) ?? 0) + count
      if (now > MOST_STORED || (stored.size >= MOST_ITEMS && !stored.has(item)))
        return end(409, { error: 'there is no room for that' })
      stored.set(item, now)
      return end(200, { item, ordered: count })

      function end(status: number, answer: object): void {
        response.statusCode = status
        response.end(JSON.stringify(answer))
      }
    },
    {
      identity,
      audience: shop.stock,
      listen: { host: '127.0.0.1', port: Number(new URL(shop.stock).port) },
      service: 'stock',
      routes: ['GET /stock/{item}', 'POST /orders'],
      policy: {
        roles: { looks: ['read:stock/*'], orders: ['read:stock/*', 'POST:stock/orders'] },
        bindings: [
          { role: 'looks', workloads: [id('agent/writer')] },
          { role: 'orders', workloads: chain },
          // A person needs a role as well: being carried along the chain is not enough.
          { role: 'orders', issuer: shop.issuer, groups: ['purchasing'] },
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

/** What the path names, without the query. Null for what no caller of ours writes. */
function itemIn(target: string): string | null {
  const [path = ''] = target.split('?')
  try {
    return decodeURIComponent(path.split('/')[2] ?? '')
  } catch {
    return null
  }
}

if (import.meta.main) {
  const running = await startStock(fromEnvironment(), console.log)
  console.log('listening')
  await untilStopped(running)
}
