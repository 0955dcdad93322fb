/** Certificates and lists of a running authority before OpenSSL's verifier. */

import { equal, match } from 'node:assert/strict'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connect } from 'node:tls'
import { hasTool, runTool } from '../fixtures/outside-tools.ts'
import type { ToolResult } from '../fixtures/outside-tools.ts'
import { InteropStage } from './interop-stage.ts'
import { pemOf } from '../fixtures/trust-fixture.ts'

let stage: InteropStage

before(async () => {
  stage = await InteropStage.open()
})
after(() => stage.close())

const purposes = ['sslserver', 'sslclient'] as const

/** One certificate in a file of the stage. */
function verify(file: string, ...words: readonly string[]): ToolResult {
  return runTool('openssl', ['verify', '-x509_strict', '-CAfile', 'anchors.pem', ...words, file], stage.folder)
}

/** OpenSSL's number of the error at the leaf. */
function errorOf({ code, stdout, stderr }: ToolResult): number | null {
  if (code === 0) return null
  return Number(/error (\d+) at 0 depth/.exec(`${stdout}${stderr}`)?.[1])
}

test('X5-4, X5-5, X5-7: OpenSSL accepts what the authority issues, strictly, as server and as client', (t) => {
  if (!hasTool(t, 'openssl')) return
  for (const purpose of purposes) equal(errorOf(verify('valid.crt', '-purpose', purpose)), null, purpose)
})

test('X5-10: OpenSSL finds the names that were registered, and no others', (t) => {
  if (!hasTool(t, 'openssl')) return
  equal(errorOf(verify('valid.crt', '-verify_hostname', 'valid.localhost')), null)
  equal(errorOf(verify('valid.crt', '-verify_ip', '127.0.0.1')), null)
  equal(errorOf(verify('valid.crt', '-verify_hostname', 'localhost')), 62)
  equal(errorOf(verify('valid.crt', '-verify_ip', '127.0.0.2')), 64)
})

test('X5-4, X5-5, X5-7: so it does with the certificates of gateway and authority themselves', async (t) => {
  if (!hasTool(t, 'openssl')) return
  const { gateway, authority } = await stage.system.deployment()
  const { cert, key } = stage.parties.valid
  for (const [name, address] of Object.entries({
    gateway: gateway.listeners.main,
    authority: authority.listeners.main,
  })) {
    const socket = connect({ ...address, cert, key, ca: stage.anchors, checkServerIdentity: () => undefined })
    await once(socket, 'secureConnect')
    await writeFile(join(stage.folder, `${name}.crt`), pemOf(socket.getPeerX509Certificate()?.raw ?? new Uint8Array()))
    socket.destroy()
    for (const purpose of purposes)
      equal(errorOf(verify(`${name}.crt`, '-purpose', purpose)), null, `${name} ${purpose}`)
  }
})

test('OpenSSL refuses what expired and what is foreign', (t) => {
  if (!hasTool(t, 'openssl')) return
  for (const purpose of purposes) {
    equal(errorOf(verify('expired.crt', '-purpose', purpose)), 10)
    equal(errorOf(verify('foreign.crt', '-purpose', purpose)), 20)
  }
})

test('RV-7: OpenSSL refuses what is on the list of the anchor, and nothing else by it', (t) => {
  if (!hasTool(t, 'openssl')) return
  const by = (list: string) => ['-crl_check_all', '-CRLfile', list]
  equal(errorOf(verify('revoked.crt')), null)
  equal(errorOf(verify('revoked.crt', ...by('empty.crl'))), null)
  equal(errorOf(verify('revoked.crt', ...by('revoked.crl'))), 23)
  equal(errorOf(verify('valid.crt', ...by('revoked.crl'))), null)
  equal(errorOf(verify('valid.crt', '-crl_check_all')), 3)
})

test('RV-7: OpenSSL reads the list and verifies it with the anchor', (t) => {
  if (!hasTool(t, 'openssl')) return
  const words = ['crl', '-in', 'revoked.crl', '-noout', '-text', '-CAfile', 'anchors.pem']
  const { code, stdout, stderr } = runTool('openssl', words, stage.folder)
  equal(code, 0, stderr)
  match(stdout, new RegExp(`Serial Number: ${stage.parties.revoked.serial}`, 'i'))
  match(stderr, /verify OK/)
})
