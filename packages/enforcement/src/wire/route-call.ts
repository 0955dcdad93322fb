/** What of a plain HTTP request is decided about: the method is the action, the path the resource. */

import { deny } from '../denial.ts'
import type { Denial } from '../denial.ts'

const READS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** GET, HEAD and OPTIONS read, all others write. */
export function groupOfMethod(method: string): 'read' | 'write' {
  return READS.has(method) ? 'read' : 'write'
}

/**
 * The name that is decided about. Many services serve `/v1/x/` and `/v1/x` alike: what may be equal there is decided equally
 * here.
 */
export function routeName(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}

/** Parameters by which some frameworks take a request for one of another method. */
const OVERRIDES: ReadonlySet<string> = new Set(['_method', '_httpmethod', 'x-http-method', 'x-http-method-override'])

export function queryProblem(query: string): Denial | null {
  if (query === '') return null
  for (const name of new URLSearchParams(query).keys())
    if (OVERRIDES.has(name.toLowerCase())) return deny('request_invalid', 'a parameter that stands for another method')
  return null
}
