/** The server of the variants that start one: one JSON message per line, answered as fast as it can be. */

import { createInterface } from 'node:readline'

const text = 'The quick brown fox jumps over the lazy dog. '.repeat(3).trim()
const content = `"result":{"content":[{"type":"text","text":"${text}"}]}}\n`
const result = {
  protocolVersion: '2025-11-25',
  capabilities: { tools: {} },
  serverInfo: { name: 'bench', version: '1' },
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const id = /"id":("[^"]*"|\d+)/.exec(line)?.[1]
  if (id === undefined) return
  const answer = line.includes('"method":"initialize"')
    ? `{"jsonrpc":"2.0","id":${id},"result":${JSON.stringify(result)}}\n`
    : `{"jsonrpc":"2.0","id":${id},${content}`
  process.stdout.write(answer)
})
