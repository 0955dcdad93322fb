/** What keeps metrics and traces closed and bounded, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

function control(name: string, test: Control['test'], edit: Edit): Control {
  return { name, edits: [edit], test }
}

const unit = (file: string, name: string): Control['test'] => ({ file: `test/unit/server/${file}.test.ts`, name })
const running = (file: string, name: string): Control['test'] => ({ file: `test/scenarios/${file}.test.ts`, name })
const openRoute = "{ server: 'gateway', method: 'GET', path: '/v1/receipt', group: 'read', open: 'everybody' },"

export const monitoringControls: readonly Control[] = [
  control(
    'metrics.role',
    { file: 'test/refusals/routes-api.test.ts', name: 'is closed to a caller without the role admin' },
    {
      file: 'packages/core/src/policy/builtin.ts',
      from: openRoute,
      to: `${openRoute}\n  ${openRoute.replace('/v1/receipt', '/metrics').replace("'read'", "'admin'")}`,
    },
  ),
  control('metrics.bounded', unit('metrics', 'a family is bounded: what comes beyond counts as other'), {
    file: 'packages/server/src/observability/metrics.ts',
    from: 'const full = this.#cells.size >= MAX_CELLS &&',
    to: 'const full = this.#cells.size >= 1e9 &&',
  }),
  control(
    'traces.share',
    unit('trace-context', 'callers that mark everything get the share that is configured, and a burst'),
    {
      file: 'packages/server/src/observability/trace-context.ts',
      from: 'if (!wanted || this.#share < 1) return false',
      to: 'if (!wanted) return false',
    },
  ),
  control(
    'traces.queue',
    unit('trace-exporter', 'while a collector is silent the queue fills up, and what does not fit is dropped'),
    {
      file: 'packages/server/src/apps/trace-exporter.ts',
      from: 'if (this.#waiting.length < MAX_WAITING) this',
      to: 'if (this.#waiting.length >= 0) this',
    },
  ),
  control(
    'traces.own_header',
    running('traces', 'a traceparent that is not valid is as if it were not there, and neither goes on'),
    {
      file: 'packages/server/src/transports/upstream-http-wire.ts',
      from: "headers['traceparent'] = trace.traceparent",
      to: "headers['traceparent'] = head.headers['traceparent'] ?? trace.traceparent",
    },
  ),
]
