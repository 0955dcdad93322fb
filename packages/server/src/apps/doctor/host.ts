/** The machine: the runtime, what its TLS can do, and room for the record. */

import { statfs } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { judgeRuntime } from '../../../bin/runtime-support.cjs'
import type { Deployment } from '../../config/settings.ts'
import { failure, fine, warning } from './finding.ts'
import type { Finding } from './finding.ts'

const MIB = 1024 * 1024
/** The record wants its reserve, and a day of entries. */
const leastBytes = 256 * MIB
const comfortableBytes = 1024 * MIB

/** `version` as `process.version`. */
export function runtimeFinding(version: string): Finding {
  const { verdict, expected, fixed } = judgeRuntime(version)
  if (verdict === 'ok') return fine('runtime', `Node.js ${version}`)
  if (verdict === 'below_security_release')
    return warning('runtime', {
      message: 'a security release of this Node.js is missing',
      expected: `at least ${fixed}`,
      got: version,
      next: `install Node.js ${fixed} or later, and start every part again`,
    })
  return failure('runtime', {
    message: verdict === 'end_of_life' ? 'this line of Node.js has ended' : 'this Node.js is not supported',
    expected,
    got: version,
    next: `install ${expected}`,
  })
}

/** Recorded traffic can be opened later by whoever keeps it, unless keys are agreed on with ML-KEM as well. */
export function keyAgreementFinding(): Finding {
  try {
    createSecureContext({ ecdhCurve: 'X25519MLKEM768' })
    return fine('key_agreement', 'X25519MLKEM768 is offered first')
  } catch {
    return warning('key_agreement', {
      message: 'the OpenSSL of this runtime has no ML-KEM: connections agree on keys by X25519 alone',
      expected: 'OpenSSL 3.5 or later',
      got: `OpenSSL ${process.versions.openssl}`,
      next: 'use a Node.js that is built with its own OpenSSL',
    })
  }
}

export async function roomFinding({ stateDir }: Pick<Deployment, 'stateDir'>): Promise<Finding> {
  const { bavail, bsize, files, ffree } = await statfs(stateDir)
  const free = bavail * bsize
  const inodes = files === 0 || ffree > 1000
  if (free >= comfortableBytes && inodes) return fine('room', `${shownBytes(free)} are free`, { where: stateDir })
  const told = {
    where: stateDir,
    message: inodes ? 'little room for the record' : 'few files can still be made where the record is',
    expected: inodes ? `at least ${shownBytes(comfortableBytes)}` : 'more than 1000 inodes',
    got: inodes ? shownBytes(free) : String(ffree),
    next: 'make room, or let entries expire sooner: audit.retention',
  }
  return free < leastBytes || !inodes ? failure('room', told) : warning('room', told)
}

function shownBytes(bytes: number): string {
  return bytes >= 1024 * MIB ? `${Math.round(bytes / MIB / 102.4) / 10} GiB` : `${Math.round(bytes / MIB)} MiB`
}
