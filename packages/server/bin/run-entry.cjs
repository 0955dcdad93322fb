// Apart from doorward.cjs, because an older Node.js does not parse `import()`.
'use strict'

/** Loads the command line in this process. `url` is a file URL. */
exports.runEntry = function runEntry(url) {
  return import(url)
}
