/** What makes findings reliable, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

function control(name: string, test: Control['test'], edit: Edit): Control {
  return { name, edits: [edit], test }
}

const rates = (name: string): Control['test'] => ({ file: 'test/unit/enforcement/detect-rates.test.ts', name })
const states = (name: string): Control['test'] => ({ file: 'test/unit/enforcement/detect-states.test.ts', name })
const desk = (name: string): Control['test'] => ({ file: 'test/unit/server/detection-desk.test.ts', name })
const alerts = (name: string): Control['test'] => ({ file: 'test/unit/server/alerts.test.ts', name })
const sinks = (name: string): Control['test'] => ({ file: 'test/contract/export-sink.test.ts', name })
const route = (name: string): Control['test'] => ({ file: 'test/refusals/detections-route.test.ts', name })
const running = (name: string): Control['test'] => ({ file: 'test/scenarios/gateway-findings.test.ts', name })

const sketch = 'packages/enforcement/src/detect/windowed-sketch.ts'
const jump = 'packages/enforcement/src/detect/rate-jump.ts'
const deskFile = 'packages/server/src/apps/detection-desk.ts'
const webhooks = 'packages/server/src/apps/alert-webhooks.ts'
const mapped = 'what the record says of a finding becomes one document, the same id at its beginning and its end'
const malformed = 'findings about identities: nobody but a gateway may tell, and what is malformed is refused whole'
const flows =
  'findings reach each receiver that wants them, from the first start on, over an outage and a restart, in order'

export const detectionControls: readonly Control[] = [
  control(
    'detections.never_too_little',
    rates(
      'property: an estimate is never below what was counted within the window, nor above what came within a sixth more',
    ),
    { file: sketch, from: 'const RING = SLOTS + 1', to: 'const RING = SLOTS' },
  ),
  control(
    'detections.rotating_sources',
    rates('100,000 rotating addresses neither take memory nor hide the one that keeps trying'),
    { file: sketch, from: 'this.#mask = width - 1', to: 'this.#mask = 15' },
  ),
  control('detections.absolute_bound', rates('denied rate: a slow ramp is caught by the bound that nobody may pass'), {
    file: jump,
    from: 'Math.min(most, Math.max(least, times * usual))',
    to: 'Math.max(least, times * usual)',
  }),
  control(
    'detections.once_a_minute',
    states('what stands is told once, what is worse is told again, and what flaps begins once a minute'),
    {
      file: 'packages/enforcement/src/detect/standing-findings.ts',
      from: 'if (before !== undefined) return !isAtLeast(before.severity, severity)',
      to: '',
    },
  ),
  control(
    'detections.handshakes',
    running('authentication_failures: handshakes without a certificate, of one address'),
    {
      file: 'packages/server/src/apps/own-listener.ts',
      from: 'pipeline.dependencies.watch?.handshakeRefused?.(remoteAddress, reason)',
      to: '',
    },
  ),
  control(
    'detections.in_order',
    desk('what the record does not take is told at once, waits, and is entered in order, with nothing left out'),
    {
      file: deskFile,
      from: 'this.#failing = true\n        return',
      to: 'this.#failing = true\n        this.#waiting.shift()',
    },
  ),
  control('detections.bounded', desk('however much waits for the record, so much is kept, and the rest is told'), {
    file: deskFile,
    from: 'if (this.#waiting.length < MAX_WAITING) this.#waiting.push(waiting)',
    to: 'if (this.#waiting.length >= 0) this.#waiting.push(waiting)',
  }),
  control(
    'detections.unreadable',
    desk('a finding whose entry no checkpoint covers counts as unrecorded, for nobody can read it'),
    { file: deskFile, from: 'entry.index >= size', to: 'entry.index < 0' },
  ),
  control('detections.told_identities', route(malformed), {
    file: 'packages/server/src/transports/detections-route.ts',
    from: 'if (id === null || id.trustDomain !== trustDomain)',
    to: 'if (id === null)',
  }),
  control(
    'alerts.signature',
    sinks('each is signed over its time and its bytes, redirects are not followed, and what is no finding is not sent'),
    {
      file: 'packages/server/src/audit/alert/alert-sink.ts',
      from: '{ [signatureHeader]: signature }',
      to: "{ [signatureHeader]: '', 'x-unused': signature }",
    },
  ),
  control('alerts.minimum', alerts(mapped), {
    file: 'packages/server/src/audit/alert/alert.ts',
    from: 'isAtLeast(severity, filter.minimum) &&',
    to: 'isAtLeast(severity, `low`) &&',
  }),
  control('alerts.begin_now', alerts(flows), { file: webhooks, from: 'next: size,', to: 'next: 0 * size,' }),
  control(
    'alerts.durable_cursor',
    alerts(
      'a cursor that passes what is no finding is made durable now and then, and always when something was delivered or fails',
    ),
    {
      file: 'packages/server/src/audit/alert/sparing-states.ts',
      from: 'kept.delivered === now.delivered &&',
      to: '',
    },
  ),
  control(
    'alerts.receiver_known',
    alerts(
      'a receiver with another certificate gets nothing, and what the record does not take arrives without an entry, once',
    ),
    {
      file: 'packages/server/src/audit/export/client-tls.ts',
      from: 'rejectUnauthorized: true',
      to: 'rejectUnauthorized: false',
    },
  ),
]
