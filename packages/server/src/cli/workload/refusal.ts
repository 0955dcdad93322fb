/** What the authority refuses about registrations, in words that say what to do. */

import { isJsonObject } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import { ServerRefused } from '@doorward/sdk'
import { dotted } from '../../config/yaml-place.ts'
import { administer } from '../administration.ts'
import { CheckFailed } from '../failure.ts'
import type { CliContext } from '../context.ts'

type Work = Parameters<typeof administer>[2]

/** As `administer`; refusals about registrations end with exit 1 and say what to do. */
export function administerWorkloads(context: CliContext, as: string | undefined, work: Work): Promise<void> {
  return administer(context, as, async (client, self) => {
    try {
      await work(client, self)
    } catch (error) {
      throw error instanceof ServerRefused ? explained(error) : error
    }
  })
}

/** The refusal itself when there is nothing to add. */
export function explained(error: ServerRefused): ServerRefused | CheckFailed {
  const { code, details } = error
  if (details === null) return error
  if (code === 'conflict') return conflict(error, details)
  return code === 'request_invalid' ? invalid(error, details['problems']) : error
}

function conflict(error: ServerRefused, details: JsonObject): ServerRefused | CheckFailed {
  const { reason } = details
  switch (typeof reason === 'string' ? reason : '') {
    case 'exists':
      return new CheckFailed('workload_exists', 'the workload is registered already', {
        ...idIn(details['present']),
        next: 'doorward workload invite ID makes a new join string, doorward workload set ID changes it',
      })
    case 'changed':
      return new CheckFailed('workload_changed', 'somebody else has changed the workload meanwhile', {
        ...idIn(details['present']),
        next: 'look at what is there now, and run the command again',
      })
    case 'removed':
      return new CheckFailed('workload_removed', 'the id was removed before, and ids are never given to another', {
        got: `removed ${timeText(details['removed_at'])}`,
        next: 'when it is the same workload that returns, say so with --again',
      })
    case 'name_taken':
      return new CheckFailed('name_taken', 'another workload has one of the DNS names', {
        ...holderIn(details['holder']),
        next: 'take it away there first, or let both share it with --shared-names',
      })
    case 'audience_taken':
      return new CheckFailed('audience_taken', 'another workload has one of the audiences', {
        ...holderIn(details['holder']),
        next: 'take it away there first: an audience belongs to one workload',
      })
    case 'several_instances':
      return new CheckFailed('several_instances', 'it has several instances', {
        next: 'end all but one first: doorward workload show ID, doorward workload unlock ID INSTANCE',
      })
    case 'reserved':
      return new CheckFailed('workload_reserved', 'the authority cannot remove itself')
    case 'locked':
      return new CheckFailed('instance_locked', 'the instance is locked already')
    default:
      return error
  }
}

function idIn(present: JsonValue | undefined): { readonly where?: string } {
  const id = isJsonObject(present) ? present['id'] : undefined
  return typeof id === 'string' ? { where: id } : {}
}

function holderIn(holder: JsonValue | undefined): { readonly where?: string; readonly got?: string } {
  if (!isJsonObject(holder)) return {}
  const { id, name } = holder
  return typeof id === 'string' && typeof name === 'string' ? { where: id, got: name } : {}
}

function timeText(seconds: JsonValue | undefined): string {
  return typeof seconds === 'number' ? new Date(seconds * 1000).toISOString() : 'before'
}

function invalid(error: ServerRefused, problems: JsonValue | undefined): ServerRefused | CheckFailed {
  if (!Array.isArray(problems)) return error
  const [first, ...more] = (problems as readonly JsonValue[]).filter(isJsonObject).map(problemOf)
  if (first === undefined) return error
  if (more.length > 0) return new CheckFailed(error.code, [first, ...more].map(problemText).join('; '))
  const { message, ...detail } = first
  return new CheckFailed(error.code, message, detail)
}

interface ToldProblem {
  readonly message: string
  readonly where?: string
  readonly expected?: string
  readonly got?: string
}

function problemOf({ keys, message, expected, got }: JsonObject): ToldProblem {
  const where = Array.isArray(keys) ? dotted(keys as readonly (string | number)[]) : ''
  return {
    message: typeof message === 'string' ? message : 'not accepted',
    ...(where === '' ? {} : { where }),
    ...(typeof expected === 'string' ? { expected } : {}),
    ...(typeof got === 'string' ? { got } : {}),
  }
}

function problemText({ message, where, expected, got }: ToldProblem): string {
  const wanted = expected === undefined ? '' : `, expected ${expected}`
  return `${where === undefined ? '' : `${where}: `}${message}${wanted}${got === undefined ? '' : `, got ${got}`}`
}
