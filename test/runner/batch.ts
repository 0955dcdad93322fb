/**
 * Runs several test files in one process, one after the other, each as a suite of its path: what a file sets up for all of
 * its tests is its own. Says on file descriptor 3 which file begins, and at the end that none is left.
 */

import { writeSync } from 'node:fs'
import { resolve } from 'node:path'
import { after, describe } from 'node:test'
import { pathToFileURL } from 'node:url'
import { noFileLeft } from './batches.ts'

const progress = 3

for (const path of process.argv.slice(2)) {
  writeSync(progress, `${path}\n`)
  await suiteOf(path)
}
writeSync(progress, `${noFileLeft}\n`)

/** Resolves when the last test of the file has ended. */
function suiteOf(path: string): Promise<void> {
  return new Promise((ended) => {
    void describe(path, async () => {
      try {
        await import(pathToFileURL(resolve(path)).href)
        after(() => ended())
      } catch (error) {
        ended()
        throw error
      }
    })
  })
}
