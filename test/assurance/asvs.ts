/** ASVS 5.0.0, levels 1 and 2, by chapter. */

import { asvsIdentity } from './asvs-identity.ts'
import { asvsInput } from './asvs-input.ts'
import { asvsPlatform } from './asvs-platform.ts'
import type { AssuranceRow } from './evidence.ts'
import { row } from './rows.ts'
import type { AssuranceList } from './rows.ts'

const STATES: Readonly<Record<string, AssuranceRow['state']>> = {
  F: 'full',
  I: 'inspected',
  P: 'partial',
  N: 'no',
  '-': 'none',
}

const CHAPTERS = [
  'Encoding and Sanitization',
  'Validation and Business Logic',
  'Web Frontend Security',
  'API and Web Service',
  'File Handling',
  'Authentication',
  'Session Management',
  'Authorization',
  'Self-contained Tokens',
  'OAuth and OIDC',
  'Cryptography',
  'Secure Communication',
  'Configuration',
  'Data Protection',
  'Secure Coding and Architecture',
  'Security Logging and Error Handling',
  'WebRTC',
]

function read(line: string): AssuranceRow {
  const [head = '', title, why, files, ids] = line.split('|').map((cell) => cell.trim())
  const [id = '', letter = ''] = head.split(' ')
  const state = STATES[letter]
  if (state === undefined || title === undefined || why === undefined || files === undefined || ids === undefined)
    throw new Error(`not a row: ${line}`)
  return row(state, [id, title], why, [files, ids])
}

export const asvsRows: readonly AssuranceRow[] = [asvsInput, asvsIdentity, asvsPlatform]
  .flatMap((text) => text.trim().split('\n'))
  .map(read)

export const asvs: readonly AssuranceList[] = CHAPTERS.map((name, i) => ({
  heading: `V${i + 1} ${name}`,
  source:
    i === 0
      ? 'Ids: OWASP ASVS 5.0.0, https://github.com/OWASP/ASVS, levels 1 and 2; what each asks is said in our words.'
      : '',
  rows: asvsRows.filter(({ id }) => id.startsWith(`V${i + 1}.`)),
}))
