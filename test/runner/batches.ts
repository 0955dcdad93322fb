/** Which test files share a process: to start one and load the sources costs more than most files' tests. */

/** The last line of a batch's progress. */
export const noFileLeft = '.'
const filesPerBatch = 16
/** They start gateways, so each is several seconds. */
const systemsPerBatch = 4

const system = /^test\/(refusals|scenarios)\//
/**
 * What belongs to the whole process: its environment, folder, signals, clock and memory. And whole deployments, which take
 * long: they are spread over the workers one by one.
 */
const ofTheProcess =
  /\bprocess\.env\S* = |\bprocess\.(chdir|umask|on|once|exitCode|memoryUsage|cpuUsage)\b(?!')|\bmock\.|\bglobalThis\b|fixtures\/(deployment|guide)\.ts/

/** Files that share a process, in the order of `paths`; `textOf` reads one. */
export function batchesOf(paths: readonly string[], textOf: (path: string) => string): readonly (readonly string[])[] {
  const alone = new Set(paths.filter((path) => ofTheProcess.test(textOf(path))))
  const shared = paths.filter((path) => !alone.has(path))
  return [
    ...[...alone].map((path) => [path]),
    ...dealt(
      shared.filter((path) => system.test(path)),
      systemsPerBatch,
    ),
    ...dealt(
      shared.filter((path) => !system.test(path)),
      filesPerBatch,
    ),
  ]
}

/** Neighbours in a folder take equally long, so that they go to different batches. */
function dealt(paths: readonly string[], most: number): readonly (readonly string[])[] {
  const count = Math.ceil(paths.length / most)
  return Array.from({ length: count }, (_, batch) => paths.filter((_path, at) => at % count === batch))
}
