/**
 * `agent/planner`: a person gives it a task, and it has others do it: reads what people have noted (an MCP server behind the
 * gateway), has the buyer buy, and the writer write. Each gets a token that is good there alone, and for no more than it needs.
 */

import { text } from 'node:stream/consumers'
import { connect, openMcpClient, parseSpiffeId, protect, systemRuntime } from '@doorward/sdk'
import type { ConnectedIdentity, McpAnswer, Secret } from '@doorward/sdk'
import { fromEnvironment, placeOf, untilStopped } from './shop.ts'
import type { Shop } from './shop.ts'
import { failureOf, wishIn } from './wishes.ts'

/** What the buyer may do with the planner's token: this much, and whatever is narrower. */
export const purchaseScope = ['POST:buyer/purchases', 'read:stock/*', 'POST:stock/orders']
/** What the gateway may be asked with it, and nobody goes on with it from there. */
const notesToken = { scope: ['read:notes/*'], mayAct: [] }

export async function startPlanner(shop: Shop, tell: (line: string) => void): Promise<AsyncDisposable> {
  const place = placeOf(shop, 'agent/planner')
  const identity = await connect({ ...place.identity, callee: true })
  const id = (path: string) => `spiffe://${identity.trustDomain}/${path}`
  const server = await protect(
    async (request, response, { principal, token: onBehalfOf, signal }) => {
      tell(`handled ${request.method} ${request.url} of ${principal.presenter.uri}`)
      response.setHeader('content-type', 'application/json')
      const task = wishIn(await text(request))
      if (task === null) return end(400, { error: 'expected the name of an item' })
      const { item } = task
      const read = await readNotes({ identity, shop, onBehalfOf }, item)
      if (!read.ok) return end(502, { error: 'the notes failed', code: read.decision?.code ?? null })
      const purchase = await identity.fetch(`${shop.buyer}/purchases`, {
        method: 'POST',
        body: JSON.stringify({ item, count: 10 }),
        expect: id('agent/buyer'),
        token: { onBehalfOf, scope: purchaseScope, mayAct: [id('agent/buyer')] },
        signal,
      })
      if (purchase.status !== 200) return end(502, failureOf('the purchase', purchase))
      const letter = await identity.fetch(`${shop.writer}/letters`, {
        method: 'POST',
        body: JSON.stringify({ item }),
        expect: id('agent/writer'),
        token: { onBehalfOf, scope: ['POST:writer/letters'], mayAct: [] },
        signal,
      })
      if (letter.status !== 200) return end(502, failureOf('the letter', letter))
      const [bought, written] = (await Promise.all([purchase.json(), letter.json()])) as readonly object[]
      return end(200, { notes: read.result['content'], ...bought, ...written })

      function end(status: number, answer: object): void {
        response.statusCode = status
        response.end(JSON.stringify(answer))
      }
    },
    {
      identity,
      audience: shop.planner,
      listen: { host: '127.0.0.1', port: Number(new URL(shop.planner).port) },
      service: 'planner',
      routes: ['POST /tasks'],
      policy: {
        roles: { colleague: ['POST:planner/tasks'] },
        bindings: [
          { role: 'colleague', workloads: [id('laptop/alice')] },
          { role: 'colleague', issuer: shop.issuer, groups: ['purchasing'] },
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

interface Reading {
  readonly identity: ConnectedIdentity
  readonly shop: Shop
  readonly onBehalfOf: Secret
}

/** Any MCP client will do that can be given its `fetch`; the SDK brings a small one. */
async function readNotes({ identity, shop, onBehalfOf }: Reading, about: string): Promise<McpAnswer> {
  const client = await openMcpClient({
    fetch: {
      call: (url, options) => identity.identity.call(url, { ...options, token: { onBehalfOf, ...notesToken } }),
    },
    endpoint: {
      url: shop.notes,
      audience: shop.notes,
      expectedId: parseSpiffeId(`spiffe://${identity.trustDomain}/doorward/gateway/main`),
    },
    runtime: systemRuntime,
    client: { name: 'planner', version: '1' },
  })
  try {
    return await client.request('tools/call', { name: 'read_notes', arguments: { about } })
  } finally {
    await client.close()
  }
}

if (import.meta.main) {
  const running = await startPlanner(fromEnvironment(), console.log)
  console.log('listening')
  await untilStopped(running)
}
