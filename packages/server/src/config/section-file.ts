/** One section of a configuration in a file of its own; whoever reads the whole judges what is in it. */

import { DoorwardError } from '@doorward/core'
import { readYaml } from './yaml-text.ts'

const MAX_TEXT = 64 * 1024

/** Throws `config_invalid`. */
export function readSection(text: string, where: string): unknown {
  const { document, problems } = readYaml(text.slice(0, MAX_TEXT))
  const [problem] = problems
  if (problem === undefined) return document.toJS()
  throw new DoorwardError('config_invalid', 'the section does not parse', { where, got: problem.message })
}
