/** `GET /metrics`: what the process counts, for who monitors it. A role that allows `GET:<part>/metrics` is enough. */

import type { ApiRoute } from './api-routes.ts'

/** The numbers as text, in the format that the Accept header prefers. */
export type MetricsPort = (accept: string | undefined) => Promise<{ readonly type: string; readonly text: string }>

export const metricsPath = '/metrics'

export function metricsRoute(metrics: MetricsPort): ApiRoute {
  return {
    method: 'GET',
    path: metricsPath,
    credential: 'token',
    group: 'admin',
    body: 'none',
    handle: async (_permit, { head }) => ({ kind: 'text', ...(await metrics(head.headers['accept'])) }),
  }
}
