/** Runs the MCP conformance suite against an authorization server: it is a client, and somebody has to sign in for it. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readChecks, suite, suiteTimeoutMs, summary } from './compare.ts'
import type { ConformanceRun } from './compare.ts'

export interface AuthorizationAsked {
  /** Issuer. */
  readonly url: string
  readonly clientId: string
  readonly resource: string
  /** Of `http://127.0.0.1:<port>/callback`, where the client is answered. */
  readonly port: number
  /** PEM of the authority that the server's certificate is known by. */
  readonly ca: string
  /** Goes to the address as a person does, until the client has its answer. */
  readonly signIn: (address: string) => Promise<void>
}

export interface AuthorizationRun extends ConformanceRun {
  /** What the suite said. */
  readonly output: string
}

export async function runAuthorization(asked: AuthorizationAsked): Promise<AuthorizationRun> {
  const { url, clientId, resource, port, ca, signIn } = asked
  const out = await mkdtemp(join(tmpdir(), 'doorward-conformance-'))
  try {
    const file = join(out, 'ca.pem')
    await writeFile(file, ca)
    const results = join(out, 'results')
    const words = ['--url', url, '--client-id', clientId, '--resource', resource, '-p', String(port), '-o', results]
    const child = spawn(process.execPath, [suite, 'authorization', ...words], {
      env: { ...process.env, NODE_EXTRA_CA_CERTS: file },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: suiteTimeoutMs,
    })
    let output = ''
    const problems: unknown[] = []
    let begun = false
    const heard = (part: Buffer): void => {
      output += part.toString()
      const address = /^(https:\/\/\S+\?\S+)\n/m.exec(output)?.[1]
      if (begun || address === undefined) return
      begun = true
      // It waits for minutes for an answer that does not come.
      signIn(address).catch((error: unknown) => {
        problems.push(error)
        child.kill()
      })
    }
    child.stdout.on('data', heard)
    child.stderr.on('data', heard)
    await once(child, 'close')
    if (problems.length > 0) throw new AggregateError(problems, output)
    return { ...summary(await readChecks(results)), output }
  } finally {
    await rm(out, { recursive: true, force: true })
  }
}
