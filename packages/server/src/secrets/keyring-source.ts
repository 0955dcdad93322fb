/**
 * Secrets of the keyring of the person in whose session we run, read by the system's own program: the Secret Service by
 * `secret-tool`, the macOS keychain by `security`. Nothing is ever written there, and no value is ever an argument.
 */

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { DoorwardError, isDoorwardError, utf8 } from '@doorward/core'
import { secretBytes, secretMissing, secretText, secretUnavailable } from './secret-source.ts'
import type { SecretSource, SecretVersion } from './secret-source.ts'

export interface KeyringPlace {
  readonly service: string
  readonly account: string
  /** All that the program is given: where it is found, and whose session this is. */
  readonly env: Readonly<Record<string, string>>
}

export interface KeyringOptions {
  readonly platform: NodeJS.Platform
  /** Milliseconds that never go back. */
  readonly monotonic: () => number
  /** In place of the one of the platform. */
  readonly program?: string
}

interface Program {
  readonly name: string
  readonly words: (place: KeyringPlace) => readonly string[]
  /** How its end is to be understood; null for no such entry. Throws `secret_invalid`. */
  readonly value: (ended: Ended, where: string) => Uint8Array | null
}

interface Ended {
  readonly code: number | null
  readonly out: Buffer
  readonly err: string
}

/** A keyring that is locked asks its person, and may wait for long. */
const PATIENCE_MILLISECONDS = 2000
/** The oldest that a value may be, and how long nobody asks after a failure. */
const KEPT_MILLISECONDS = 5000
const PAUSE_MILLISECONDS = 1000
const MAX_OUT = secretBytes * 2 + 64
/** `errSecItemNotFound`. */
const NOT_FOUND = 44

const secretTool: Program = {
  name: 'secret-tool',
  words: ({ service, account }) => ['lookup', 'service', service, 'account', account],
  // It says nothing of what is not there, and something of everything that goes wrong.
  value: ({ code, out, err }, where) => {
    if (code === 0) return out
    if (code === 1 && err.trim() === '') return null
    throw secretUnavailable(where, failureOf(code, err))
  },
}

const security: Program = {
  name: '/usr/bin/security',
  words: ({ service, account }) => ['find-generic-password', '-s', service, '-a', account, '-g'],
  // `-w` would write bytes and a text that looks like them in the same way; this is in quotes, or in hexadecimal.
  value: ({ code, err }, where) => {
    if (code === NOT_FOUND) return null
    const [, digits, text] = /^password: (?:0x([0-9A-Fa-f]*)(?: .*)?|"(.*)")$/m.exec(err) ?? []
    if (code !== 0 || (digits === undefined && text === undefined)) throw secretUnavailable(where, failureOf(code, ''))
    if (digits !== undefined) return Buffer.from(digits, 'hex')
    // What stands for a backslash differs between releases.
    if (text?.includes('\\') === true) throw secretUnavailable(where, 'a value with a backslash: keep it in a file')
    return utf8(text ?? '')
  },
}

/** Throws `keyring_unsupported` where we know no program that reads one. */
export function keyringSource(
  place: KeyringPlace,
  { platform, monotonic, program: own }: KeyringOptions,
): SecretSource {
  const program = programOf(platform)
  const command = [own ?? program.name, ...program.words(place)]
  const where = `keyring ${place.service}/${place.account}`
  let held: (SecretVersion & { readonly until: number }) | null = null
  let failed: { readonly error: Error; readonly until: number } | null = null
  let version = { text: '', of: '' }
  let reading: Promise<SecretVersion> | null = null
  let next: Promise<SecretVersion> | null = null

  const read = async (): Promise<SecretVersion> => {
    try {
      const bytes = program.value(await run(command, place.env, where), where)
      if (bytes === null) throw secretMissing(where, 'put it there, or correct service and account')
      const value = secretText(bytes, where)
      // Nothing there says which value it is.
      if (version.of !== value.reveal()) version = { text: randomBytes(6).toString('hex'), of: value.reveal() }
      held = { value, version: version.text, until: monotonic() + KEPT_MILLISECONDS }
      failed = null
      return held
    } catch (error) {
      held = null
      const told = isDoorwardError(error) ? error : secretUnavailable(where, 'something else')
      failed = { error: told, until: monotonic() + PAUSE_MILLISECONDS }
      throw told
    }
  }
  const begin = (): Promise<SecretVersion> => {
    const one = read().finally(() => (reading = null))
    reading = one
    return one
  }
  /** One that began before may have read the value before. */
  const afterThat = (): Promise<SecretVersion> => {
    next ??= (reading ?? Promise.resolve()).then(
      () => ((next = null), begin()),
      () => ((next = null), begin()),
    )
    return next
  }
  return {
    kind: 'keyring',
    read: async ({ fresh = false } = {}) => {
      const now = monotonic()
      if (failed !== null && now < failed.until) throw failed.error
      if (!fresh && held !== null && now < held.until) return { value: held.value, version: held.version }
      const found = await (fresh ? afterThat() : (reading ?? begin()))
      return { value: found.value, version: found.version }
    },
  }
}

function programOf(platform: NodeJS.Platform): Program {
  if (platform === 'darwin') return security
  if (platform === 'win32')
    throw new DoorwardError('keyring_unsupported', 'secrets of a keyring are not read on Windows', {
      expected: 'Linux with the Secret Service, or macOS',
      got: platform,
      next: 'leave keyring out and put the value by doorward secret put, or name a file',
    })
  return secretTool
}

/** To its end, or for as long as we wait. Rejects with `secret_unavailable`. */
function run([program = '', ...words]: readonly string[], env: KeyringPlace['env'], where: string): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { env: { ...env }, stdio: ['ignore', 'pipe', 'pipe'], shell: false })
    const out: Buffer[] = []
    let [length, err] = [0, '']
    const stop = (got: string) => {
      child.kill('SIGKILL')
      reject(secretUnavailable(where, got))
    }
    const timer = setTimeout(() => stop('no answer: is the keyring locked?'), PATIENCE_MILLISECONDS)
    child.stdout.on('data', (part: Buffer) => {
      length += part.length
      if (length > MAX_OUT) stop('too much')
      else out.push(part)
    })
    // There macOS writes the value: it goes no further than its own program.
    child.stderr.on('data', (part: Buffer) => (err = (err + part.toString()).slice(0, MAX_OUT)))
    child.once('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer)
      reject(secretUnavailable(where, error.code === 'ENOENT' ? `no program ${program}` : String(error.code)))
    })
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve({ code, out: Buffer.concat(out), err })
    })
  })
}

function failureOf(code: number | null, err: string): string {
  const [first = ''] = err.trim().split('\n')
  return `exit ${code ?? 'by a signal'}${first === '' ? '' : `: ${first.slice(0, 200)}`}`
}
