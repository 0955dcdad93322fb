/** The workloads: each with its own key and kept connection, and never more than one renewal or token under way on it. */

import { once } from 'node:events'
import { generateP256 } from '@doorward/sdk'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { enrolled, requestRenewal, requestToken, tokenFor, tryEnrol } from '../fixtures/authority/workload.ts'
import type { TestAuthority } from '../fixtures/authority/running.ts'
import type { IssuingRequest } from './authority/messages.ts'
import { started, tell } from './child.ts'
import type { LoadResult } from './messages.ts'

const { addresses, tokens } = await started('renewals')
const authority = { running: { addresses } } as object as TestAuthority

interface Caller {
  readonly client: RawClient
  readonly token: string
  joinState: string
}

async function openCaller({ id, token }: (typeof tokens)[number]): Promise<Caller> {
  const workload = enrolled(id, await tryEnrol(authority, { token }))
  const client = await RawClient.open(addresses.main, workload)
  return { client, token: await tokenFor(client), joinState: workload.joinState }
}

async function issueOne(caller: Caller, what: IssuingRequest['what']): Promise<void> {
  const { client, token, joinState } = caller
  const answer =
    what === 'tokens'
      ? await requestToken(client)
      : await requestRenewal(client, token, { key: await generateP256(), joinState })
  if (answer.status !== 200) throw new Error(`${what}: ${answer.status} ${answer.text}`)
  if (what === 'renewals') caller.joinState = String(answer.json()['join_state'])
}

async function measure(callers: readonly Caller[], request: IssuingRequest): Promise<LoadResult> {
  tell({ event: 'measuring' })
  await once(process, 'message')
  const latencies = new Float64Array(request.maximumCalls)
  const begun = performance.now()
  let calls = 0
  const run = async (turns: readonly Caller[]) => {
    for (let turn = 0; calls < request.maximumCalls && performance.now() - begun < request.milliseconds; turn++) {
      const at = performance.now()
      await issueOne(turns[turn % turns.length]!, request.what)
      if (calls < latencies.length) latencies[calls++] = (performance.now() - at) * 1000
    }
  }
  await Promise.all(request.atOnce === 'one' ? [run(callers)] : callers.map((caller) => run([caller])))
  return { calls, milliseconds: performance.now() - begun, latencies: latencies.slice(0, calls) }
}

const callers: Caller[] = []
for (let i = 0; i < tokens.length; i += 16)
  callers.push(...(await Promise.all(tokens.slice(i, i + 16).map(openCaller))))
tell({ port: 0 })
for (;;) {
  const [request] = (await once(process, 'message')) as [IssuingRequest]
  tell(await measure(callers, request))
}
