/** A log of the measurement, and what is written into it. */

import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { formatVerifierKey, verifierKey } from '@doorward/core'
import { ed25519LogKey, fileCheckpointStore, openRecord } from '@doorward/enforcement'
import type { FileRecord } from '@doorward/enforcement'
import { randomBytes, sha256, systemClock } from '@doorward/sdk'

export const origin = 'bench.example/gateway/main'

/** What a decision about a tool call says, of usual length. */
export function decisionBody(n: number): object {
  return {
    decision: 'allow',
    code: 'allowed',
    caller: `spiffe://bench.example/agent/planner-${n % 100}`,
    subject: `spiffe://bench.example/agent/planner-${n % 100}`,
    presenter: `spiffe://bench.example/agent/planner-${n % 100}`,
    act: [],
    roles: ['reader'],
    strength: 'mtls-bound-token',
    epoch: 1,
    certificate: {
      fingerprint: 'mYk2v1b8Jd0rC6nq7T3x9wq4oQeVYcH2u5sZpLfGxA0',
      serial: `4a${n.toString(16).padStart(16, '0')}`,
    },
    token: `7d0c1f5e-${n.toString(16).padStart(12, '0')}`,
    remote: '10.1.2.3',
    listener: 'main',
    request: { method: 'POST', path: '/mcp/files' },
    action: 'tools/call',
    group: 'read',
    resource: { server: 'files', kind: 'tool', name: 'read_text_file' },
    policies: ['role reader 1'],
    policy: { digest: '0C6nq7T3x9wq4oQeVYcH2u5sZpLfGxA0mYk2v1b8Jd0', sequence: 1 },
  }
}

export async function openLog(root: string): Promise<FileRecord> {
  const dir = join(root, 'record')
  await mkdir(dir, { recursive: true })
  const signKey = ed25519LogKey(keyIn(root))
  const checkpointStore = fileCheckpointStore(join(root, 'copy'), origin)
  return openRecord({ dir, origin, signKey, sha256, random: randomBytes, clock: systemClock, checkpointStore })
}

export function verifierKeyIn(root: string): string {
  const { x = '' } = createPublicKey(keyIn(root)).export({ format: 'jwk' })
  return formatVerifierKey(verifierKey(sha256, origin, Buffer.from(x, 'base64url')))
}

function keyIn(root: string) {
  const file = join(root, 'log-key.pem')
  if (!existsSync(file)) {
    const { privateKey } = generateKeyPairSync('ed25519')
    writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  }
  return createPrivateKey(readFileSync(file))
}
