import { openMcpClient, parseSpiffeId, systemRuntime } from '@doorward/sdk'
import type { Attack } from './attack.ts'
import { refusedWith } from './attack.ts'

/** Being inside is no permission: the buyer has no business with the notes, and nobody had to think of forbidding it. */
export const lateralMove: Attack = {
  name: 'lateral move',
  holds: 'the buyer',
  tries: 'to drop the notes',
  run: async ({ shop, buyer }) => {
    const expectedId = parseSpiffeId(`spiffe://${buyer.trustDomain}/doorward/gateway/main`)
    try {
      const client = await openMcpClient({
        fetch: buyer.identity,
        endpoint: { url: shop.notes, audience: shop.notes, expectedId },
        runtime: systemRuntime,
        client: { name: 'attacker', version: '1' },
      })
      const { ok } = await client.request('tools/call', { name: 'drop_notes', arguments: {} })
      await client.close()
      return { letThrough: ok, code: ok ? 'allowed' : 'refused', entry: null }
    } catch (error) {
      return refusedWith(error)
    }
  },
}
