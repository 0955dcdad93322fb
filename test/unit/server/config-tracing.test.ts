/** The `tracing` section: strict, off by default, and without TLS only on this machine. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { isDoorwardError } from '@doorward/core'
import { loadConfiguration, parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { ConfigurationError } from '../../../packages/server/src/config/problem.ts'
import { deploymentOf } from '../../../packages/server/src/config/settings.ts'
import { tracingSettings } from '../../../packages/server/src/config/tracing.ts'
import type { TracingSettings } from '../../../packages/server/src/config/tracing.ts'

const folder = await mkdtemp(join(tmpdir(), 'doorward-config-tracing-'))
after(() => rm(folder, { recursive: true, force: true }))

const withTracing = (text: string) => `trust_domain: acme.example\n${text === '' ? '' : `tracing: ${text}\n`}`

async function settingsOf(text: string): Promise<TracingSettings | null> {
  const file = join(folder, 'doorward.yaml')
  await writeFile(file, withTracing(text))
  return tracingSettings(deploymentOf(await loadConfiguration(file)))
}

test('traces are off without the section, and without a ratio', async () => {
  equal(await settingsOf(''), null)
  equal(await settingsOf('{ otlp_url: "https://otel.example/v1/traces" }'), null)
  equal(await settingsOf('{ otlp_url: "https://otel.example/v1/traces", sample_ratio: 0 }'), null)
})

test('a section is read with its defaults, and its files when they are needed', async () => {
  const text =
    '{ otlp_url: "https://otel.example/v1/traces", sample_ratio: 0.1, ca_file: ca.pem, authorization_file: auth }'
  const settings = await settingsOf(text)
  ok(settings !== null && settings.tls !== null && settings.authorization !== null)
  deepEqual(
    [settings.url, settings.ratio, settings.serviceName],
    ['https://otel.example/v1/traces', 0.1, 'doorward-gateway'],
  )
  await rejects(settings.tls(), (error) => isDoorwardError(error, 'file_unreadable'))
  await writeFile(join(folder, 'ca.pem'), 'certificates')
  deepEqual(await settings.tls(), { ca: 'certificates', own: null })
  const file = join(folder, 'auth')
  await writeFile(file, 'Bearer word\n', { mode: 0o600 })
  equal((await settings.authorization()).reveal(), 'Bearer word')
  await chmod(file, 0o644)
  await rejects(settings.authorization(), (error) => isDoorwardError(error, 'secret_file'))
  const local = await settingsOf('{ otlp_url: "http://127.0.0.1:4318/v1/traces", insecure: true, sample_ratio: 1 }')
  deepEqual([local?.tls, local?.authorization], [null, null])
})

const wrong: readonly (readonly [string, string])[] = [
  ['{ sample_ratio: 1 }', 'tracing.otlp_url'],
  ['{ otlp_url: "ftp://otel.example/" }', 'tracing.otlp_url'],
  ['{ otlp_url: "https://otel.example/v1/traces", sample_ratio: 1.5 }', 'tracing.sample_ratio'],
  ['{ otlp_url: "https://otel.example/v1/traces", sample_ratio: -1 }', 'tracing.sample_ratio'],
  ['{ otlp_url: "https://otel.example/v1/traces", service_name: "" }', 'tracing.service_name'],
  ['{ otlp_url: "https://otel.example/v1/traces", headers: {} }', 'tracing'],
  ['{ otlp_url: "http://otel.example/v1/traces" }', 'tracing.otlp_url'],
  ['{ otlp_url: "http://otel.example/v1/traces", insecure: true }', 'tracing.otlp_url'],
  ['{ otlp_url: "http://127.0.0.1:4318/v1/traces" }', 'tracing.otlp_url'],
  ['{ otlp_url: "http://127.0.0.1:4318/v1/traces", insecure: true, ca_file: ca.pem }', 'tracing.ca_file'],
  ['{ otlp_url: "https://otel.example/v1/traces", insecure: true }', 'tracing.insecure'],
  ['{ otlp_url: "https://me:word@otel.example/v1/traces" }', 'tracing.otlp_url'],
]

for (const [text, path] of wrong) {
  test(`refused at ${path}: ${text}`, () => {
    try {
      parseConfiguration(withTracing(text), 'doorward.yaml')
    } catch (error) {
      ok(error instanceof ConfigurationError)
      deepEqual(
        error.problems.map((problem) => problem.path.replace(/\.headers$/, '')),
        [path],
      )
      ok(!JSON.stringify(error.problems).includes('word'), 'no secret is shown')
      return
    }
    ok(false, 'accepted')
  })
}
