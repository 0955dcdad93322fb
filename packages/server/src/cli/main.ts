/** The command line as a process. */

import { readEnvironment } from '../config/environment.ts'
import { runCommand } from './run.ts'
import type { Surroundings } from './run.ts'

type Signals = Pick<Surroundings, 'signal' | 'onHangup'>

/** Ends when the user, the system or the closing of the terminal asks for it; a second signal ends the process at once. */
function signals(): Signals {
  const abort = new AbortController()
  let reload: (() => void) | null = null
  const onHangup = () => {
    if (reload !== null) return reload()
    process.off('SIGHUP', onHangup)
    abort.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => abort.abort())
  process.on('SIGHUP', onHangup)
  // Nobody reads any more: `doorward audit tail | head`.
  process.stdout.on('error', () => abort.abort())
  process.stderr.on('error', () => undefined)
  const ownsTerminal = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY)
  return {
    signal: abort.signal,
    onHangup: (wanted) => {
      if (!ownsTerminal) reload = wanted
    },
  }
}

// Nothing is left to do: leaves without Node's taking its environment apart, which has been seen to spin for ever in
// `Environment::CleanupHandles` (24.21) once connections had been cut.
process.once('beforeExit', () => process.exit())
process.exitCode = await runCommand(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  environment: readEnvironment(),
  ...signals(),
  program: [process.execPath, ...process.execArgv, process.argv[1] ?? ''],
})
