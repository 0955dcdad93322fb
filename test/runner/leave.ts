/**
 * Ends a test process that has nothing left to do. Node's way of taking its environment apart has been seen to spin for
 * ever in `Environment::CleanupHandles` (24.21) once connections had been cut. Whatever keeps the event loop alive still
 * keeps the process alive.
 */

/** What runs when the loop is empty may fill it again, as node:test does to report. */
const ROUNDS = 4
let rounds = 0

process.on('beforeExit', () => {
  if (++rounds === ROUNDS) process.exit()
  setImmediate(() => undefined)
})
