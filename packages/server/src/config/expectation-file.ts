/** Files of expectations for `doorward policy test`: strict YAML, every mistake with its line. */

import { fromUtf8, isDoorwardError, isActionGroup, isResourceKind, DoorwardError } from '@doorward/core'
import type { ActionGroup, ResourceKind } from '@doorward/core'
import { z } from 'zod'
import { readBoundedFile } from './certificate-file.ts'
import { ConfigurationError } from './problem.ts'
import type { Problem } from './problem.ts'
import { section } from './section.ts'
import { dotted, placeOf } from './yaml-place.ts'
import { readYaml } from './yaml-text.ts'

const MAX_BYTES = 4 * 1024 * 1024
const MAX_EXPECTATIONS = 10_000

/** Noon of a Thursday, so that an expectation without a time means the same every day. */
export const defaultTime = '2026-01-01T12:00:00Z'

const text = z.string().min(1).max(8192)
const texts = z.array(text).max(100)
const user = section({ issuer: text, user: text, groups: texts.default([]) })

const moment = z
  .string()
  .refine((value) => momentOf(value) !== null, { error: 'not a time; expected such as 2026-01-01T12:00:00Z' })

const expectation = section({
  name: text.optional(),
  /** The workload that calls, or the user for whom `presenter` does. */
  principal: z.union([text, user], { error: 'neither; expected a workload, or a user with issuer and groups' }),
  presenter: text.optional(),
  roles: texts.default([]),
  for: z.union([text, user], { error: 'neither; expected a workload, or a user with issuer and groups' }).optional(),
  through: texts.max(4).default([]),
  action: text,
  resource: text,
  effect: z
    .string()
    .refine(isActionGroup, { error: 'not an effect; expected read, write, admin or session' })
    .optional(),
  kind: z
    .string()
    .refine(isResourceKind, { error: 'not a kind; expected tool, prompt, resource, task, route or server' })
    .optional(),
  args: z.record(z.string(), z.unknown()).default({}),
  time: moment.default(defaultTime),
  address: text.default('127.0.0.1'),
  /** `approval`: allowed once a human has approved it. */
  expect: z.enum(['allow', 'approval', 'deny'], { error: 'no answer; expected allow, approval or deny' }),
  reason: z.enum(['none', 'forbid', 'error'], { error: 'no reason; expected none, forbid or error' }).optional(),
  by: texts.optional(),
})
  .refine(({ principal, presenter }) => typeof principal === 'string' || presenter !== undefined, {
    error: 'a user calls through a workload; expected presenter beside it',
    path: ['principal'],
  })
  .refine((one) => typeof one.principal === 'string' || one.for === undefined, {
    error: 'the user is whom the call is for; expected no for',
    path: ['for'],
  })
  .refine((one) => typeof one.principal !== 'string' || one.presenter === undefined, {
    error: 'the principal is who presents the call; expected no presenter',
    path: ['presenter'],
  })
  .refine((one) => one.expect === 'deny' || one.reason === undefined, {
    error: 'what is allowed has no reason; expected expect: deny',
    path: ['reason'],
  })

const file = section({
  expectations: z
    .array(expectation)
    .min(1, { error: 'no expectations; expected at least one' })
    .max(MAX_EXPECTATIONS, { error: `too many expectations; expected at most ${MAX_EXPECTATIONS}` }),
})

type Section = z.output<typeof expectation>

/** An expectation as it is written, with its place. */
export interface WrittenExpectation {
  readonly name: string | null
  /** 1-based. */
  readonly line: number
  readonly presenter: string
  readonly behalf: Section['principal'] | null
  readonly roles: readonly string[]
  readonly through: readonly string[]
  readonly action: string
  readonly resource: string
  readonly effect: ActionGroup | null
  readonly kind: ResourceKind | null
  readonly args: Readonly<Record<string, unknown>>
  readonly timeSeconds: number
  readonly address: string
  readonly expect: 'allow' | 'approval' | 'deny'
  readonly reason: 'none' | 'forbid' | 'error' | null
  readonly by: readonly string[] | null
}

/** Seconds since 1970 of an ISO 8601 time with a zone; null for another text. */
export function momentOf(value: string): number | null {
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})$/.test(value)) return null
  const milliseconds = Date.parse(value)
  return Number.isNaN(milliseconds) ? null : Math.floor(milliseconds / 1000)
}

/** Throws `file_unreadable`, and a ConfigurationError with every mistake. */
export async function readExpectationFile(path: string): Promise<readonly WrittenExpectation[]> {
  return parseExpectations(decoded(await readBoundedFile(path, MAX_BYTES), path), path)
}

function decoded(bytes: Uint8Array, where: string): string {
  try {
    return fromUtf8(bytes)
  } catch (error) {
    if (!isDoorwardError(error) && !(error instanceof TypeError)) throw error
    throw new DoorwardError('file_unreadable', 'a file cannot be read', {
      where,
      expected: 'UTF-8',
      got: 'other bytes',
    })
  }
}

/** Throws a ConfigurationError with every mistake. */
export function parseExpectations(source: string, path: string): readonly WrittenExpectation[] {
  const { document, lines, problems } = readYaml(source)
  const next = 'mend the lines above'
  if (problems.length > 0) throw new ConfigurationError(path, problems, next)
  const parsed = file.safeParse(document.toJS({ maxAliasCount: 0 }) ?? {})
  const lineOf = (keys: readonly PropertyKey[]) => placeOf(document, lines, keys)?.line ?? 1
  if (!parsed.success) {
    const mistakes = parsed.error.issues.flatMap((issue) => problemsOf(issue, lineOf))
    throw new ConfigurationError(path, mistakes, next)
  }
  return parsed.data.expectations.map((one, i) => writtenOf(one, lineOf(['expectations', i])))
}

function problemsOf(issue: z.core.$ZodIssue, lineOf: (keys: readonly PropertyKey[]) => number): readonly Problem[] {
  const paths = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...issue.path, key]) : [issue.path]
  const missing = issue.code === 'invalid_type' && issue.input === undefined
  const [message = '', expected = null] = issue.message.split('; expected ')
  return paths.map((path) => ({
    line: lineOf(path),
    path: dotted(path),
    message: missing ? 'a key is missing' : message,
    expected,
    got: null,
  }))
}

function writtenOf(one: Section, line: number): WrittenExpectation {
  const { name = null, principal, presenter, roles, through, action, resource, args, address, expect, time } = one
  return {
    name,
    line,
    presenter: typeof principal === 'string' ? principal : (presenter ?? ''),
    behalf: typeof principal === 'string' ? (one.for ?? null) : principal,
    roles,
    through,
    action,
    resource,
    effect: one.effect ?? null,
    kind: one.kind ?? null,
    args,
    timeSeconds: momentOf(time) ?? 0,
    address,
    expect,
    reason: one.reason ?? null,
    by: one.by ?? null,
  }
}
