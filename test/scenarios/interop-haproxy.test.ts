/** A TLS server that is not ours: HAProxy with an SVID of its own, the anchors, and a revocation list. */

import { deepEqual, equal } from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { connect } from 'node:tls'
import { freePorts } from '../fixtures/deployment.ts'
import { runHaproxy } from '../fixtures/haproxy.ts'
import { hasTool } from '../fixtures/outside-tools.ts'
import { InteropStage, alertOf, parties } from './interop-stage.ts'
import type { Party, Presented } from './interop-stage.ts'

let stage: InteropStage

before(async () => {
  stage = await InteropStage.open()
})
after(() => stage.close())

/** Answers every request with the serial number of the caller's certificate. */
function configuration(folder: string, port: number, list: string): string {
  const file = (name: string) => join(folder, name)
  return `global
  ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
  mode http
  timeout connect 5s
  timeout client 10s
  timeout server 10s
frontend callers
  bind 127.0.0.1:${port} ssl crt ${file('valid.pem')} ca-file ${file('anchors.pem')} verify required crl-file ${file(list)}
  http-request return status 200 content-type text/plain lf-string "%[ssl_c_serial,hex,lower]"
`
}

/** What HAProxy says to the caller: the serial that it saw, or the alert by which it ended the handshake. */
async function ask(port: number, presented: Presented | null): Promise<string> {
  const own = presented === null ? {} : { cert: presented.cert, key: presented.key }
  const socket = connect({ host: '127.0.0.1', port, ca: stage.anchors, servername: 'valid.localhost', ...own })
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  return (await alertOf(socket)) ?? text.split('\r\n\r\n')[1] ?? ''
}

async function answers(list: string): Promise<Readonly<Record<Party | 'nobody', string>> | null> {
  const [port = 0] = await freePorts(1)
  const haproxy = await runHaproxy(configuration(stage.folder, port, list), port)
  if (haproxy === null) return null
  try {
    const got = { nobody: await ask(port, null) } as Record<Party | 'nobody', string>
    for (const party of parties) got[party] = await ask(port, stage.parties[party])
    return got
  } finally {
    await haproxy.close()
  }
}

describe('X5-7, RV-7: HAProxy as a server', () => {
  test('accepts the valid, and refuses expired, foreign, revoked and nobody, each for its reason', async (t) => {
    if (!hasTool(t, 'haproxy')) return
    deepEqual(await answers('revoked.crl'), {
      valid: stage.parties.valid.serial,
      expired: 'CERTIFICATE_EXPIRED',
      foreign: 'UNKNOWN_CA',
      revoked: 'CERTIFICATE_REVOKED',
      nobody: 'CERTIFICATE_REQUIRED',
    })
  })

  test('accepts by an empty list whom the other list revokes', async (t) => {
    if (!hasTool(t, 'haproxy')) return
    const got = await answers('empty.crl')
    equal(got?.revoked, stage.parties.revoked.serial)
    equal(got.valid, stage.parties.valid.serial)
  })
})
