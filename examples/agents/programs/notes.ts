/**
 * The MCP server: what people have noted, on the official SDK. It knows nothing of Doorward. The gateway starts it, and nobody but
 * the gateway can reach it: it listens nowhere.
 */

import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { fromJsonSchema, McpServer } from '@modelcontextprotocol/server'
import { StdioServerTransport } from '@modelcontextprotocol/server/stdio'

const file = process.env['NOTES_FILE'] ?? ''
const calls = process.env['NOTES_CALLS'] ?? ''
const server = new McpServer({ name: 'notes', version: '1' })
const about = fromJsonSchema<{ about: string }>({ type: 'object', properties: { about: { type: 'string' } } })
const answer = (text: string) => ({ content: [{ type: 'text' as const, text }] })

server.registerTool('read_notes', { description: 'What people have noted', inputSchema: about }, ({ about: word }) => {
  appendFileSync(calls, 'handled read_notes\n')
  const lines = readFileSync(file, 'utf8').split('\n')
  return answer(lines.filter((line) => line.includes(word)).join('\n'))
})
server.registerTool('drop_notes', { description: 'Forgets all notes' }, () => {
  appendFileSync(calls, 'handled drop_notes\n')
  writeFileSync(file, '')
  return answer('dropped')
})

await server.connect(new StdioServerTransport())
