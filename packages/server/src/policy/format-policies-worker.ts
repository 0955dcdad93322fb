/** The throw-away thread in which Cedar text is formatted: hostile text may kill it. */

import { parentPort, workerData } from 'node:worker_threads'
import { loadCedarBriefly } from './cedar-module.ts'

const cedar = loadCedarBriefly()

/** What cannot be formatted is left as it is. */
function format(policyText: string): string {
  const answer = cedar.formatPolicies({ policyText, lineWidth: 100, indentWidth: 2 })
  return answer.type === 'success' ? answer.formatted_policy.trimEnd() : policyText.trimEnd()
}

parentPort?.postMessage((workerData as readonly string[]).map(format))
