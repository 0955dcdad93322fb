/** The `tracing` section: where the spans of calls go, and how many. */

import { z } from 'zod'
import { section } from './section.ts'

const path = z.string().min(1)

/** Traces are off without this section, and with a ratio of 0. */
export const tracing = section({
  otlp_url: z.url({ protocol: /^https?$/ }),
  /** Of the calls. */
  sample_ratio: z.number().min(0).max(1).default(0),
  /** PEM of the only authorities by which the collector is known. */
  ca_file: path.optional(),
  /** Its content is the value of the Authorization header; mode 0600. */
  authorization_file: path.optional(),
  service_name: z.string().min(1).max(255).default('doorward-gateway'),
  /** Without TLS, to this machine alone. */
  insecure: z.boolean().default(false),
}).optional()

type TracingSection = NonNullable<z.output<typeof tracing>>

interface TracingProblem {
  readonly keys: readonly (string | number)[]
  readonly message: string
  readonly expected: string | null
  readonly got: string | null
}

const loopback = /^(localhost|127(\.[0-9]{1,3}){3}|\[::1\])$/

/** Mistakes that only show when several keys are read together. */
export function tracingProblems(section: TracingSection | undefined): readonly TracingProblem[] {
  if (section === undefined) return []
  const { protocol, hostname, username, password, hash } = new URL(section.otlp_url)
  const plain = protocol === 'http:'
  const found: TracingProblem[] = []
  const say = (key: string, message: string, expected: string, got: string | null): void =>
    void found.push({ keys: ['tracing', key], message, expected, got })
  if (plain && !(section.insecure && loopback.test(hostname)))
    say('otlp_url', 'without TLS only this machine is spoken to, and only with insecure: true', 'https', hostname)
  if (!plain && section.insecure) say('insecure', 'the collector is reached over TLS already', 'no insecure', 'true')
  if (plain && section.ca_file !== undefined)
    say('ca_file', 'files of TLS are of no use without TLS', 'no ca_file', null)
  if (username !== '' || password !== '' || hash !== '')
    say('otlp_url', 'the URL of a collector has no credentials and no fragment', 'https://host/path', null)
  return found
}
