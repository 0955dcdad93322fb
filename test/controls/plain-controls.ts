/** That nothing is said without TLS, with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'

const listener = 'packages/enforcement/src/wire/listener.ts'

export const plainControls: readonly Control[] = [
  {
    name: 'tls.enabled',
    test: { file: 'test/refusals/tls-handshake.test.ts', name: 'plain HTTP gets no HTTP answer' },
    edits: [
      {
        file: listener,
        from: "import { createServer } from 'node:https'",
        to: "import { createServer as createPlain } from 'node:http'\nimport { createServer } from 'node:https'",
      },
      // Whoever begins with a handshake gets TLS, everybody else an answer without.
      {
        file: listener,
        from: 'void startHandshake.call(server, socket))',
        to: `void socket.once('data', (first: Buffer) => {
        socket.pause()
        socket.unshift(first)
        if (first[0] === 22) return startHandshake.call(server, socket)
        createPlain((_, response) => response.writeHead(200, { Connection: 'close' }).end()).emit('connection', socket)
        socket.resume()
      }))`,
      },
    ],
  },
]
