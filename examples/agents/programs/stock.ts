/**
 * `service/stock`, an internal HTTP service: what is in the shop, and orders for more. It protects itself: whoever has called, for
 * whomever, needs a role here, everybody between included.
 */

import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect, protect } from '@doorward/sdk'
import { fromEnvironment, placeOf, untilStopped } from './shop.ts'
import type { Shop } from './shop.ts'

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
        const item = request.url?.split('/')[2] ?? ''
        return void response.end(JSON.stringify({ item, stored: stored.get(item) ?? 0 }))
      }
      const { item, count } = (await bodyOf(request)) as { readonly item: string; readonly count: number }
      stored.set(item, (stored.get(item) ?? 0) + count)
      response.end(JSON.stringify({ item, ordered: count }))
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

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = ''
  request.setEncoding('utf8').on('data', (part: string) => (text += part))
  await once(request, 'end')
  return JSON.parse(text)
}

if (import.meta.main) {
  const running = await startStock(fromEnvironment(), console.log)
  console.log('listening')
  await untilStopped(running)
}
