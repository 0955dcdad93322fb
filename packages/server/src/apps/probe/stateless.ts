/** Calls without a session, of MCP 2026-07-28: where the server speaks the earlier era alone, what is tried with them is not tried. */

import { decisionsIn, notRun, refusedBy, toldBy } from './attempt.ts'
import type { Attempt, Judged } from './attempt.ts'
import { requestOf } from './request.ts'
import type { Changes } from './request.ts'
import type { Member, Scene } from './scene.ts'
import type { WireOutcome } from './wire.ts'

const modernVersion = '2026-07-28'

export interface StatelessCall {
  readonly method: string
  readonly params?: Readonly<Record<string, unknown>>
  readonly version?: string
  /** On top of, or instead of, the right ones. */
  readonly headers?: Readonly<Record<string, string | null>>
}

/** With everything right but what is said. */
export function statelessCall({ method, params = {}, version = modernVersion, headers = {} }: StatelessCall): Changes {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': version,
    'io.modelcontextprotocol/clientCapabilities': {},
    'io.modelcontextprotocol/clientInfo': { name: 'doorward-probe', version: '1' },
  }
  return {
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, _meta } }),
    headers: { 'MCP-Protocol-Version': modernVersion, 'Mcp-Method': method, ...headers },
  }
}

const mostTimes = 5
const againMilliseconds = 1000

/** The server does not say anything now, which may have changed when this returns. */
async function isPassing(code: string): Promise<boolean> {
  if (!code.startsWith('upstream_')) return false
  await new Promise((resolve) => setTimeout(resolve, againMilliseconds))
  return true
}

interface StatelessRefusal {
  readonly who: Member
  readonly call: StatelessCall
  readonly codes: readonly string[]
}

/** Whether the server answers such calls: asked once, by who may. */
export class Stateless {
  /** Tried before all that needs to know. */
  readonly attempt: Attempt
  /** Null where they are let in. */
  #why: string | null = 'not asked'

  constructor(scene: Scene) {
    const { caller } = scene
    this.attempt = {
      id: 'baseline-stateless',
      kind: 'baseline',
      title: 'a workload with the role lists tools without a session',
      requirement: 'OS25-D4',
      run: async () => {
        const bytes = requestOf(scene, await caller.token(), statelessCall({ method: 'tools/list' }))
        const outcomes: WireOutcome[] = []
        let got = ''
        do {
          const outcome = await scene.send(caller.material(), bytes)
          outcomes.push(outcome)
          got = toldBy(outcome)
        } while (outcomes.length < mostTimes && (await isPassing(got)))
        this.#why = got === 'allowed' ? null : got
        // That the server knows no such calls is found out with the first of them.
        const decisions = outcomes.flatMap(decisionsIn).map((told) => ({ ...told, mayEnd: true }))
        return { verdict: this.#why === null ? 'passed' : 'not_run', expected: 'allowed', got, decisions }
      },
    }
  }

  /** Refused by one of the codes; not tried where such a call is not let in with everything right. */
  async refused(scene: Scene, { who, call, codes }: StatelessRefusal): Promise<Judged> {
    if (this.#why !== null)
      return notRun(codes.join(' or '), `a call without a session is not let in here: ${this.#why}`)
    return refusedBy(await scene.send(who.material(), requestOf(scene, await who.token(), statelessCall(call))), codes)
  }
}
