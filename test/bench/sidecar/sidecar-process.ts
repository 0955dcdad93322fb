/** One sidecar, by the configuration that its first message has. */

import { once } from 'node:events'
import { startSidecar } from '../../../packages/server/src/apps/sidecar/sidecar.ts'
import { readSidecar } from '../../../packages/server/src/config/sidecar-file.ts'

export interface SidecarStart {
  readonly text: string
  /** Where it would lie. */
  readonly file: string
}

const [{ text, file }] = (await once(process, 'message')) as [SidecarStart]
const ending = new AbortController()
process.once('disconnect', () => ending.abort())
const sidecar = await startSidecar({
  settings: readSidecar(text, file),
  environment: { variable: () => undefined },
  report: (event) => {
    if (event.type === 'problem' || event.type === 'refused') console.error(event)
  },
  signal: ending.signal,
})
ending.signal.addEventListener('abort', () => void sidecar.stop().then(() => process.exit(0)))
process.send?.({ ready: true })
