/** Options by which people say whom and what they ask about. */

import { InvalidArgumentError, Option } from 'commander'
import { isActionGroup, isResourceKind } from '@doorward/core'
import { momentOf } from '../../config/expectation-file.ts'

/** May be given more than once, or with commas. */
export function repeated(text: string, before: readonly string[] = []): readonly string[] {
  return [
    ...before,
    ...text
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== ''),
  ]
}

export function moment(text: string): number {
  const seconds = momentOf(text)
  if (seconds === null) throw new InvalidArgumentError('expected a time such as 2026-01-01T12:00:00Z')
  return seconds
}

export function jsonObject(text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new InvalidArgumentError('expected JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new InvalidArgumentError('expected a JSON object')
  return value
}

export const roleOption = () =>
  new Option('--role <name>', 'roles that its registration gives it, which are not known here').argParser(repeated)

export const groupOption = () =>
  new Option('--group <name>', 'groups of the user that the call is for').argParser(repeated)

export const throughOption = () =>
  new Option('--through <workload>', 'who acts between the caller and whom it is for').argParser(repeated)

export const effectOption = () =>
  new Option('--effect <group>', 'what the call counts as, other than the configuration says').argParser((text) => {
    if (!isActionGroup(text)) throw new InvalidArgumentError('expected read, write, admin or session')
    return text
  })

export const kindOption = () =>
  new Option('--kind <kind>', 'what the resource is, where the action leaves it open').argParser((text) => {
    if (!isResourceKind(text)) throw new InvalidArgumentError('expected tool, prompt, resource, task, route or server')
    return text
  })

/** Said wherever the answer depends on it. */
export const registeredRoles = 'roles that registrations give are not known here: name them with --role'
