/** What every sink of exported events owes, whatever kind of receiver it speaks to. */

import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { epochMillis, isDoorwardError } from '@doorward/core'
import { exportEvent } from '../../packages/server/src/audit/export/ocsf.ts'
import type { ExportEvent, ExportSink } from '../../packages/server/src/audit/export/sink.ts'

/** How the receiver behaves from now on. */
export type Fault = 'gone' | 'silent' | 'nonsense' | 'close' | 'stranger' | 'other-name'

export interface SinkStage {
  readonly sink: ExportSink
  /** JSON of the events that the receiver has kept, in order. */
  received(): Promise<readonly string[]>
  /** Null puts it right. */
  fault(fault: Fault | null): Promise<void>
  close(): Promise<void>
}

export interface SinkSubject {
  readonly name: string
  readonly open: () => Promise<SinkStage>
  /** Codes with which `deliver` may reject. */
  readonly faults: Readonly<Partial<Record<Fault, readonly string[]>>>
}

const hostile = 'a\nb\r\u001b[31m\u009b\u2028|CEF:0|\\|="]<13>1 \u202e\u0000ü€😀'

export function someEvents(from: number, count: number, text = hostile): readonly ExportEvent[] {
  return Array.from({ length: count }, (_, i) => {
    const body = { decision: 'deny', code: 'policy_denied', explanation: text, caller: `spiffe://acme.example/${text}` }
    const entry = { v: 1, kind: 'decision', time: epochMillis(1_700_000_000_000 + i), body } as const
    return exportEvent({ origin: 'acme.example/gateway/main', index: from + i, entry })
  })
}

export function describeExportSink({ name, open, faults }: SinkSubject): void {
  const never = new AbortController().signal
  describe(name, { concurrency: 1 }, () => {
    let stage: SinkStage
    const opened = open().then((one) => (stage = one))
    after(async () => {
      await (await opened).sink.close()
      await stage.close()
    })
    const texts = (events: readonly ExportEvent[]) => events.map(({ json }) => json)

    test('a batch that is acknowledged has been received, whole and in order, whatever text it holds', async () => {
      await opened
      const [first, second] = [someEvents(0, 50), someEvents(50, 3)]
      assert.deepEqual(await stage.sink.deliver(first, never), { rejected: 0 })
      assert.deepEqual(await stage.received(), texts(first))
      await stage.sink.deliver(second, never)
      assert.deepEqual(await stage.received(), texts([...first, ...second]))
    })

    for (const [fault, codes] of Object.entries(faults) as [Fault, readonly string[]][]) {
      test(`a receiver that is ${fault} acknowledges nothing, and gets the batch as soon as it is right again`, async () => {
        await opened
        const before = await stage.received()
        const batch = someEvents(before.length, 2)
        await stage.fault(fault)
        await assert.rejects(stage.sink.deliver(batch, never), (error) => {
          assert.ok(isDoorwardError(error), String(error))
          assert.ok(codes.includes(error.code), `${error.code} ${error.got}`)
          return true
        })
        await stage.fault(null)
        assert.deepEqual(await stage.received(), before)
        await stage.sink.deliver(batch, never)
        assert.deepEqual(await stage.received(), [...before, ...texts(batch)])
      })
    }

    if (faults.silent !== undefined) {
      test('waiting for a receiver ends at once when the export ends', async () => {
        await opened
        await stage.fault('silent')
        const ending = new AbortController()
        const delivering = stage.sink.deliver(someEvents(0, 1), ending.signal)
        setTimeout(() => ending.abort(), 50)
        const began = performance.now()
        await assert.rejects(delivering)
        assert.ok(performance.now() - began < 1500)
        await stage.fault(null)
      })
    }
  })
}
